"""Where the order of configurations turns: against `splitwatt whatif`, and against arithmetic."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from splitwatt.profiler.analyse.rates import cases
from splitwatt.profiler.records.run import read_run
from splitwatt.reports.figures.draw import drawings
from splitwatt.reports.load.model import series_of
from splitwatt.reports.tables.breakeven import (
    BOARD_SPEEDS,
    RATES_KBIT_S,
    fastest_map,
    turning_table,
    turns,
)
from splitwatt.reports.write.headlines import headlines
from splitwatt.reports.write.write import make_report
from tests.profiler.conftest import command
from tests.reports.synthetic import make_config, write_run

ROWS = ["LC1", "LC17", "SC5", "Ours1", "Ours5"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turning")
    run = write_run(folder / "run", make_config(ROWS, links=2, inferences=8))
    return run, folder / "report", make_report([run], folder / "report")


def test_the_table_is_what_the_command_computes(made):
    run, folder, _ = made
    rows = pd.read_csv(folder / "turning.csv")
    assert len(rows) == 3 * 2 * 2  # split configurations, links, local ones
    checked = 0
    for rate, link in ((100, "100 kbit/s"), (37.5, "LoRa 37.5 kbit/s")):
        for against in ("LC1", "LC17"):
            pairs = [
                flag for id in ("SC5", "Ours1", "Ours5") for flag in ("--pair", f"{id},{against}")
            ]
            _, out, _ = command("whatif", run, "--json", "--rate", f"{rate}kbit", *pairs)
            for event in json.loads(out)["break_even"]:
                if event["axis"] == "rate_kbit_s":
                    continue
                own = event["other"] if event["fast"] == against else event["fast"]
                wanted = (event["fast"] == own) == (event["axis"] == "server_speed")
                row = rows[(rows.config == own.replace("Ours", "Ours ").replace("SC", "SC "))
                           & (rows.link == link)
                           & (rows.against == against.replace("LC", "LC "))]  # fmt: skip
                value = row[event["axis"]].item()
                if event["value"] is None or not wanted:
                    assert np.isnan(value)
                    continue
                ends = [row[f"{event['axis']}_{end}"].item() for end in ("low", "high")]
                assert value == pytest.approx(event["value"], rel=1e-9)
                assert ends == [pytest.approx(event[end], rel=1e-9) for end in ("low", "high")]
                assert "estimated" in row[f"{event['axis']}_source"].item()
                checked += 1
    assert checked >= 8


def test_the_summary_begins_with_where_the_order_turns(made):
    _, folder, report = made
    first = report.headlines[0]
    assert first.text.startswith("At 100 kbit/s Ours 5 beats LC ")
    assert ", the fastest local row, on boards slower than " in first.text
    assert ", the slowest local row, on boards slower than " in first.text
    assert "estimated" in first.text and first.unit == "times this run's board"
    text = (folder / "report.md").read_text()
    assert text.index("- At 100 kbit/s Ours 5 beats") < text.index("- End-to-end latency")


def test_the_map_is_the_fastest_configuration_at_every_point(made):
    run, folder, report = made
    found = fastest_map(series_of([read_run(str(run))])[0])
    known = {case.config: case for case in cases(read_run(str(run)))}
    winners = set()
    for i in range(0, len(RATES_KBIT_S), 15):
        for j in range(0, len(BOARD_SPEEDS), 15):
            medians = {id: c.median_s(RATES_KBIT_S[i], 1.0, BOARD_SPEEDS[j])
                       for id, c in known.items()}  # fmt: skip
            best = min(medians, key=medians.get)
            assert found.entries[found.winner[i, j]].id == best
            assert found.latency_s[i, j] == pytest.approx(medians[best])
            winners.add(best[:2])
    assert winners == {"LC", "Ou"}  # else the map compares nothing
    drawing = next(drawing for drawing in report.figures if drawing.name == "turning")
    assert all((folder / file).stat().st_size > 5000 for file in drawing.files)
    assert "Estimated" in drawing.caption


def test_the_page_has_what_its_sliders_need(made):
    run, folder, _ = made
    page = (folder / "report.html").read_text()
    start = page.index("{", page.index('type="application/json"'))
    series = json.loads(page[start : page.index("</script>", start)])["series"][0]
    known = {case.config: case for case in cases(read_run(str(run)))}
    for entry in series["entries"]:
        parts = entry["payload" if entry["split"] else "local_samples"]
        total, bits, board, server = (
            np.array(parts[key]) for key in ("total", "bits", "board", "server")
        )
        times = total + board * (1 / 0.2 - 1) + server * (1 / 3 - 1) + bits / 50e3
        assert np.median(times) == pytest.approx(known[entry["id"]].median_s(50, 3, 0.2), rel=1e-5)


def test_what_a_link_charges_besides_its_rate_moves_where_the_order_turns(tmp_path):
    config = make_config(["LC1", "Ours5"], links=1, inferences=8)
    far = config.links[0]._replace(name="far", latency_ms=300.0)
    run = write_run(tmp_path / "run", config._replace(links=(*config.links, far)))
    (series,) = series_of([read_run(str(run))])
    near, distant = (turn.board.value for turn in turns(series)[::2])
    local, split = (case for case in cases(read_run(str(run))))

    def difference_s(speed, more_s):  # one request: 300 ms up and 300 ms down
        return split.median_s(100, 1, speed) + more_s - local.median_s(100, 1, speed)

    assert near == pytest.approx(brentq(difference_s, 0.01, 100, args=(0.0,)), rel=1e-6)
    assert distant == pytest.approx(brentq(difference_s, 0.01, 100, args=(0.6,)), rel=1e-6)
    assert distant < near
    notes = turning_table([series]).notes
    assert any("latency, loss and way back" in note for note in notes)
    caption = next(d.caption for d in drawings([series]) if d.name == "turning")
    assert "latency, loss and way back of the run's links are left out" in caption


def test_samples_over_a_shaped_link_turn_nowhere(tmp_path):
    config = make_config(["LC1", "Ours1"], links=1, inferences=6)
    shaped = config.links[0]._replace(name="shaped 100", kind="shaped")
    run = write_run(tmp_path / "run", config._replace(links=(shaped,)))
    report = make_report([run], tmp_path / "report")
    assert not report.table("turning").rows
    assert "turning" not in {drawing.name for drawing in report.figures}
    assert not any("on boards slower than" in line.text for line in report.headlines)


def test_where_no_board_turns_the_order_the_summary_says_so(tmp_path):
    # SC 1 computes longer on the board than the fastest local row, so a slower board never helps it.
    config = make_config(["LC20", "LC3", "SC1"], links=1, inferences=6)
    run = write_run(tmp_path / "run", config._replace(method=("SC1",)))
    first = headlines(series_of([read_run(str(run))]))[0]
    assert first.text.startswith(
        "At 100 kbit/s no configuration under test beats LC 20, the fastest local row, on any board "
        "and SC 1 beats LC 3, the slowest local row, on boards slower than 0.00"
    )
    assert first.value.word == "never"


def test_a_single_local_row_is_the_only_one(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC3", "Ours5"], links=1, inferences=6))
    text = headlines(series_of([read_run(str(run))]))[0].text
    assert "Ours 5 beats LC 3, the only local row, on boards slower than " in text
    assert text.count("beats") == 1
