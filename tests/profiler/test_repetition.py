"""Real profiles that warm up, repeat and run again by rule, and what they tell of it."""

import json
import subprocess
import sys
import time

import pytest

from splitwatt.profiler.analyse.statistics import relative_width, spread
from splitwatt.profiler.records.run import read_run
from tests.conftest import ROOT
from tests.profiler.conftest import command, start, wait_until

pytestmark = pytest.mark.long

LOCAL = """
format: 1
name: local
warmup: 1
inferences: {inferences}
configurations:
  LC1: {{local: [tiny_local]}}
  LC2: {{local: [tiny_local]}}
"""


@pytest.fixture
def local(tmp_path):
    """Writes a config of two local configurations."""

    def write(inferences=6, more=""):
        path = tmp_path / "local.yaml"
        path.write_text(LOCAL.format(inferences=inferences) + more)
        return path

    return write


@pytest.fixture
def sysfs(tmp_path):
    """A board whose over-current events the test counts up."""
    hwmon = tmp_path / "sys" / "class" / "hwmon" / "hwmon0"
    hwmon.mkdir(parents=True)
    (hwmon / "name").write_text("soctherm_oc\n")
    (hwmon / "oc1_event_cnt").write_text("%08d\n" % 0)
    return hwmon / "oc1_event_cnt"


def count(path, events):
    """So many events: in one write, as the kernel's files change."""
    with open(path, "r+b", buffering=0) as stream:
        stream.write(b"%08d\n" % events)


def of(run, block, warmup=False):
    return [s for s in run.samples if s.block == block and s.warmup == warmup]


def test_a_run_goes_on_until_the_median_is_known(tiny, tmp_path, local):
    rules = (
        "warmup_until: {window: 6, windows: 2, within: 1, max_inferences: 60}\n"
        "until: {relative_width: 0.1, max_inferences: 3000}\n"
    )
    run = tmp_path / "run"
    arguments = ("--bundles", tiny, "--out", run)
    code, out, err = command("profile", "--config", local(more=rules), *arguments)
    assert code == 0, err
    read = read_run(str(run))
    for config in ("LC1", "LC2"):
        times = [s.total_s for s in read.measured(config)]
        assert relative_width(times) <= 0.1 and len(times) % 6 == 0
        assert spread(times).p50_low_s <= spread(times).p50_s <= spread(times).p50_high_s
        (started,) = [row for row in read.starts if row.config == config]
        assert started.warmups == len(of(read, config + ".cpu.0", True))
        assert started.steady or started.warmups == 60
        assert started.warmups >= 12 and started.first_inference_s > 0 and started.open_s > 0
        assert started.cuda_init_s is None and started.server_load_s is None
    again = (run / "samples.jsonl").read_bytes()
    assert command("profile", "--resume", run)[0] == 0
    assert (run / "samples.jsonl").read_bytes() == again


def test_a_limit_that_is_met_is_told(tiny, tmp_path, local):
    rules = "until: {relative_width: 0.0001, max_inferences: 12}\n"
    run = tmp_path / "run"
    arguments = ("--bundles", tiny, "--out", run)
    code, out, err = command("profile", "--config", local(more=rules), *arguments)
    assert code == 0, err
    assert {len(of(read_run(str(run)), b)) for b in ("LC1.cpu.0", "LC2.cpu.0")} == {12}
    assert "LC1 on cpu: the median is known to" in out and "when the limit was met" in out


def test_a_time_budget(tiny, tmp_path, local):
    run = tmp_path / "run"
    arguments = ("--bundles", tiny, "--out", run)
    path = local(more="until: {max_s: 0.3, max_inferences: 100000}\n")
    assert command("profile", "--config", path, *arguments)[0] == 0
    for block in ("LC1.cpu.0", "LC2.cpu.0"):
        times = [s.total_s for s in of(read_run(str(run)), block)]
        assert sum(times) >= 0.3 > sum(times[: int(len(times) / 1.1) - 6])


def test_a_throttled_block_is_marked_and_runs_again(tiny, tmp_path, local, sysfs):
    run = tmp_path / "run"
    path = local(inferences=120)
    process = start(
        "profile", "--config", path, "--bundles", tiny, "--out", run,
        "--sysfs", tmp_path / "sys",
    )  # fmt: skip
    samples = run / "samples.jsonl"
    wait_until(lambda: samples.exists() and samples.read_bytes().count(b"\n") > 10)
    count(sysfs, 5)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    read = read_run(str(run))
    first = read.samples[0].block
    assert {s.throttled_by for s in of(read, first) if s.throttled} == {"OC1 event (under-voltage)"}
    assert {s.throttled for s in of(read, first + ".again1")} == {False}
    assert read.replaced == {first}
    counted = {s.block for s in read.measured()}
    assert len(counted) == 2 and first not in counted and first + ".again1" in counted
    seen = [[(s.inference, s.image) for s in of(read, b)] for b in (first, first + ".again1")]
    assert seen[0] == seen[1]
    assert "the board throttled, it runs again" in err
    assert "1 throttled blocks ran again and do not count" in out
    before = samples.read_bytes()
    assert command("profile", "--resume", run)[0] == 0 and samples.read_bytes() == before


def test_throttling_that_stays_does_not_run_for_ever(tiny, tmp_path, local, sysfs):
    run = tmp_path / "run"
    path = local(inferences=100, more="throttled_again: 2\n")
    process = start(
        "profile", "--config", path, "--bundles", tiny, "--out", run, "--only", "LC1",
        "--sysfs", tmp_path / "sys",
    )  # fmt: skip
    events = 0
    while process.poll() is None:
        events += 1
        count(sysfs, events)
        time.sleep(0.002)
    out, err = process.communicate()
    assert process.returncode == 0, err
    read = read_run(str(run))
    blocks = [row["id"] for row in read.document["blocks"]]
    assert blocks == ["LC1.cpu.0", "LC1.cpu.0.again1", "LC1.cpu.0.again2"]
    assert {s.block for s in read.measured()} == {"LC1.cpu.0.again2"}
    assert "LC1.cpu.0.again2: the board throttled" in out


def test_throughput_beside_latency(tiny, tmp_path, config, server):
    run = tmp_path / "run"
    code, out, err = command(
        "profile", "--config", config(inferences=8), "--bundles", tiny, "--out", run,
        "--server", server.url, "--pipelined",
    )  # fmt: skip
    assert code == 0, err
    assert "images/s" in out
    read = read_run(str(run))
    flows = {row.config: row for row in read.throughput}
    assert flows["Ours1"].pipelined and not flows["LC1"].pipelined
    for flow in flows.values():
        assert (flow.images, flow.failed) == (8, 0)
        assert flow.images_per_s == pytest.approx(8 / flow.duration_s)
        assert len(of(read, flow.block)) == 8  # none of them is a sample
        (window,) = [w for w in read.windows if (w.name, w.block) == ("pipelined", flow.block)]
        assert window.end_s - window.start_s >= flow.duration_s
        ends = [s.started_monotonic_s + s.total_s for s in of(read, flow.block)]
        assert max(ends) <= window.start_s
    started = {row.config: row for row in read.starts}
    assert started["Ours1"].server_load_s > 0 and started["LC1"].server_load_s is None
    # A kill before a block's throughput was recorded: the resume measures it, and no sample again.
    lines = (run / "throughput.jsonl").read_text().splitlines(True)
    (run / "throughput.jsonl").write_text(lines[0] + lines[1][:20])
    before = (run / "samples.jsonl").read_bytes()
    code, out, err = command("profile", "--resume", run)
    assert code == 0, err
    assert len(read_run(str(run)).throughput) == 2
    assert (run / "samples.jsonl").read_bytes() == before


def test_an_earlier_versions_run_is_read(tiny, tmp_path, local):
    """Without the fields and keys that came later."""
    run = tmp_path / "run"
    command("profile", "--config", local(), "--bundles", tiny, "--out", run)
    document = json.loads((run / "run.json").read_text())
    for key in ("until", "warmup_until", "throttled_again", "pipelined"):
        del document["config"][key]
    for row in document["blocks"]:
        del row["again"]
    (run / "run.json").write_text(json.dumps(document))
    for name, gone in (
        ("samples.jsonl", ("board", "throttled", "throttled_by", "device_s")),
        ("memory.jsonl", ("gpu_peak_bytes", "gpu_process_peak_bytes")),
    ):
        rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
        rows = [{k: v for k, v in row.items() if k not in gone} for row in rows]
        (run / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "starts.jsonl").unlink()
    read = read_run(str(run))
    assert len(read.measured()) == 12 and read.starts == [] and read.replaced == frozenset()
    assert read.samples[0].board is None and read.memory[0].gpu_peak_bytes is None
    code, out, err = command("profile", "--resume", run)
    assert code == 0 and "LC1" in out, err


def test_kills_anywhere_leave_whole_runs():
    """A short form of `python -m tests.soak kills`."""
    script = "import sys; from tests.soak.kills import main; sys.exit(main(24, 1))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, universal_newlines=True
    )
    assert done.returncode == 0, done.stdout
    assert "0 runs not whole" in done.stdout
