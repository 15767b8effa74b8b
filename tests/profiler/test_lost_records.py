"""A kill after a block's last sample loses a record: the resume measures that block again, and says so."""

import json
import shutil

import pytest

from splitwatt.profiler.analyse.energy import energy_of, stage_energy_of
from splitwatt.profiler.check.cli import audit
from splitwatt.profiler.config.config import load_config
from splitwatt.profiler.execute import power
from splitwatt.profiler.execute.job import Options
from splitwatt.profiler.execute.runner import resume_run, start_run
from splitwatt.profiler.records.run import read_run
from tests.profiler.conftest import command

CONFIG = """
format: 1
name: lost
warmup: 1
inferences: 6
configurations:
  LC1: {local: [tiny_local]}
  LC2: {local: [tiny_local]}
"""


@pytest.fixture(scope="module")
def powered(tiny, tmp_path_factory):
    """A run with memory peaks, power traces and repeated stages, and the options to resume it."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(power, "IDLE_S", 0.2)
    folder = tmp_path_factory.mktemp("lost")
    (folder / "c.yaml").write_text(CONFIG)
    config = load_config(str(folder / "c.yaml"))._replace(stage_energy_s=0.2)
    options = Options(bundles=str(tiny), target="cpu", driver="generated")
    start_run(config, options, str(folder / "run"))
    yield folder / "run", options
    monkeypatch.undo()


def without(run, name, gone):
    """Drop the lines of a file that `gone` says; whether there were any."""
    lines = [json.loads(line) for line in (run / name).read_text().splitlines()]
    kept = [line for line in lines if not gone(line)]
    (run / name).write_text("".join(json.dumps(line) + "\n" for line in kept))
    return len(kept) < len(lines)


def unfinished(run):
    document = json.loads((run / "run.json").read_text())
    document.update(finished_wall=None, files=None)
    (run / "run.json").write_text(json.dumps(document))


def last_idle(run):
    rows = [json.loads(line) for line in (run / "windows.jsonl").read_text().splitlines()]
    own = [r["start_s"] for r in rows if (r["block"], r["name"]) == ("LC1.cpu.0", "idle")]
    return max(own)


LOST = {
    "its memory peak": ("memory.jsonl", lambda run, row: row["block"] == "LC1.cpu.0"),
    "how its process started": ("starts.jsonl", lambda run, row: row["block"] == "LC1.cpu.0"),
    "the window of its last inferences": (
        "windows.jsonl",
        lambda run, row: (row["block"], row["name"]) == ("LC1.cpu.0", "inferences"),
    ),
    "the comparison of clocks after it": (
        "clock.jsonl",
        lambda run, row: (row["block"], row["when"]) == ("LC1.cpu.0", "after"),
    ),
    "the idle time after it": (
        "windows.jsonl",
        lambda run, row: row["name"] == "idle" and row["start_s"] == last_idle(run),
    ),
    "the description of its power trace": ("power/LC1.cpu.0.json", None),
    "the description of its power trace, cut off,": ("power/LC1.cpu.0.json", None),
}


@pytest.mark.parametrize("what", LOST)
def test_a_block_that_lost_a_record_is_measured_again(powered, tmp_path, capfd, what):
    original, options = powered
    run = tmp_path / "run"
    shutil.copytree(original, run)
    name, gone = LOST[what]
    if gone is None:
        (run / name).write_text("{") if "cut off" in what else (run / name).unlink()
        what = what.split(", cut")[0]
    else:
        assert without(run, name, lambda row: gone(original, row))
    unfinished(run)
    before = (run / "samples.jsonl").read_bytes()
    resume_run(str(run), options)
    said = f"LC1.cpu.0: {what} is missing, it is measured again"
    assert capfd.readouterr().err.count(said) == 1
    assert (run / "samples.jsonl").read_bytes().startswith(before)
    read = read_run(str(run))
    keys = [sample.key for sample in read.attempts]
    assert len(keys) == len(set(keys))
    assert read.replaced == {"LC1.cpu.0"}
    assert {s.block for s in read.measured()} == {"LC1.cpu.0.again1", "LC2.cpu.0"}
    assert {e.block: e.why_not for e in energy_of(read)}.keys() == {"LC1.cpu.0.again1", "LC2.cpu.0"}
    (resume,) = read.document["resumed"]
    assert resume["repeated"] == {"LC1.cpu.0": f"{what} is missing"}
    unmet = {one.name for one in audit(str(run)) if one.met is False}
    assert unmet == ({"every line can be read"} if read.damaged else set())
    after = (run / "samples.jsonl").read_bytes()
    resume_run(str(run), options)  # nothing is left to do
    assert (run / "samples.jsonl").read_bytes() == after


@pytest.mark.parametrize("lost", ["idle", "trace"])
def test_stages_that_lost_their_trace_are_repeated(powered, tmp_path, capfd, lost):
    original, options = powered
    run = tmp_path / "run"
    shutil.copytree(original, run)
    if lost == "trace":
        (run / "power" / "LC2.cpu.stages.json").unlink()
    else:
        own = [r for r in read_run(str(run)).windows if r.block == "LC2.cpu.stages"]
        end = max(r.start_s for r in own)
        assert without(run, "windows.jsonl", lambda row: row["start_s"] == end)
    unfinished(run)
    resume_run(str(run), options)
    assert "LC2.cpu.stages: the " in capfd.readouterr().err
    read = read_run(str(run))
    assert (run / "power" / "LC2.cpu.stages~2.csv").exists()
    assert len(read.stages) == 6 and {row.session for row in read.stages} == {0, 1}
    assert all(energy.total is not None for energy in stage_energy_of(read, least_s=0.1))
    assert [one for one in audit(str(run)) if one.met is False] == []


def test_a_resume_ends_with_the_checks(tiny, tmp_path):
    """Of the command: what it repeated, and a check that is not met, which makes it fail."""
    run = tmp_path / "run"
    (tmp_path / "c.yaml").write_text(CONFIG)
    code, _, err = command(
        "profile", "--config", tmp_path / "c.yaml", "--bundles", tiny, "--out", run
    )
    assert code == 0, err
    assert without(run, "memory.jsonl", lambda row: row["block"] == "LC2.cpu.0")
    code, out, err = command("profile", "--resume", run)
    assert code == 0, err
    assert "LC2.cpu.0: its memory peak is missing, it is measured again" in err
    assert "measured again because records were lost: LC2.cpu.0" in out
    without(run, "samples.jsonl", lambda row: False)
    rows = (run / "samples.jsonl").read_text().splitlines(True)
    (run / "samples.jsonl").write_text("".join([*rows, rows[-1]]))
    code, _, err = command("profile", "--resume", run)
    assert code == 1 and "a check of the run is not met: no sample is doubled" in err
