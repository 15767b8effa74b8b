"""Energy in reports: every number from the trace again with scipy; what is made up says so."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import simpson

from tests.conftest import splitwatt
from tests.reports.conftest import report
from tests.reports.power import (
    IDLE_W,
    SERVER_IDLE_W,
    SERVER_W,
    SHARE,
    STAGE_S,
    STAGE_W,
    add_power,
    add_stages,
)
from tests.reports.synthetic import make_config, write_run

ROWS = ["LC1", "LC20", "SC1", "Ours1", "Ours5"]


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    folder = tmp_path_factory.mktemp("energy")
    config = make_config(ROWS, inferences=8, repeats=2, payload="published")
    run = write_run(folder / "run", config, "nano", same_machine=False, trained=True)
    add_power(run, short=("LC20",))
    return report(folder / "report", run)


def mean_power_and_joules(run, window, label):
    trace = pd.read_csv(run / "power" / f"{window.block}.csv")
    inside = trace[(trace.t_s > window.start_s) & (trace.t_s < window.end_s)].t_s
    t = np.concatenate([[window.start_s], inside, [window.end_s]])
    joules = simpson(np.interp(t, trace.t_s, trace[label]), x=t)
    return joules / (window.end_s - window.start_s), joules


def expected(run, id, label):
    """Gross and net joules per image and idle watts, pooled over the blocks of a configuration."""
    windows = pd.read_json(run / "windows.jsonl", lines=True)
    windows = windows[windows.config == id]
    gross, net, idles = [], [], []
    for _, own in windows.groupby("block"):
        idle = own[own["name"] == "idle"].itertuples()
        idle_w = np.mean([mean_power_and_joules(run, window, label)[0] for window in idle])
        (work,) = own[own["name"] == "inferences"].itertuples()
        joules = mean_power_and_joules(run, work, label)[1]
        gross.append(joules / 8)
        net.append((joules - idle_w * (work.end_s - work.start_s)) / 8)
        idles.append(idle_w)
    return np.mean(gross), np.mean(net), np.mean(idles)


def test_every_rail_of_every_configuration_again_with_scipy(nano):
    (run,) = nano.runs
    table = pd.read_csv(nano.folder / "energy.csv")
    seen = set()
    for row in table.itertuples():
        if row.config == "LC 20":
            continue
        gross, net, idle = expected(run, row.config.replace(" ", ""), row.rail)
        assert row.gross_j == pytest.approx(gross, rel=1e-6)
        assert row.net_j == pytest.approx(net, rel=1e-6)
        assert row.idle_w == pytest.approx(idle, rel=1e-6)
        assert row.gross_j_source == "measured"
        seen.add((row.config, row.rail, row.role))
    rails = [("POM_5V_IN", "total"), ("POM_5V_GPU", "part"), ("POM_5V_CPU", "part")]
    assert seen == {(c, *rail) for c in ("LC 1", "SC 1", "Ours 1", "Ours 5") for rail in rails}
    assert {rail for _, rail, _ in seen} == set(SHARE)


def test_summary_costs_and_savings_hold_the_total(nano):
    (run,) = nano.runs
    for name in ("summary", "costs"):
        rows = pd.read_csv(nano.folder / f"{name}.csv", index_col="config")
        for id in ("LC 1", "SC 1", "Ours 1", "Ours 5"):
            gross = expected(run, id.replace(" ", ""), "POM_5V_IN")[0]
            assert rows.energy_j[id] == pytest.approx(gross, rel=1e-6)
    savings = pd.read_csv(nano.folder / "savings.csv")
    row = savings[(savings.metric == "Energy") & (savings.config == "Ours 5")].iloc[0]
    ours, theirs = (expected(run, id, "POM_5V_IN")[0] for id in ("Ours5", "SC1"))
    assert row.sc_percent == pytest.approx(100 * (1 - ours / theirs), rel=1e-6)
    assert row.sc_published_percent == 88.2


def test_waiting_is_estimated_and_apart(nano):
    (run,) = nano.runs
    table = pd.read_csv(nano.folder / "energy.csv")
    idle_w = expected(run, "Ours1", "POM_5V_IN")[2]
    column = "waiting_j_100_kbit_s"
    rows = table[table.config == "Ours 1"].set_index("role")
    assert rows[column]["total"] == pytest.approx(idle_w * 8 * 67086 / 100e3, rel=1e-6)
    assert rows[f"{column}_source"]["total"] == "measured+simulated+published+estimated"
    assert rows.drop("total")[column].isna().all()
    assert table[table.config == "LC 1"][column].isna().all()
    assert "nothing really waited" in nano.markdown


def test_what_has_too_few_readings_is_a_dash_with_its_reason(nano):
    rows = nano.json["tables"]["summary"]["rows"]
    cell = next(row["energy_j"] for row in rows if row["config"] == "LC 20")
    assert cell["value"] is None and "10 are needed" in cell["why"]
    assert "no energy of LC 20: POM_5V_IN has" in nano.markdown


def test_figures_seven_and_eight(nano):
    figures = {figure["name"]: figure for figure in nano.json["figures"]}
    assert {"energy", "energy_net"} <= set(figures)
    assert figures["energy"]["title"] == "Energy (Figs. 7, 8)"
    assert figures["energy"]["sources"] == "measured"
    for name in ("energy", "energy_net"):
        assert (nano.folder / f"{name}.png").is_file()
    assert "made up" not in nano.markdown


def test_a_made_up_load_is_called_so_everywhere(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "Ours1"]), "nano", same_machine=False)
    add_power(run, provenance="generated")
    made = report(tmp_path / "report", run)
    warning = "Energy of LC 1, Ours 1 is generated: the sensor was a made-up load"
    for title in ("Summary", "Energy", "Operations, sizes, memory, energy"):
        assert warning in made.markdown.split(f"\n## {title}\n")[1].split("\n## ")[0]
    for row in made.json["tables"]["summary"]["rows"]:
        assert row["energy_j"]["sources"] == ["generated"]
    figures = {figure["name"]: figure for figure in made.json["figures"]}
    assert figures["energy"]["sources"] == "generated"


def test_board_and_server_on_one_machine_have_no_energy(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "Ours1"]), "nano", same_machine=True)
    add_power(run)
    splitwatt("report", run, "--out", tmp_path / "r")
    found = json.loads((tmp_path / "r" / "report.json").read_text())
    assert found["tables"]["energy"]["rows"] == []
    for row in found["tables"]["summary"]["rows"]:
        assert row["energy_j"]["value"] is None and "same machine" in row["energy_j"]["why"]


def test_stages_and_the_servers_end_have_tables_of_their_own(tmp_path):
    config = make_config(["LC1", "Ours1", "LC20"], inferences=8, repeats=1, stage_energy_s=STAGE_S)
    run = write_run(tmp_path / "run", config, "nano", same_machine=False, trained=True)
    add_power(run)
    add_stages(run, "LC1", ("ic.preprocess", "ic.model"))
    add_stages(run, "Ours1", ("all.encoder", "all.server"), at=60000.0)
    made = report(tmp_path / "report", run)
    table = pd.read_csv(made.folder / "energy_stages.csv")
    assert set(table.columns) >= {"stage", "end", "rail", "gross_j", "net_j", "idle_w"}
    for row in table[table.config != "LC 20"].itertuples():
        busy, idle = STAGE_W[row.stage], IDLE_W
        if row.end == "server":
            assert row.stage == "all.server"
            busy, idle = SERVER_W, SERVER_IDLE_W
        assert row.gross_j == pytest.approx(busy * STAGE_S / 200, rel=1e-6)
        assert row.net_j == pytest.approx((busy - idle) * STAGE_S / 200, rel=1e-6)
        assert row.idle_w == pytest.approx(idle, rel=1e-6) and row.repetitions == 200
        assert row.gross_j_source == "measured"
    pairs = list(table[table.config != "LC 20"][["stage", "end"]].itertuples(index=False))
    assert [tuple(pair) for pair in pairs] == [
        ("ic.preprocess", "board"), ("ic.model", "board"), ("all.encoder", "board"),
        ("all.server", "board"), ("all.server", "server"),
    ]  # fmt: skip
    # What was not repeated is there, and says so.
    missing = table[table.config == "LC 20"]
    assert len(missing) >= 3 and missing.gross_j.isna().all()
    assert "## Energy of stages" in made.markdown
    assert "## Energy of the server" not in made.markdown  # no block's server was sampled


def test_what_is_flagged_is_counted(tmp_path):
    config = make_config(["LC1", "Ours1"], inferences=8, repeats=6, payload="published")
    run = write_run(tmp_path / "run", config, "nano", same_machine=False, trained=True)
    add_power(run)
    path = run / "power" / "LC1-cpu-0.csv"
    lines = path.read_text().splitlines()
    for i, bad in ((40, "-3"), (60, "900"), (61, "")):
        cells = lines[i].split(",")
        lines[i] = ",".join([cells[0], bad, *cells[2:]])
    path.write_text("\n".join(lines) + "\n")
    about = json.loads(path.with_suffix(".json").read_text())
    about["events"] = [{"what": "suspended", "at_s": 1.0, "seconds": 3.0}] * 2
    path.with_suffix(".json").write_text(json.dumps(about))
    made = report(tmp_path / "report", run)
    table = pd.read_csv(made.folder / "energy.csv").set_index(["config", "rail"])
    assert table.left_out["LC 1", "POM_5V_IN"] == 3 and table.left_out["Ours 1", "POM_5V_IN"] == 0
    assert (
        "LC 1: 1 absurd, 1 failed, 1 negative readings of POM_5V_IN were left out; the sampler "
        "noted: 2 suspended."
    ) in made.markdown
    # Six blocks: their own spread gives the interval, and it holds the mean.
    for row in table.itertuples():
        assert row.gross_j_low <= row.gross_j <= row.gross_j_high
    own = [expected_of_block(run, i) for i in range(6)]
    low, high = table.gross_j_low["LC 1", "POM_5V_IN"], table.gross_j_high["LC 1", "POM_5V_IN"]
    assert min(own) * 0.9 < low < high < max(own) * 1.1


def expected_of_block(run, number):
    windows = pd.read_json(run / "windows.jsonl", lines=True)
    own = windows[(windows.block == f"LC1-cpu-{number}") & (windows["name"] == "inferences")]
    (work,) = own.itertuples()
    return (work.end_s - work.start_s) * 7.0 / 8
