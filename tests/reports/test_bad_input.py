"""Damaged, mixed and partial runs: the report is made of what is there, and says what is not."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.profiler.records.run import read_run
from splitwatt.reports.load.model import printed_links, series_of, slug
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.tables.breakeven import breakeven_table, turns
from splitwatt.reports.tables.savings import savings_by_row
from splitwatt.reports.write.write import make_report
from tests.reports.power import add_power
from tests.reports.synthetic import make_config, write_run

NAN = float("nan")


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", make_config(["LC1", "LC20", "SC1", "Ours1"], inferences=7))


def with_lines(file, change):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for i, line in enumerate(lines):
        change(i, line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def texts(folder):
    names = [
        "report.md",
        "report.html",
        "report.json",
        *(f"latex/{n}" for n in ("report.tex", "macros.tex")),
    ]
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


@pytest.mark.parametrize("name", ["samples.jsonl", "memory.jsonl", "run.json"])
def test_a_run_with_nan_is_refused(run, tmp_path, name):
    if name == "run.json":
        document = json.loads((run / name).read_text())
        next(iter(document["bundles"].values()))["parts"][0]["gmac"] = NAN
        (run / name).write_text(json.dumps(document))
    else:
        field = "total_s" if name == "samples.jsonl" else "process_peak_bytes"
        with_lines(run / name, lambda i, line: line.update({field: NAN}) if i == 2 else None)
    with pytest.raises(RunError, match="holds NaN") as refused:
        make_report([run], tmp_path / "r")
    assert name in str(refused.value) and not (tmp_path / "r").exists()


def test_half_a_power_trace_and_damaged_readings(tmp_path):
    config = make_config(["LC20", "Ours1"], inferences=6)
    run = write_run(tmp_path / "run", config, "nano", same_machine=False)
    add_power(run)
    traces = sorted((run / "power").glob("*.csv"))
    cut = traces[0].read_text().splitlines()
    traces[0].write_text("\n".join(cut[: len(cut) // 4]) + "\n1.2,na")
    folder = tmp_path / "r"
    report = make_report([run], folder)
    energy = pd.read_csv(folder / "summary.csv").energy_j
    assert energy.isna().any() and energy.notna().any()
    assert any("no energy of" in line for line in report.shortfalls)


def test_different_boards_links_and_configurations_are_in_one_report(tmp_path):
    a = write_run(tmp_path / "a", make_config(["LC1", "SC1"], links=1))
    b = write_run(
        tmp_path / "b",
        make_config(["LC1", "Ours1"], links=2, backends=("tensorrt",)),
        "nano",
        seed=2,
    )
    folder = tmp_path / "r"
    make_report([a, b], folder)
    rows = {(r["board"], r["config"]): r for r in json.loads((folder / "report.json").read_text())
            ["tables"]["summary"]["rows"]}  # fmt: skip
    assert set(rows) == {("cpu", "LC 1"), ("cpu", "SC 1"), ("nano", "LC 1"), ("nano", "Ours 1")}
    assert (
        rows["cpu", "SC 1"]["end_to_end_s_lora_37_5_kbit_s"]["why"] == "this run has no such link"
    )


def test_no_good_sample_at_all_is_a_report_without_numbers(tmp_path):
    config = make_config(["LC1", "SC1"])
    run = write_run(tmp_path / "run", config, finished=False, skip=("LC1", "SC1"))
    folder = tmp_path / "r"
    report = make_report([run], folder)
    assert report.headlines and "Local GMAC" not in report.headlines[0] or not report.headlines
    rows = pd.read_csv(folder / "summary.csv")
    assert (
        rows[[c for c in rows if c.startswith("end_to_end") and not c.endswith("source")]]
        .isna()
        .all(axis=None)
    )
    assert "-" in (folder / "latex" / "table_summary.tex").read_text()


def test_text_with_markup_stays_text(run, tmp_path):
    odd = "</script><b>q&b</b> {{DATA}} 100%_$"

    def fail(i, line):
        if i % 2:
            line.update(status="failed", reason=odd)
        line["image"] = odd

    with_lines(run / "samples.jsonl", fail)
    folder = tmp_path / "r"
    make_report([run], folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<b>q" not in page and page.count("</script>") == 2 and "&lt;b&gt;q&amp;b" in page
    assert r"100\%\_\allowbreak{}\$" in (folder / "latex" / "report.tex").read_text()


def test_names_that_differ_in_punctuation_keep_a_column_each(tmp_path):
    config = make_config(["LC1", "SC5", "Ours1", "Ours5"], links=1, inferences=6)
    names = ("LC1", "SC5", "new-net", "new_net")
    rows = zip(config.configurations, names, strict=True)
    config = config._replace(configurations=tuple(row._replace(id=name) for row, name in rows))
    [series] = series_of([read_run(str(write_run(tmp_path / "run", config)))])
    table = savings_by_row([series])
    shown = {column.title: table.rows[0][column.key].value for column in table.columns[-3:-1]}
    theirs, *ours = (
        latency(series.entry(id), series.links[0]).total.value for id in ("LC1", *names[2:])
    )
    wanted = [pytest.approx(100 * (1 - own / theirs)) for own in ours]
    assert [shown["new-net"], shown["new_net"]] == wanted
    assert len({column.key for column in table.columns}) == len(table.columns)


def test_links_of_one_name_keep_a_column_and_a_figure_each(tmp_path):
    """A shaped link is profiled as a run of its own, and has the name of the simulated one."""
    config = make_config(["LC1", "Ours1"], links=1, inferences=7)
    link = config.links[0]
    shaped = link._replace(kind="shaped", source="profiled over it")
    runs = [
        write_run(tmp_path / "simulated", config, seed=1),
        write_run(tmp_path / "shaped", config._replace(links=(shaped,)), seed=2),
        write_run(tmp_path / "again", config._replace(links=(link._replace(source="a"),)), seed=3),
    ]
    folder = tmp_path / "r"
    make_report(runs, folder)
    document = json.loads((folder / "report.json").read_text())
    keys = [c["key"] for c in document["tables"]["summary"]["columns"] if "end_to" in c["key"]]
    assert keys == ["end_to_end_s_100_kbit_s_simulated", "end_to_end_s_100_kbit_s_shaped"]
    rows = [r for r in document["tables"]["summary"]["rows"] if r["config"] == "Ours 1"]
    found = [[row[key]["value"] is not None for key in keys] for row in rows]
    assert found == [[True, False], [False, True], [True, False]]
    names = [figure["name"] for figure in document["figures"]]
    assert len(set(names)) == len(names)
    assert {"latency_100_kbit_s_simulated", "latency_100_kbit_s_shaped"} <= set(names)
    assert "100 kbit/s, shaped: shaped, 100 kbit/s" in (folder / "report.md").read_text()


def test_without_recorded_bytes_there_is_no_break_even(run):
    with_lines(run / "samples.jsonl", lambda i, line: line.update(payload_bytes=None))
    [series] = series_of([read_run(str(run))])
    for row in breakeven_table([series]).rows:
        assert row["fastest_kbit_s"].value is None and not row["fastest_kbit_s"].word
    assert all(turn.board.value is None and not turn.board.word for turn in turns(series))


def test_links_of_one_name_are_named_by_their_first_difference():
    link = make_config(["LC1"], links=1).links[0]._replace(bytes="wire")
    for others, names in (
        ([link._replace(kind="shaped", bytes="payload")], ["simulated", "shaped"]),
        ([link._replace(loss=0.5, latency_ms=5.0)], ["latency 0 ms", "latency 5 ms"]),
        # The slugs of 1 and -1 are the same.
        (
            [link._replace(seed=1), link._replace(seed=-1)],
            ["seed 2025", "seed 1 (2)", "seed -1 (3)"],
        ),
    ):
        links = [link, *others]
        shown = printed_links([SimpleNamespace(config=SimpleNamespace(links=links))])
        assert [shown[one].name for one in links] == [f"{link.name}, {name}" for name in names]
        assert len({slug(one) for one in shown.values()}) == len(links)


@pytest.mark.parametrize("name", ["clock", "links", "stages", "starts", "memory", "windows"])
def test_a_damaged_line_of_a_side_file_is_reported_and_the_rest_is_there(run, tmp_path, name):
    with open(run / f"{name}.jsonl", "a") as stream:
        stream.write("no JSON\n")
    report = make_report([run], tmp_path / "r")
    reported = [line for line in report.shortfalls if f"{name}.jsonl" in line]
    assert len(reported) == 1 and "damaged and left out" in reported[0]
    assert pd.read_csv(tmp_path / "r" / "summary.csv").end_to_end_s_100_kbit_s.notna().all()
    with open(run / f"{name}.jsonl", "a") as stream:
        stream.write('{"block": 1}\n')
    with pytest.raises(RunError, match=f"{name}.jsonl, line .*: "):
        make_report([run], tmp_path / "again")


def test_a_text_that_cannot_be_made_leaves_no_half_report(run, tmp_path, monkeypatch):
    def broken(*_):
        raise RunError("a text cannot be made")

    monkeypatch.setattr("splitwatt.reports.write.write.to_html", broken)
    with pytest.raises(RunError):
        make_report([run], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_damaged_accuracy_file_costs_accuracy_alone(run, tmp_path):
    (run / "accuracy.json").write_text("{")
    report = make_report([run], tmp_path / "r")
    assert any("accuracy.json is damaged and left out" in line for line in report.shortfalls)
    rows = pd.read_csv(tmp_path / "r" / "summary.csv").set_index("config")
    assert rows.loc["LC 1", "end_to_end_s_100_kbit_s"] > 0


def test_a_folder_that_cannot_be_made_is_reported_before_the_report_is_computed(
    run, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "splitwatt.reports.write.write.all_tables", lambda *_: pytest.fail("computed")
    )
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SplitwattError, match="file.* could not be written"):
            make_report([run], folder)
