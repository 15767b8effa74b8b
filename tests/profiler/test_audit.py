"""`splitwatt check` on real runs, and on the same with one record of each kind tampered with."""

import json
import random
import shutil

import numpy as np
import pytest
from scipy.stats import binom

from splitwatt.profiler.analyse.energy import energy_of
from splitwatt.profiler.analyse.statistics import spread
from splitwatt.profiler.analyse.times import end_to_end_s, uplink_payload_s, uplink_wire_s
from splitwatt.profiler.check.cli import audit
from splitwatt.profiler.records.document import digests
from splitwatt.profiler.records.run import read_run
from splitwatt.reports.load.model import series_of
from splitwatt.reports.metrics.memory import peak_memory_gb
from tests.board.tiny import tiny_bundle
from tests.profiler import oracles
from tests.profiler.conftest import CONFIG, command
from tests.profiler.oracles import rows

OWN = "files are those that the run ended with"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "cpu").mkdir()
    tiny_bundle(folder / "cpu" / "tiny@1")
    tiny_bundle(folder / "cpu" / "tiny_local", split=False)
    return folder


@pytest.fixture(scope="module")
def sound(bundles, tmp_path_factory):
    """A run with a server, clocks and a measured link."""
    folder = tmp_path_factory.mktemp("sound")
    config = folder / "c.yaml"
    config.write_text(CONFIG.format(inferences=6, repeats=1) + "pipelined: true\n")
    run = folder / "run"
    code, _, err = command(
        "profile", "--config", config, "--bundles", bundles, "--out", run, "--link", "none"
    )
    assert code == 0, err
    return run


@pytest.fixture(scope="module")
def powered(bundles, tmp_path_factory):
    """A run of a board alone, with a trace of generated power."""
    folder = tmp_path_factory.mktemp("powered")
    config = folder / "c.yaml"
    config.write_text(CONFIG.format(inferences=40, repeats=1))
    run = folder / "run"
    code, _, err = command(
        "profile", "--config", config, "--bundles", bundles, "--out", run, "--only", "LC1",
        "--driver", "generated",
    )  # fmt: skip
    assert code == 0, err
    return run


def failed(run, rehash=True):
    """Names of checks that are not met; `rehash` makes the run's own hashes fit the tampering."""
    if rehash:
        document = json.loads((run / "run.json").read_text())
        document["files"] = digests(str(run))
        (run / "run.json").write_text(json.dumps(document))
    return {one.name for one in audit(str(run)) if one.met is False}


def tampered(run, tmp_path, kind, change, number=None):
    """A copy of a run in which `change` was made to a line of KIND.jsonl."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    path = copy / (kind + ".jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    at = next(
        i for i, row in enumerate(rows)
        if number is None or (number(row) if callable(number) else i == number)
    )  # fmt: skip
    changed = change(rows[at])
    rows[at : at + 1] = [rows[at]] if changed is None else changed
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


def split(row):
    return bool(row["requests"]) and not row["warmup"]


def local(row):
    return not row["requests"]


def later(row):
    return not row["warmup"] and row["inference"] == 3


def test_a_sound_run_passes_every_check(sound, powered):
    for run in (sound, powered):
        code, out, err = command("check", run)
        assert code == 0, out + err
        assert "[ ]" not in out and out.count("[x]") >= 14
    code, out, _ = command("check", sound, "--json")
    document = json.loads(out)
    assert code == 0 and document["ok"] and len(document["checks"]) == 22
    looked = {c["name"] for c in document["checks"] if c["met"]}
    assert {"both ends agree on what came first", "throughput is images over time", OWN} <= looked
    looked = {one.name for one in audit(str(powered)) if one.met}
    assert "power traces are whole" in looked


def set_(**values):
    return lambda row: row.update(values)


def nested(field, **values):
    def change(row):
        row[field][0].update(values)

    return change


def slower(row):
    row["total_s"] += 0.05


def a_stage(row):
    row["stages"]["decode"] = -row["stages"]["decode"]


CASES = {
    "a total": ("samples", slower, split, "stages add up to the total"),
    "a stage": ("samples", a_stage, split, "every line can be read"),
    "a payload": ("samples", set_(payload_bytes=77), split, "bytes add up"),
    "a wire": ("samples", nested("requests", wire_up_bytes=9), split, "bytes add up"),
    "zero for null": ("samples", set_(payload_bytes=0), local, "what was not measured is null"),
    "a failure": ("samples", set_(status="failed"), split, "what was not measured is null"),
    "an image": ("samples", set_(image="another.jpg"), split, "samples are those of the plan"),
    "a block": ("samples", set_(block="LC9.cpu.0"), split, "every line can be read"),
    "a missing one": ("samples", lambda row: [], split, "no sample is missing"),
    "a doubled one": ("samples", lambda row: [row, row], split, "no sample is doubled"),
    "an early one": ("samples", set_(started_monotonic_s=1.0), later, "times go forward"),
    "a late one": ("samples", set_(started_monotonic_s=9e9), split, "inferences are in their windows"),
    "a wrong type": ("samples", set_(total_s="fast"), split, "every line can be read"),
    "a request": ("samples", nested("requests", sent_monotonic_s=1.0), split, "times go forward"),
    "a server's time": (
        "samples", nested("requests", server_monotonic_s=1.0), split,
        "both ends agree on what came first",
    ),
    "a window": ("windows", set_(end_s=0.0), None, "inferences are in their windows"),
    "a peak": ("memory", set_(process_peak_bytes=12), None, "memory peaks are plausible"),
    "the board's peak": ("memory", set_(board_peak_bytes=1 << 31), None, "memory peaks are plausible"),
    "an offset": (
        "clock", set_(offset_s=-900.0), 0, "network problems are reported",
    ),
    "no uncertainty": ("clock", set_(uncertainty_s=None), 0, "clock estimates are plausible"),
    "an uncertainty": ("clock", set_(uncertainty_s=9e3), 0, "clock estimates are plausible"),
    "a rate": ("links", set_(uplink_kbit_s=-5.0), 0, "every line can be read"),
    "a throughput": ("throughput", set_(images_per_s=1e6), 0, "throughput is images over time"),
    "a start": ("starts", set_(first_inference_s=99.0), 0, "blocks started as they say"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_was_tampered_with_fails_its_check(sound, tmp_path, case):
    kind, change, number, name = CASES[case]
    copy = tampered(sound, tmp_path, kind, change, number)
    assert OWN in failed(copy, rehash=False)
    found = failed(copy)
    assert name in found and OWN not in found


def test_a_line_that_is_cut_off(sound, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    path = copy / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert {"every line can be read", "no sample is missing"} <= failed(copy)


@pytest.mark.parametrize("least, met", [(0, False), (10**6, True)])
def test_a_gap_between_stages_may_be_of_one_sample_and_not_of_most(sound, tmp_path, least, met):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    path = copy / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    measured = [row for row in rows if row["status"] == "ok"]
    for row in [row for row in measured if row["inference"] >= least] or measured[-1:]:
        row["total_s"] = sum(row["stages"].values()) + 0.003
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert ("stages add up to the total" not in failed(copy)) == met


def test_a_damaged_line_leaves_the_other_checks(sound, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    path = copy / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "{damaged}\n", *lines[2:]]))
    found = failed(copy)
    assert found == {"every line can be read", "no sample is missing"}
    code, out, _ = command("check", copy)
    assert code == 1 and "samples.jsonl, line 2 is damaged and left out" in out


@pytest.mark.parametrize("factor", [0.5, 1.2])
def test_power_that_was_tampered_with(powered, tmp_path, factor):
    copy = tmp_path / "copy"
    shutil.copytree(powered, copy)
    (path,) = (copy / "power").glob("*.csv")
    lines = path.read_text().splitlines()
    half = len(lines) // 2
    cells = lines[half].split(",")
    lines[half] = ",".join([cells[0]] + ["9999"] * (len(cells) - 1))
    path.write_text("\n".join(lines) + "\n")
    assert OWN in failed(copy, rehash=False)
    assert "power traces are whole" in failed(copy)


def test_a_changed_bundle_and_a_changed_picture(sound, bundles, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    document = json.loads((copy / "run.json").read_text())
    shutil.copytree(bundles, tmp_path / "bundles")
    manifest = tmp_path / "bundles" / "cpu" / "tiny_local" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    shutil.copytree(document["images_folder"], tmp_path / "images")
    picture = tmp_path / "images" / document["images"][0]["file"]
    picture.write_bytes(picture.read_bytes()[:-5])
    document.update(
        bundles_folder=str(tmp_path / "bundles"), images_folder=str(tmp_path / "images")
    )
    (copy / "run.json").write_text(json.dumps(document))
    assert failed(copy) == {"bundles are those that were run", "images are those that were run"}
    document.update(bundles_folder=str(tmp_path / "gone"), images_folder=str(tmp_path / "gone"))
    (copy / "run.json").write_text(json.dumps(document))
    assert failed(copy) == set()


def test_another_hash_of_a_part_in_run_json(sound, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    document = json.loads((copy / "run.json").read_text())
    document["bundles"]["tiny_local"]["parts"][0]["sha256"] = "0" * 64
    (copy / "run.json").write_text(json.dumps(document))
    assert failed(copy) == {"bundles are those that were run"}


def test_a_run_that_was_cut_off_is_no_damaged_one(sound, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    document = json.loads((copy / "run.json").read_text())
    document.update(finished_wall=None, files=None)
    (copy / "run.json").write_text(json.dumps(document))
    path = copy / "samples.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    assert not [one for one in audit(str(copy)) if one.met is False]
    code, _, err = command("check", tmp_path)
    assert code == 1 and "there is no run" in err


@pytest.fixture(scope="module")
def simulated(bundles, tmp_path_factory):
    """A run with a simulated link."""
    folder = tmp_path_factory.mktemp("simulated")
    config = folder / "c.yaml"
    config.write_text(CONFIG.format(inferences=6, repeats=1))
    run = folder / "run"
    code, _, err = command("profile", "--config", config, "--bundles", bundles, "--out", run,
                           "--link", "simulated:lora")  # fmt: skip
    assert code == 0, err
    return run


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (set_(payload_bytes=-5), "every line can be read"),
        (set_(started_monotonic_s=float("nan")), "every line can be read"),
        (set_(payload_bytes=77), "bytes add up"),
    ],
)
def test_a_run_over_a_link_that_was_tampered_with(simulated, tmp_path, change, name):
    assert not failed(simulated)
    assert name in failed(tampered(simulated, tmp_path, "samples", change, split))


@pytest.mark.parametrize("key", ["blocks", "config", "images"])
def test_a_plan_that_was_tampered_with_is_told(sound, tmp_path, key):
    copy = tmp_path / "copy"
    shutil.copytree(sound, copy)
    document = json.loads((copy / "run.json").read_text())
    if key == "config":
        document["config"]["no_such_key"] = 1
    else:
        document[key][0] = {"nonsense": 1}
    (copy / "run.json").write_text(json.dumps(document))
    code, out, err = command("check", copy)
    assert code == 1 and "[ ] run.json" in out and "Traceback" not in err


def test_figures_are_those_of_other_code(simulated):
    run = read_run(str(simulated))
    (link,) = run.config.links
    lines = {(r["block"], r["warmup"], r["inference"]): r for r in rows(simulated, "samples.jsonl")}
    sent = [s for s in run.samples if s.requests]
    assert sent
    for sample in sent:
        payload_s, wire_s = oracles.link_times(lines[sample.key], link.rate_kbit_s)
        assert uplink_payload_s(sample, link) == pytest.approx(payload_s)
        assert uplink_wire_s(sample, link) == pytest.approx(wire_s)
        assert end_to_end_s(sample, link) == pytest.approx(sample.total_s + payload_s)
    for config in ("LC1", "Ours1"):
        times = [r["total_s"] for r in lines.values() if r["config"] == config and not r["warmup"]]
        told = spread([s.total_s for s in run.measured(config)])._asdict()
        assert told.pop("samples") == len(times)
        assert told == pytest.approx(oracles.summary(times))


def test_joules_are_a_trapezoids(powered):
    """Of readings without gaps, however busy this machine is."""
    run = read_run(str(powered))
    (trace,) = (powered / "power").glob("*.csv")
    (block,) = energy_of(run)
    windows = rows(powered, "windows.jsonl")
    (window,) = [w for w in windows if w["name"] == "inferences"]
    idle = [w for w in windows if w["name"] == "idle"]
    for rail in block.rails:
        oracles.assert_joules(rail, trace, window, block.inferences, idle)


@pytest.mark.parametrize("count", [1, 5, 6, 7, 8, 63, 64, 661, 662, 2000])
def test_order_statistics_in_whole_numbers_are_those_of_scipy(count):
    dice = random.Random(count)
    times = sorted(dice.expovariate(1.0) for _ in range(count))
    found = oracles.summary(times)
    assert found["p99_s"] == pytest.approx(np.percentile(times, 99))
    low = int(binom.ppf(0.025, count, 0.5)) - 1
    assert found["p50_low_s"] == (times[low] if low >= 0 else None)
    assert found["p50_high_s"] == (times[count - 1 - low] if low >= 0 else None)
    for name, p in (("p90_bound_s", 0.1), ("p99_bound_s", 0.01)):
        above = int(binom.ppf(0.01, count, p)) - 1
        assert found[name] == (times[count - above] if above >= 1 else None)
    assert found == {k: v for k, v in spread(times)._asdict().items() if k != "samples"}


def test_a_peak_over_several_processes_is_the_largest(sound, tmp_path):
    def twice(row):
        return [row, dict(row, process_peak_bytes=row["process_peak_bytes"] - 4096)]

    copy = tampered(sound, tmp_path, "memory", twice)
    assert "memory peaks are plausible" not in failed(copy)
    (before,), (after,) = (series_of([read_run(str(run))]) for run in (sound, copy))
    peaks = [peak_memory_gb(entry) for entry in before.entries]
    assert peaks[0].value and [peak_memory_gb(entry) for entry in after.entries] == peaks
