import json
import os
import subprocess
import sys

import pytest

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.profiler.analyse.summary import remarks
from splitwatt.profiler.config.config import load_config
from splitwatt.profiler.config.estimated import bits_per_element, estimated_bytes
from splitwatt.profiler.config.published import published_bytes
from splitwatt.profiler.execute.block.recording import Spec
from splitwatt.profiler.execute.plan import plan_blocks
from splitwatt.profiler.links.link import Link, framed_bytes
from splitwatt.profiler.records.blocks import replaced_blocks
from splitwatt.profiler.records.folder import Appender, RunFolder
from splitwatt.profiler.records.run import (
    FIELDS,
    Memory,
    Request,
    Sample,
    end_to_end_s,
    local_s,
    network_s,
    read_lines,
    read_run,
    server_s,
    uplink_payload_s,
    uplink_wire_s,
)

SLOW = Link("slow", "simulated", 100.0, "payload", "")
WIRE = SLOW._replace(bytes="wire")


def sample(**changes):
    values = {
        "config": "Ours1", "image": "a.jpg", "repeat": 0, "inference": 0, "backend": "cpu",
        "block": "Ours1.cpu.0", "warmup": False, "status": "ok", "reason": None,
        "failed_by": None, "total_s": 0.5,
        "stages": {
            "decode": 0.1, "all.preprocess": 0.1, "all.server.body": 0.2, "all.network": 0.1,
        },
        "payload_bytes": 2000, "wire_up_bytes": 2350, "wire_down_bytes": 900,
        "requests": [Request("m", 2000, 2350, 900, 2106, 1)], "published_payload_bytes": None,
        "published_payload_source": None,
        "started_monotonic_s": 5.0,
    }  # fmt: skip
    values.update(changes)
    return Sample(**values)


LOCAL = sample(
    requests=[], payload_bytes=None, wire_up_bytes=None, wire_down_bytes=None,
    stages={"decode": 0.1, "ic.model": 0.4},
)  # fmt: skip
FAILED = sample(status="failed", total_s=None, stages={}, requests=[], payload_bytes=None)


def test_a_simulated_link_takes_bits_over_rate():
    assert uplink_payload_s(sample(), SLOW) == pytest.approx(8 * 2000 / 100e3)
    assert end_to_end_s(sample(), SLOW) == pytest.approx(0.5 + 0.16)


def test_the_wire_counts_headers_and_framing_of_each_request():
    assert framed_bytes(0) == 0
    assert framed_bytes(1) == 67
    assert framed_bytes(1448) == 1448 + 66
    assert framed_bytes(1449) == 1449 + 132
    assert uplink_wire_s(sample(), WIRE) == pytest.approx(8 * (2350 + 132) / 100e3)
    two = sample(
        requests=[Request("m", 1000, 1300, 9, None, 1), Request("n", 1000, 1300, 9, None, 1)]
    )
    assert uplink_wire_s(two, WIRE) == pytest.approx(8 * (2600 + 132) / 100e3)
    assert end_to_end_s(sample(), WIRE) == pytest.approx(0.5 + 8 * 2482 / 100e3)


def test_a_published_payload_takes_the_place_of_the_measured_one():
    published = sample(published_payload_bytes=4000)
    assert uplink_payload_s(published, SLOW) == pytest.approx(8 * 4000 / 100e3)
    assert uplink_wire_s(published, WIRE) == pytest.approx(8 * framed_bytes(4350) / 100e3)


def test_what_is_not_there_is_none():
    for link in (SLOW, WIRE):
        assert uplink_payload_s(LOCAL, link) is None and uplink_wire_s(LOCAL, link) is None
        assert end_to_end_s(LOCAL, link) == 0.5
        assert end_to_end_s(FAILED, link) is None and uplink_wire_s(FAILED, link) is None
    assert server_s(LOCAL) is None and network_s(LOCAL) is None
    assert local_s(LOCAL) == pytest.approx(0.5)
    assert local_s(FAILED) is None


def test_stages_belong_to_board_server_or_network():
    assert local_s(sample()) == pytest.approx(0.2)
    assert server_s(sample()) == pytest.approx(0.2)
    assert network_s(sample()) == pytest.approx(0.1)


def test_every_field_is_registered_with_its_unit():
    for name in Sample._fields + Request._fields + Memory._fields:
        field = FIELDS[name]
        assert field.description
        for suffix, unit in (("_s", "s"), ("_bytes", "B")):
            if name.endswith(suffix):
                assert field.unit == unit, name


def test_published_sizes_are_those_of_the_runtimes_preprocessing():
    assert published_bytes("ladon_r50@0.32") == round(65.514 * 1024)
    assert published_bytes("ladon_resnest269e@20.48") == round(0.737 * 1024)
    assert published_bytes("entropic_student_ic@0.32") is None


def test_sizes_that_nobody_published_are_estimated_from_ladons_bits_per_element():
    at_032, at_128 = (kib * 1024 * 8 / (24 * 79 * 103) for kib in (65.514, 31.900))
    assert bits_per_element(0.32) == pytest.approx(at_032, rel=1e-4)
    # 0.64 lies in the middle of 0.32 and 1.28 on a logarithmic scale: the geometric mean.
    assert bits_per_element(0.64) == pytest.approx((at_032 * at_128) ** 0.5, rel=1e-4)
    assert estimated_bytes("entropic_student_od@1.28") == pytest.approx(
        24 * 199 * 271 * at_128 / 8, rel=1e-4
    )
    sizes = [estimated_bytes("entropic_student_ss@%s" % b) for b in ("0.32", "2.56", "10.24")]
    assert sizes == sorted(sizes, reverse=True)
    assert bits_per_element(0.1) is None and bits_per_element(40.0) is None
    assert estimated_bytes("ladon_r50@0.32") is None and estimated_bytes("tiny@1") is None


def test_blocks_interleave_by_seed():
    config = load_config("table3.yaml")._replace(repeats=3, backends=("cpu", "tensorrt"))
    blocks = plan_blocks(config)
    assert len({b.id for b in blocks}) == len(blocks) == 40 * 2 * 3
    assert plan_blocks(config) == blocks
    assert plan_blocks(config._replace(seed=1)) != blocks
    for repeat in range(3):
        part = blocks[repeat * 80 : (repeat + 1) * 80]
        assert {b.repeat for b in part} == {repeat}
        assert [b.config for b in part[:6]] != sorted(b.config for b in part[:6])


def test_an_appender_leaves_whole_lines(tmp_path):
    path = str(tmp_path / "a.jsonl")
    with Appender(path) as lines:
        lines.append({"n": 1})
        lines.append({"n": 2})
        with pytest.raises(ValueError):
            lines.append({"n": float("nan")})
    with open(path, "ab") as stream:
        stream.write(b'{"n": 3')
    assert [row for _, row in read_lines(path)] == [{"n": 1}, {"n": 2}]


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path):
    """A file-size limit stands for the disk: both stop a write in the middle of a line."""
    path = str(tmp_path / "a.jsonl")
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from splitwatt.profiler.records.folder import Appender\n"
        "from splitwatt.device_configs.errors import SplitwattError\n"
        "lines = Appender(sys.argv[1])\n"
        "try:\n"
        "    for n in range(100): lines.append({'number': n})\n"
        "except SplitwattError as error: print(error)\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    output = subprocess.check_output([sys.executable, "-c", script, path], cwd=root)
    assert b"could not be written" in output or b"disk is full" in output
    rows = [row["number"] for _, row in read_lines(path)]
    assert rows == list(range(len(rows))) and rows
    with open(path, "rb") as stream:
        assert stream.read().endswith(b"\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_no_space_left_names_the_disk():
    with pytest.raises(SplitwattError, match="the disk is full|could not be written"):
        Appender("/dev/full").append({"n": 1})


def document():
    config = load_config("demo.yaml").only(["LC1"])
    return {
        "format": 1, "id": "x", "name": "demo", "config": config.to_json(), "same_machine": False,
        "bundles": {}, "targets": {}, "images": [], "blocks": [], "started_wall": "now",
        "started_monotonic_s": 1.0, "versions": {}, "board_state": {}, "finished_wall": None,
    }  # fmt: skip


def line(**changes):
    record = dict(sample(**changes)._asdict())
    record["requests"] = [dict(r._asdict()) for r in record["requests"]]
    return json.dumps(record) + "\n"


def write(path, *lines, tail=""):
    with open(os.path.join(path, "samples.jsonl"), "w") as stream:
        stream.write("".join(lines) + tail)


def test_a_run_reads_its_samples_once_each(tmp_path):
    path = str(tmp_path / "run")
    RunFolder.create(path, document()).close()
    failed = line(inference=1, status="failed", failed_by="server", total_s=None)
    write(path, line(inference=0), failed, line(inference=1), tail='{"config": "Ou')
    run = read_run(path)
    assert [(s.inference, s.status) for s in run.samples] == [(0, "ok"), (1, "ok")]
    assert len(run.measured("Ours1", "cpu")) == 2 and run.measured("LC1") == []
    assert run.accuracy is None and run.power == {} and run.memory == []
    folder = RunFolder(path)
    assert folder.done("Ours1.cpu.0", 0) == (set(), {0: 0.5, 1: 0.5}, False)


def test_failures_before_a_resume_run_again_but_not_those_of_an_image(tmp_path):
    path = str(tmp_path / "run")
    RunFolder.create(path, document()).close()
    write(
        path,
        line(inference=0, status="failed", failed_by="server"),
        line(inference=1, status="failed", failed_by="image"),
        line(inference=2, status="failed", failed_by="process"),
    )
    folder = RunFolder(path)
    assert set(folder.done("Ours1.cpu.0", 0).inferences) == {0, 1, 2}
    assert set(folder.done("Ours1.cpu.0", 2).inferences) == {1, 2}
    assert set(folder.done("Ours1.cpu.0", 3).inferences) == {1}


def test_reopening_cuts_off_a_torn_line_and_holds_the_folder(tmp_path, monkeypatch):
    path = str(tmp_path / "run")
    RunFolder.create(path, document()).close()
    write(path, line(), tail='{"config": "Ou')
    monkeypatch.setattr("splitwatt.profiler.records.folder._LOCK_WAIT_S", 0.1)
    with RunFolder.reopen(path):
        with open(os.path.join(path, "samples.jsonl")) as stream:
            assert stream.read() == line()
        with pytest.raises(RunError, match="another process is writing"):
            RunFolder.reopen(path)
    RunFolder.reopen(path).close()


def test_a_run_is_never_written_over(tmp_path):
    RunFolder.create(str(tmp_path / "run"), document()).close()
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder.create(str(tmp_path / "run"), document())


def test_of_two_that_begin_one_run_the_second_is_refused(tmp_path, monkeypatch):
    path, hold = str(tmp_path / "run"), RunFolder.hold

    def waited(folder):
        monkeypatch.setattr(RunFolder, "hold", hold)
        RunFolder.create(path, dict(document(), id="first")).close()  # while this one waits
        hold(folder)

    monkeypatch.setattr(RunFolder, "hold", waited)
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder.create(path, document())
    with RunFolder.reopen(path) as folder:  # whose lock is free
        assert folder.document()["id"] == "first"


def test_records_that_have_lost_their_run_are_not_mixed_with_another(tmp_path):
    write(str(tmp_path), line())
    with pytest.raises(RunError, match="samples.jsonl of a run that has lost its run.json"):
        RunFolder.create(str(tmp_path), document())


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("run.json", "{}", "is no run of format 1"),
        ("run.json", "{", "cannot be read"),
        ("run.json", json.dumps(dict(document(), blocks=[{"id": "A"}])), "is no block"),
        ("run.json", json.dumps(dict(document(), finished_wall=1)), "'finished_wall'"),
    ],
)
def test_a_damaged_run_is_told(tmp_path, name, content, sentence):
    path = tmp_path / "run"
    RunFolder.create(str(path), document()).close()
    (path / name).write_text(content)
    with pytest.raises(RunError) as error:
        read_run(str(path))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("samples.jsonl", "{}\n"),
        ("samples.jsonl", "nonsense\n"),
        ("samples.jsonl", line(total_s="long")),
        ("samples.jsonl", line(warmup=1)),
        ("samples.jsonl", line(stages={"decode": None})),
        ("samples.jsonl", line(board={"gpu_hz": "fast"})),
        ("samples.jsonl", line().replace('"wire_up_bytes": 2350, "wire_down', '"wire_down')),
        ("windows.jsonl", "[]\n"),
        ("memory.jsonl", "{}\n"),
        ("stages.jsonl", "\n"),
    ],
)
def test_a_damaged_line_is_left_out_and_told(tmp_path, name, content):
    path = tmp_path / "run"
    RunFolder.create(str(path), document()).close()
    write(str(path), line(inference=0), line(inference=1))
    good = (path / name).read_text() if (path / name).exists() else ""
    (path / name).write_text(content + good)
    run = read_run(str(path))
    assert run.damaged == ("%s, line 1 is damaged and left out" % (path / name),)
    assert [s.inference for s in run.samples] == [0, 1]
    assert set(RunFolder(str(path)).done("Ours1.cpu.0", 0).inferences) == {0, 1}


def test_a_block_of_a_later_version_is_read_without_its_new_keys():
    row = dict(plan_blocks(load_config("demo"))[0]._asdict(), priority=3)
    assert Spec.of(row) == plan_blocks(load_config("demo"))[0]
    with pytest.raises(RunError, match="holds what is no block"):
        Spec.of({"id": "LC1.cpu.0"})


def test_a_repetition_that_failed_replaces_no_block():
    blocks = {"blocks": [{"id": "A.cpu.0", "again": 0}, {"id": "A.cpu.0.again1", "again": 1}]}
    again = [sample(block="A.cpu.0.again1", inference=n) for n in range(2)]
    gone = sample(block="A.cpu.0.again1", inference=1, status="failed", failed_by="server")
    assert replaced_blocks(blocks, again, 2) == {"A.cpu.0"}
    assert replaced_blocks(blocks, [again[0], gone], 2) == set()
    assert replaced_blocks(blocks, [again[0], gone._replace(failed_by="image")], 2) == {"A.cpu.0"}


def test_no_run_there(tmp_path):
    with pytest.raises(RunError, match="there is no run in"):
        read_run(str(tmp_path))


def test_samples_that_took_more_than_one_request_are_told(tmp_path):
    path = str(tmp_path / "run")
    RunFolder.create(path, dict(document(), config=load_config("demo.yaml").to_json())).close()
    again = [Request("m", 2000, 2350, 900, 2106, attempts) for attempts in (1, 2)]
    write(path, line(inference=0), line(inference=1, requests=again), line(inference=2))
    (told,) = remarks(path)
    assert "took more than one request" in told and told.endswith(": Ours1 on cpu 1")
