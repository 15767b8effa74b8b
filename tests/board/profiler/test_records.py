import json
import os
import subprocess
import sys
import time

import pytest

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import open_to_write
from splitwatt.profiler.analyse.summary import remarks
from splitwatt.profiler.analyse.times import (
    end_to_end_s,
    local_s,
    network_s,
    server_s,
    uplink_payload_s,
    uplink_wire_s,
)
from splitwatt.profiler.check.cli import audit
from splitwatt.profiler.config.config import load_config
from splitwatt.profiler.config.sizes import bits_per_element, estimated_bytes, published_bytes
from splitwatt.profiler.execute.plan import plan_blocks
from splitwatt.profiler.execute.work import Recorded
from splitwatt.profiler.links.link import Link, framed_bytes
from splitwatt.profiler.records.appending import Appender
from splitwatt.profiler.records.blocks import replaced_blocks
from splitwatt.profiler.records.fields import fields, records
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.reading import whole_lines
from splitwatt.profiler.records.run import read_run
from splitwatt.profiler.records.sample import Request, Sample
from splitwatt.profiler.records.samples import Samples
from tests.board.tiny import ROOT

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
    units = {"_kbit_s": "kbit/s", "images_per_s": "1/s", "_bytes": "B", "_s": "s"}
    for title, cls in records().items():
        assert cls._fields == tuple(fields(cls)), title
        for name, field in fields(cls).items():
            assert field.description, name
            numeric = {int, float} & {field.of} or field.type in ("integer", "number")
            for end, unit in units.items():
                if name.endswith(end) and numeric:
                    assert field.unit == unit, name
                    break


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
    assert [json.loads(line) for _, line in whole_lines(path)] == [{"n": 1}, {"n": 2}]


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path):
    """A file-size limit stands for the disk: both stop a write in the middle of a line."""
    path = str(tmp_path / "a.jsonl")
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from splitwatt.profiler.records.appending import Appender\n"
        "from splitwatt.device_configs.errors import SplitwattError\n"
        "lines = Appender(sys.argv[1])\n"
        "try:\n"
        "    for n in range(100): lines.append({'number': n})\n"
        "except SplitwattError as error: print(error)\n"
    )
    output = subprocess.check_output([sys.executable, "-c", script, path], cwd=ROOT)
    assert b"could not be written" in output or b"disk is full" in output
    rows = [json.loads(line)["number"] for _, line in whole_lines(path)]
    assert rows == list(range(len(rows))) and rows
    with open(path, "rb") as stream:
        assert stream.read().endswith(b"\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_no_space_left_names_the_disk():
    with pytest.raises(SplitwattError, match="the disk is full|could not be written"):
        Appender("/dev/full").append({"n": 1})


def block(config):
    return {"id": config + ".cpu.0", "config": config, "backend": "cpu", "repeat": 0, "again": 0}


def document():
    config = load_config("demo.yaml").only(["LC1", "Ours1"])
    return {
        "format": 1, "id": "x", "name": "demo", "config": config.to_json(), "same_machine": False,
        "bundles": {name: {"model": name, "trained": True} for name in config.models()},
        "targets": {}, "images": [{"file": "a.jpg"}], "blocks": [block("Ours1"), block("LC1")], "started_wall": "now",
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
    assert Recorded(path).done("Ours1.cpu.0") == (set(), {0: 0.5, 1: 0.5}, False)


def test_failures_before_a_resume_run_again_but_not_those_of_an_image(tmp_path):
    path = str(tmp_path / "run")
    RunFolder.create(path, document()).close()
    write(
        path,
        line(inference=0, status="failed", failed_by="server"),
        line(inference=1, status="failed", failed_by="image"),
        line(inference=2, status="failed", failed_by="process"),
    )
    recorded = Recorded(path)  # a resume begins here
    assert set(recorded.done("Ours1.cpu.0").inferences) == {1}
    with open(os.path.join(path, "samples.jsonl"), "a") as stream:
        stream.write(line(inference=0, status="failed", failed_by="server"))
    recorded.update()
    assert set(recorded.done("Ours1.cpu.0").inferences) == {0, 1}


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
        ("run.json", "{}", "is not a run of format 1"),
        ("run.json", "{", "is not JSON"),
        (
            "run.json",
            json.dumps(dict(document(), blocks=[{"id": "A"}])),
            "the field 'blocks[0].config' is missing",
        ),
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


@pytest.mark.parametrize("name", ["samples.jsonl", "windows.jsonl", "memory.jsonl", "stages.jsonl"])
@pytest.mark.parametrize("content", ["nonsense\n", "\n", '{"config": "Ours1"\n', "\0\0\0\0\n"])
def test_a_line_that_is_not_json_is_left_out_and_reported(tmp_path, name, content):
    path = tmp_path / "run"
    RunFolder.create(str(path), document()).close()
    write(str(path), line(inference=0), line(inference=1))
    good = (path / name).read_text() if (path / name).exists() else ""
    (path / name).write_text(content + good)
    run = read_run(str(path))
    assert run.damaged == ["%s, line 1 is damaged and left out" % (path / name)]
    assert [s.inference for s in run.samples] == [0, 1]
    assert set(Recorded(str(path)).done("Ours1.cpu.0").inferences) == {0, 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"total_s": "long"}, "'total_s' must be a number, not 'long'"),
        ({"total_s": -1.0}, "'total_s' must be between 0 and 10000000, not -1.0"),
        ({"total_s": 1e308}, "'total_s' must be between"),
        ({"warmup": 1}, "'warmup' must be true or false, not 1"),
        ({"stages": {"decode": None}}, "'stages.decode' must be a number, not None"),
        ({"stages": {"decode": -0.1}}, "'stages.decode' must be between 0"),
        ({"stages": {"decode": 900.0}}, "'stages' add up to 900 s, and 'total_s' is 0.5"),
        ({"stages": {"a\x1b": 0.1}}, "holds a control character"),
        ({"board": {"gpu_hz": "fast"}}, "'board.gpu_hz' must be a number"),
        ({"payload_bytes": -5}, "'payload_bytes' must be between 0"),
        ({"payload_bytes": 10**30}, "beyond 2^53"),
        ({"payload_bytes": 10**14}, "'payload_bytes' must be between 0"),
        ({"payload_bytes": 12.5}, "'payload_bytes' must be a whole number"),
        ({"status": "fine"}, "'status' must be ok or failed, not 'fine'"),
        ({"block": "LC9.cpu.0"}, "'LC9.cpu.0', which run.json does not list"),
        ({"config": "LC1"}, "'config' is 'LC1', and the block's is Ours1"),
        ({"image": "a\nb\x1b[31m"}, "'image' holds a control character"),
        ({"image": "\ud800"}, "half a character"),
        ({"requests": [{}]}, "the field 'requests[0].model' is missing"),
        ({"requests": "none"}, "'requests' must be a list"),
        ({"started_monotonic_s": float("nan")}, "holds NaN"),
    ],
)
def test_a_line_that_no_run_can_hold_is_refused(tmp_path, changes, words):
    """One sentence that names file, line and field; `check` lists it and fails."""
    path = tmp_path / "run"
    RunFolder.create(str(path), document()).close()
    row = json.loads(line(inference=1))
    row.update(changes)
    write(str(path), line(inference=0), json.dumps(row) + "\n")
    with pytest.raises(RunError) as refused:
        read_run(str(path))
    assert "samples.jsonl, line 2" in str(refused.value) and words in str(refused.value)
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)
    assert False in [one.met for one in audit(str(path))]


def test_a_missing_field_is_named(tmp_path):
    path = tmp_path / "run"
    RunFolder.create(str(path), document()).close()
    row = json.loads(line())
    del row["wire_up_bytes"]
    write(str(path), json.dumps(row) + "\n")
    with pytest.raises(RunError, match="line 1: the field 'wire_up_bytes' is missing"):
        read_run(str(path))


@pytest.mark.parametrize(
    "name", ["samples.jsonl", "run.json", "accuracy.json", "power", "power/x.csv"]
)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "sparse"])
def test_a_folder_that_was_prepared_does_no_harm(tmp_path, name, kind):
    """Links, pipes and huge files in the place of a run's own: refused at once, for reading and for
    writing.
    """
    path, outside = tmp_path / "run", tmp_path / "outside"
    RunFolder.create(str(path), document()).close()
    write(str(path), line())
    outside.write_text("kept")
    place = path / name
    if place.is_dir():
        place.rmdir()
    elif place.exists():
        place.unlink()
    if kind == "link":
        place.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(str(place))
    elif kind == "folder":
        place.mkdir()
    else:
        with open(str(place), "wb") as stream:
            stream.truncate(3 << 30)
    start = time.monotonic()
    if (name, kind) == ("power", "folder"):
        assert read_run(str(path)).power == {}
    elif name == "accuracy.json":
        (sentence,) = read_run(str(path)).damaged
        assert "accuracy.json" in sentence
    else:
        with pytest.raises(RunError, match=name):
            read_run(str(path))
        with pytest.raises(RunError):
            RunFolder.reopen(str(path)).close()
            read_run(str(path))
    assert time.monotonic() - start < 30 and outside.read_text() == "kept"


@pytest.mark.parametrize("how", [os.O_APPEND, os.O_TRUNC])
def test_nothing_is_written_through_a_link_or_into_a_pipe(tmp_path, how):
    outside, place = tmp_path / "outside", tmp_path / "blocks.log"
    outside.write_text("kept")
    place.symlink_to(outside)
    for _ in ("a link", "a pipe, which nobody reads"):
        with pytest.raises(SplitwattError, match="blocks.log could not be written"):
            open_to_write(str(place), how)
        place.unlink()
        os.mkfifo(str(place))
    assert outside.read_text() == "kept"


def test_a_block_of_a_later_version_is_read_without_its_new_keys(tmp_path):
    path = str(tmp_path / "run")
    about = document()
    about["blocks"][0]["priority"] = 3
    RunFolder.create(path, about).close()
    write(path, line())
    assert len(read_run(path).samples) == 1


def test_a_repetition_that_failed_replaces_no_block():
    blocks = {"blocks": [{"id": "A.cpu.0", "again": 0}, {"id": "A.cpu.0.again1", "again": 1}]}
    again = [sample(block="A.cpu.0.again1", inference=n) for n in range(2)]
    gone = sample(block="A.cpu.0.again1", inference=1, status="failed", failed_by="server")
    damaged = gone._replace(failed_by="image")
    assert replaced_blocks(blocks, Samples.of(again), 2) == {"A.cpu.0"}
    assert replaced_blocks(blocks, Samples.of([again[0], gone]), 2) == set()
    assert replaced_blocks(blocks, Samples.of([again[0], damaged]), 2) == {"A.cpu.0"}


def test_no_run_there(tmp_path):
    with pytest.raises(RunError, match="there is no run in"):
        read_run(str(tmp_path))


def test_samples_that_took_more_than_one_request_are_told(tmp_path):
    path = str(tmp_path / "run")
    RunFolder.create(path, document()).close()
    again = [Request("m", 2000, 2350, 900, 2106, attempts) for attempts in (1, 2)]
    write(path, line(inference=0), line(inference=1, requests=again), line(inference=2))
    (told,) = remarks(read_run(path))
    assert "took more than one request" in told and told.endswith(": Ours1 on cpu 1")


@pytest.mark.parametrize("name", ["a\x1b[31m.jpg", "b\udcff.jpg"])
def test_an_image_s_name_that_no_reader_takes_is_refused_before_work(tmp_path, name):
    """The second is a file's name that is not UTF-8: it was written, and the run could not be read."""
    made = document()
    made["images"][0]["file"] = name
    with pytest.raises(RunError, match="control character") as error:
        RunFolder.create(str(tmp_path / "run"), made)
    assert str(error.value).isprintable() and not (tmp_path / "run").exists()
