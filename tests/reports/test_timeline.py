"""The timeline of a deployed run in a report: counted again here from the lines of its files."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from splitwatt.profiler.records.run import read_run
from splitwatt.reports.load.model import series_of
from splitwatt.reports.tables.timeline import energy_so_far, timelines
from splitwatt.reports.write.write import make_report
from tests.reports.power import rail
from tests.reports.synthetic import make_config, write_run

ROWS = ["Ours1", "Ours5", "LC1"]
DEADLINE_S = 0.5


def deploy(folder, fps=5.0, frames=300):
    """Make a synthetic run a deployed one: the link gets slower, is gone, and comes back."""
    write_run(folder, make_config(ROWS, links=2, inferences=frames // 2, warmup=0, repeats=1))
    document = json.loads((folder / "run.json").read_text())
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    stock = {row: iter([s for s in samples if s["config"] == row]) for row in ROWS}
    dice, used, rows = np.random.default_rng(7), [], []
    for frame in range(frames):
        at = frame / frames
        row, rate = next(
            (row, rate) for end, row, rate in (
                (0.3, "Ours1", 1000.0), (0.55, "Ours5", 100.0), (0.8, "LC1", None),
                (1.0, "Ours1", 900.0),
            ) if at < end
        )  # fmt: skip
        if frame % 17 == 5:
            continue  # dropped
        sample = next(stock[row])
        latency_s = float(dice.gamma(9, 0.035))
        failed = frame % 40 == 3
        sample.update(total_s=None if failed else latency_s, status="failed" if failed else "ok",
                      started_monotonic_s=1000 + frame / fps, stages={})  # fmt: skip
        sample.update({"reason": "the server is gone", "failed_by": "server"} if failed else {})
        used.append(sample)
        rows.append({
            "config": row, "block": sample["block"], "frame": frame,
            "inference": sample["inference"], "captured_monotonic_s": 1000 + frame / fps,
            "latency_s": latency_s, "chosen": row, "why": "best", "predicted_s": 0.3,
            "rate_kbit_s": rate and rate * float(dice.uniform(0.9, 1.1)),
            "quality": {"Ours1": 75.0, "Ours5": 71.0, "LC1": 66.0}[row], "hedged": False,
            "dropped": frame // 17 + (frame % 17 > 5), "session": 0,
        })  # fmt: skip
    document["deployed"] = {
        "source": "a test", "deadline_s": DEADLINE_S, "quality_of": "top-1 accuracy [%]",
        "counts": {"dropped_late": rows[-1]["dropped"] + 2, "dropped_for_newer": 1},
    }  # fmt: skip
    document["files"] = None
    (folder / "run.json").write_text(json.dumps(document))
    for name, lines in (("samples", used), ("timeline", rows)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text)
    return folder, used, rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeline")
    run, samples, rows = deploy(folder / "run")
    return folder / "report", make_report([run], folder / "report"), samples, rows


def test_the_table_counts_what_the_lines_say(made):
    folder, _, samples, rows = made
    table = pd.read_csv(folder / "timeline.csv").set_index("config")
    lines = pd.DataFrame(rows)
    lines["ok"] = [sample["status"] == "ok" for sample in samples]
    groups = {"all": lines, **{c: lines[lines.config == c] for c in ROWS}}
    assert len(table) == len(groups)
    for config, own in groups.items():
        row = table.loc[config.replace("Ours", "Ours ").replace("LC", "LC ")]
        answered = own[own.ok]
        in_time = (answered.latency_s <= DEADLINE_S).sum()
        assert (row.frames, row.answered, row.in_time) == (len(own), len(answered), in_time)
        assert row.in_time_percent == pytest.approx(100 * in_time / len(own))
        assert row.latency_s == pytest.approx(answered.latency_s.median())
        assert row.latency_s_low < row.latency_s < row.latency_s_high
        assert row.longest_s == answered.latency_s.max()
        assert row.quality == pytest.approx(answered.quality.mean())
        assert np.isnan(row.energy_j)
    assert table.loc["all"].dropped == rows[-1]["dropped"] + 3
    assert table.loc["all"].switches == 3 and np.isnan(table.loc["LC 1"].switches)


def test_the_figure_has_a_caption_and_is_a_page_wide(made):
    folder, report, _, _ = made
    drawing = next(drawing for drawing in report.figures if drawing.name == "timeline")
    assert "the deadline, 0.5 s" in drawing.under and "Sources: measured." in drawing.under
    text = (folder / "report.md").read_text()
    assert "## Frames of deployed runs" in text and "](timeline.png)" in text
    with Image.open(folder / "timeline.png") as picture:
        assert picture.width == 2141


def test_a_run_cut_off_without_a_deadline_or_a_rate_has_its_timeline(tmp_path):
    run, _, rows = deploy(tmp_path / "run")
    document = json.loads((run / "run.json").read_text())
    document["deployed"].update(deadline_s=None, counts={}, quality_of="")
    document["finished_wall"] = None
    (run / "run.json").write_text(json.dumps(document))
    few = [{**row, "rate_kbit_s": None, "quality": None} for row in rows[:5]]
    (run / "timeline.jsonl").write_text("".join(json.dumps(row) + "\n" for row in few))
    report = make_report([run], tmp_path / "report")
    last = report.table("timeline").rows[-1]
    assert last["dropped"].value == few[-1]["dropped"] and last["quality"].value is None
    assert last["in_time"].value == last["answered"].value == 4


def test_joules_of_a_run_of_one_configuration_are_in_the_table_and_the_figure(tmp_path):
    """A made-up sensor reads 4 W throughout."""
    run, samples, rows = deploy(tmp_path / "run")
    kept = [i for i, row in enumerate(rows) if row["config"] == "Ours5"]
    kept = [i for i in kept if samples[i]["status"] == "ok"]
    document = json.loads((run / "run.json").read_text())
    document["same_machine"] = False
    (run / "run.json").write_text(json.dumps(document))
    for name, lines in (("samples", samples), ("timeline", rows)):
        text = "".join(json.dumps(lines[i]) + "\n" for i in kept)
        (run / f"{name}.jsonl").write_text(text)
    block = rows[kept[0]]["block"]
    begin, end = 1000.0, 1062.0
    window = {"name": "inferences", "config": "Ours5", "backend": "cpu", "block": block,
              "start_s": begin, "end_s": end}  # fmt: skip
    (run / "windows.jsonl").write_text(json.dumps(window) + "\n")
    about = {"format": 1, "rails": [rail("POM_5V_IN")], "total": ["POM_5V_IN"],
             "provenance": "measured", "events": []}  # fmt: skip
    (run / "power" / f"{block}.json").write_text(json.dumps(about))
    # The last digits differ, as a sensor's do: equal readings count as one.
    lines = [f"{begin - 1 + i / 20},{4 + 1e-4 * (i % 7):.4f}" for i in range(1290)]
    (run / "power" / f"{block}.csv").write_text("\n".join(["t_s,POM_5V_IN", *lines]) + "\n")
    (timeline,) = timelines(series_of([read_run(str(run))]))
    energy = energy_so_far(timeline)
    assert len(energy) > 50
    assert [joules for _, joules in energy] == pytest.approx([4 * s for s, _ in energy], rel=2e-3)
    report = make_report([run], tmp_path / "report")
    row = report.table("timeline").rows[0]
    assert row["energy_j"].value == pytest.approx(4 * (end - begin) / len(kept), rel=2e-3)
    drawing = next(drawing for drawing in report.figures if drawing.name == "timeline")
    assert "joules of the board" in drawing.caption


def test_a_profile_has_no_timeline(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1"], inferences=6))
    report = make_report([run], tmp_path / "report")
    assert not report.table("timeline").rows
    assert "timeline" not in {drawing.name for drawing in report.figures}
