"""The run folder of `splitwatt run`: what check, whatif and report make of it."""

import csv
import json

import numpy as np
import pytest

from splitwatt.profiler.analyse.times import network_s, server_s
from splitwatt.profiler.records.run import read_run
from splitwatt.reports.load.model import series_of
from splitwatt.reports.tables.timeline import timelines
from tests.profiler.conftest import command
from tests.profiler.mutations import survive
from tests.profiler.test_hostile_runs import READERS


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, tiny, server, video):
    """(the run folder, the lines that were printed) of a video over a policy."""
    folder = tmp_path_factory.mktemp("deployed")
    points = "".join(
        "  - {config: %s, bundle: %s, quality: %d}\n" % (config, tiny / "cpu" / bundle, quality)
        for config, bundle, quality in (("Ours1", "tiny@1", 2), ("LC1", "tiny_local", 1))
    )
    policy = folder / "policy.yaml"
    policy.write_text("format: 1\ndeadline_ms: 1000\nquality_of: stars\npoints:\n" + points)
    code, out, err = command("run", "--source", video, "--policy", policy, "--server", server.url,
                             "--out", folder / "run")  # fmt: skip
    assert code == 0, err
    return folder / "run", [json.loads(line) for line in out.splitlines()]


def test_samples_and_timeline_are_what_was_printed(deployed):
    path, lines = deployed
    run = read_run(str(path))
    assert run.finished and run.document["deployed"]["deadline_s"] == 1.0
    assert run.document["deployed"]["counts"]["answered"] == len(lines) == len(run.samples)
    for line, sample, row in zip(lines, run.samples, run.timeline):
        assert (line["config"], line["name"]) == (sample.config, sample.image)
        assert (line["frame"], line["config"]) == (row.frame, row.config)
        assert line["payload_bytes"] == sample.payload_bytes
        assert sample.total_s == pytest.approx(line["latency_s"], abs=1e-5)
        assert sum(sample.stages.values()) == pytest.approx(sample.total_s, abs=1e-3)
        assert row.quality == {"Ours1": 2, "LC1": 1}[row.config]
    split = run.measured("Ours1")
    assert split and all(server_s(s) > 0 and network_s(s) >= 0 for s in split)
    assert {memory.config for memory in run.memory} == {s.config for s in run.samples}


def test_check_takes_it_and_sees_a_frame_that_was_changed(deployed, tmp_path):
    path, _ = deployed
    code, out, err = command("check", path)
    assert code == 0, out + err
    text = (path / "timeline.jsonl").read_text()
    lines = text.splitlines(True)
    try:
        (path / "timeline.jsonl").write_text("".join(lines[:2] + lines[3:]))
        code, out, _ = command("check", path)
        assert code == 1 and "has no line in timeline.jsonl" in out
    finally:
        (path / "timeline.jsonl").write_text(text)


def test_no_change_of_it_makes_a_traceback(deployed, tmp_path):
    """As `test_hostile_runs.py`, with the files that only `splitwatt run` writes."""
    readers = {**READERS, "timeline": lambda path: timelines(series_of([read_run(path)]))}
    faults = survive(deployed[0], tmp_path, range(200), 21, readers)
    assert not faults, "\n".join(map(str, faults[:20]))


def test_check_takes_it_where_a_configuration_took_no_frame(tiny, photographs, tmp_path):
    bundle = tiny / "cpu" / "tiny_local"
    points = "".join("  - {config: %s, bundle: %s}\n" % (c, bundle) for c in ("LC1", "LC2"))
    policy = tmp_path / "policy.yaml"
    policy.write_text("format: 1\ndeadline_ms: 30000\npoints:\n" + points)
    code, _, err = command("run", "--source", photographs[0].parent, "--policy", policy,
                           "--out", tmp_path / "run")  # fmt: skip
    assert code == 0, err
    assert {sample.config for sample in read_run(str(tmp_path / "run")).samples} == {"LC1"}
    code, out, err = command("check", tmp_path / "run")
    assert code == 0, out + err


def test_whatif_takes_it(deployed):
    path, _ = deployed
    code, out, err = command("whatif", path, "--rate", "100kbit", "--json")
    assert code == 0, err
    rows = {row["config"]: row for row in json.loads(out)["configurations"]}
    samples = read_run(str(path)).measured("Ours1")
    rest = [s.total_s - server_s(s) - network_s(s) + server_s(s) for s in samples]
    assert rows["Ours1"]["at"][0]["median_s"] > np.median(rest)


def test_report_takes_it(deployed, tmp_path):
    path, _ = deployed
    code, out, err = command("report", path, "--out", tmp_path / "paper")
    assert code == 0, out + err
    assert "Ours1" in (tmp_path / "paper" / "report.md").read_text().replace(" ", "")
    with open(tmp_path / "paper" / "timeline.csv", encoding="utf-8") as stream:
        of_all = list(csv.DictReader(stream))[-1]
    counts = read_run(str(path)).document["deployed"]["counts"]
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped"))
    for key in ("answered", "in_time", "hedged", "switches"):
        assert float(of_all[key]) == counts[key], key
    assert of_all["config"] == "all" and float(of_all["dropped"]) == dropped
    assert (tmp_path / "paper" / "timeline.pdf").is_file()


def test_it_is_not_resumed_and_not_written_over(deployed, tiny, photographs):
    path, _ = deployed
    code, _, err = command("profile", "--resume", path)
    assert code == 1 and "nothing to resume" in err
    code, _, err = command("run", "--source", photographs[0].parent, "--out", path, "--bundle",
                           tiny / "cpu" / "tiny_local")  # fmt: skip
    assert code == 1 and "holds a run already" in err
