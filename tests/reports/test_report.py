"""What a report says in words: provenance, untrained weights, what is missing, bad input."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from matplotlib.container import ErrorbarContainer
from PIL import Image

from splitwatt.profiler.config.config import Until, load_config
from splitwatt.profiler.records.run import read_run
from splitwatt.reports.figures.draw import drawings
from splitwatt.reports.load.model import series_of
from splitwatt.reports.papers.published import is_papers
from splitwatt.reports.write.write import _listed, make_report
from tests.conftest import COMMAND, splitwatt
from tests.reports.power import add_power
from tests.reports.synthetic import make_config, write_run

UNTRAINED = "Untrained (random) weights"


def section(markdown, title):
    return markdown.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_notes_that_are_not_of_every_series_say_of_which(two_boards):
    cpu, nano = "board cpu, backend cpu", "board nano, backend cpu; board nano, backend tensorrt"
    notes = two_boards.json["tables"]["summary"]["notes"]
    rows = f"{UNTRAINED} in SC 1, 5-6, Ours 1, 5-6"
    assert any(note.startswith(f"{rows} ({cpu}): their bytes,") for note in notes)
    assert any(note.startswith(f"{rows} ({nano}): neither their bytes") for note in notes)
    assert any(note.startswith(f"Payload of {nano}: published.") for note in notes)


def test_it_stands_alone(two_boards):
    text = two_boards.markdown
    for words in (
        "synthetic-cpu-1", "synthetic-nano-2", "2 warm-up inferences", "7 inferences, 2 block(s)",
        "640x480", "on the same machine as the board", "governor performance",
        "95 % interval of the median",
    ):  # fmt: skip
        assert words in text
    for word in two_boards.json["sources"]:
        assert f"| {word} |" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (two_boards.folder / line.rsplit("(", 1)[1].rstrip(")")).is_file()


def test_ids_print_with_a_space_and_the_assumed_one_has_a_footnote(two_boards):
    assert "LC 20" in two_boards.printed and "Ours 5" in two_boards.printed
    assert "LC20" not in two_boards.printed
    for title in ("Summary", "End-to-end latency", "Data size", "Savings"):
        assert "† SC 6 is assumed:" in section(two_boards.markdown, title)
    assert "| SC 6† |" in two_boards.markdown


def test_untrained_weights_are_named_wherever_bytes_are_shown(two_boards):
    for title in (
        "Summary",
        "End-to-end latency",
        "Data size",
        "Savings",
        "Beside the paper's text",
    ):
        assert UNTRAINED in section(two_boards.markdown, title)
    assert UNTRAINED in two_boards.printed


def test_trained_weights_are_not_called_untrained(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "SC1", "Ours1"]), trained=True)
    splitwatt("report", run, "--out", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert UNTRAINED not in text
    found = json.loads((tmp_path / "report" / "report.json").read_text())["tables"]
    assert found["data_size"]["rows"][0]["payload_kib"]["sources"] == ["measured"]


def test_an_image_codecs_bytes_are_no_random_weights(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "SC1", "Ours1"]))
    document = json.loads((run / "run.json").read_text())
    model = document["bundles"]["ladon_r50@0.32"]
    model["parts"] = [part for part in model["parts"] if part["placement"] == "server"]
    (run / "run.json").write_text(json.dumps(document))
    splitwatt("report", run, "--out", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert UNTRAINED + " in SC 1: their bytes" in text
    assert UNTRAINED + " in Ours 1: their answers are not used; their bytes are an image" in text
    rows = json.loads((tmp_path / "report" / "report.json").read_text())["tables"]["data_size"]
    sources = {row["config"]: row["payload_kib"]["sources"] for row in rows["rows"]}
    assert sources["Ours 1"] == ["measured"] and "generated" in sources["SC 1"]


def test_each_number_has_its_own_source(two_boards):
    rows = {
        (row["board"], row["config"]): row["end_to_end_s_100_kbit_s"]["sources"]
        for row in two_boards.json["tables"]["summary"]["rows"]
    }
    assert rows["cpu", "LC 1"] == ["measured"]
    assert rows["cpu", "SC 1"] == ["measured", "simulated", "generated"]
    assert rows["cpu", "SC 6†"] == ["measured", "simulated", "assumed", "generated"]
    assert rows["nano", "Ours 1"] == ["measured", "simulated", "published"]
    assert rows["nano", "SC 1"] == ["measured", "simulated", "estimated"]
    assert rows["nano", "SC 6†"] == ["measured", "simulated", "estimated", "assumed"]


def test_published_payloads_are_named_and_those_without_a_published_size(two_boards):
    text = section(two_boards.markdown, "Summary")
    assert "carries each system's published mean size, not the bytes made here" in text
    assert "for SC 1, 5-6 no size was published, and it is estimated: the published bits" in text
    for row in two_boards.json["tables"]["data_size"]["rows"]:
        size = row["published_payload_kib"]
        if row["board"] == "nano":
            wanted = ["published"] if row["config"].startswith("Ours") else ["estimated"]
            assert [s for s in size["sources"] if s != "assumed"] == wanted
            assert ("assumed" in size["sources"]) == (row["config"] == "SC 6†")
        else:
            assert size["value"] is None


def test_a_configuration_without_any_known_size_is_named(tmp_path):
    config = make_config(["LC1", "SC1", "Ours1"], payload="published")
    run = write_run(tmp_path / "run", config)
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        if line["config"] == "SC1":
            line.update(published_payload_bytes=None, published_payload_source=None)
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    splitwatt("report", run, "--out", tmp_path / "r")
    text = (tmp_path / "r" / "report.md").read_text()
    assert "for SC 1 no size is published: there it carries the measured bytes" in text
    assert "estimated: the published bits" not in text


def test_what_was_not_measured_is_a_dash_and_an_empty_cell(half):
    assert "| LC 20 | - | - |" in section(half.markdown, "Summary")
    row = next(
        line for line in (half.folder / "summary.csv").read_text().splitlines() if "LC 20" in line
    )
    assert ",,,," in row and ",0," not in row.split("LC 20")[1][:8]


def test_half_a_run_says_what_is_missing_and_why(half):
    text = section(half.markdown, "What is missing or unusual")
    assert "is not finished" in text and "splitwatt profile --resume" in text
    assert "LC 20: 0 of 6 samples are good, 6 missing" in text
    assert "SC 5: 3 of 6 samples are good, 3 failed: the server is gone (3)" in text
    assert "no run has a power sensor's records" in text
    assert "| SC 5 | 6 | 3 | 3 | 0 | the server is gone (3) |" in half.markdown


def test_fewer_than_six_samples_have_no_interval(half):
    rows = half.json["tables"]["latency"]["rows"]
    row = next(row["end_to_end_s"] for row in rows if row["config"] == "SC 5")
    assert row["n"] == 3 and "low" not in row


def test_the_figures_are_pictures_of_the_sizes_of_papers(two_boards):
    names = {figure["name"] for figure in two_boards.json["figures"]}
    assert names == {
        *(f"latency_{link}_{board}" for board in ("cpu", "nano")
          for link in ("100_kbit_s", "lora_37_5_kbit_s", "ble_270_kbit_s")),
        "latency_all", "turning", "gmac", "data_size", "memory",
    }  # fmt: skip
    for figure in two_boards.json["figures"]:
        assert figure["sources"] and figure["caption"]
        for file in figure["files"]:
            content = (two_boards.folder / file).read_bytes()
            starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[file[-3:]]
            assert content.startswith(starts)
        with Image.open(two_boards.folder / figure["files"][0]) as picture:
            assert picture.width in (1046, 2141)  # a column or a page of IEEE's at 300 dpi
            assert len(picture.convert("L").getcolors()) > 20


def test_the_same_records_give_the_same_files(two_boards, tmp_path):
    splitwatt("report", *two_boards.runs, "--out", tmp_path)
    for file in sorted(path for path in two_boards.folder.rglob("*") if path.is_file()):
        name = file.relative_to(two_boards.folder)
        assert (tmp_path / name).read_bytes() == file.read_bytes(), name


def test_json_prints_one_document(two_boards, tmp_path):
    result = splitwatt("report", two_boards.runs[0], "--out", tmp_path, "--json")
    assert json.loads(result.stdout)["report"] == str(tmp_path / "report.md")


def test_forty_configurations_and_three_links_within_thirty_seconds_and_two_gigabytes(tmp_path):
    run = write_run(tmp_path / "run", make_config(links=3))
    command = [*COMMAND, "report", run, "--out", tmp_path / "report"]
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    arguments = [sys.executable, "-c", measure, *map(str, command)]
    made = subprocess.run(arguments, check=True, capture_output=True, text=True)
    seconds, peak_kib = map(float, made.stdout.splitlines()[-1].split())
    # The processor's time: what else runs on this machine does not count.
    assert seconds <= 30
    assert peak_kib * 1024 <= 2e9
    assert (tmp_path / "report" / "report.html").stat().st_size <= 5e6


def test_a_run_without_links_keeps_the_network_as_it_is(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "Ours1"], links=0))
    splitwatt("report", run, "--out", tmp_path / "report")
    rows = json.loads((tmp_path / "report" / "report.json").read_text())["tables"]["latency"][
        "rows"
    ]
    assert rows[1]["end_to_end_s"]["sources"] == ["measured"]
    assert rows[1]["uplink_s"]["value"] is None


def refuse(arguments, *words, code=1):
    result = splitwatt("report", *arguments, check=False)
    assert result.returncode == code and "Traceback" not in result.stderr
    assert all(word in result.stderr for word in words), result.stderr


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", make_config(["LC1", "Ours1"]))


def test_a_run_of_another_format_is_refused_alone_and_left_out_among_others(
    run, two_boards, tmp_path
):
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**document, "format": 2}))
    refuse([run, "--out", tmp_path / "r"], "run.json", "format 1")
    assert not (tmp_path / "r").exists()
    made = splitwatt("report", two_boards.runs[0], run, "--out", tmp_path / "r")
    assert "is left out" in made.stderr and "format 1" in made.stderr
    text = section((tmp_path / "r" / "report.md").read_text(), "What is missing or unusual")
    assert f"{run} is left out" in text and "read it with the version that wrote it" in text


def test_no_run_and_a_run_that_is_named_twice(run, tmp_path):
    refuse([tmp_path / "nothing", "--out", tmp_path / "r"], "no run", "nothing")
    copy = shutil.copytree(run, tmp_path / "copy")
    refuse([run, copy, "--out", tmp_path / "r"], "the same run", "name it once", code=2)


@pytest.mark.parametrize("figure", [float("nan"), -1.0, 1e308, 10**400])
def test_a_sample_with_an_impossible_time_is_refused(run, tmp_path, figure):
    lines = (run / "samples.jsonl").read_text().splitlines()
    lines[-1] = json.dumps({**json.loads(lines[-1]), "total_s": figure})
    (run / "samples.jsonl").write_text("\n".join(lines) + "\n")
    refuse([run, "--out", tmp_path / "r"], f"samples.jsonl, line {len(lines)}")
    assert not (tmp_path / "r").exists()


def test_the_best_savings_are_printed_with_the_papers(two_boards):
    assert "Ours 1 saves 96.5 % against LC 3 (the paper states up to 97.0 %" in two_boards.printed
    assert all(line in two_boards.markdown for line in two_boards.json["headlines"])
    costly = [line for line in two_boards.json["headlines"] if "times as much as" in line]
    assert all(float(re.split(" (?:takes|needs) ", line)[1].split()[0]) > 2 for line in costly)


def test_rows_on_published_sizes_are_not_called_meaningless(tmp_path):
    """Of such rows the summary shows what links carry, and no byte of random weights."""
    run = write_run(tmp_path / "run", make_config(["LC1", "SC1", "Ours1"], payload="published"))
    printed = " ".join(splitwatt("report", run, "--out", tmp_path / "report").stdout.split())
    assert UNTRAINED + " in all split rows: neither their bytes nor their answers are" in printed
    assert "mean nothing" not in printed and "means nothing" not in printed
    found = json.loads((tmp_path / "report" / "report.json").read_text())["tables"]
    cells = {row["config"]: row["payload_kib"] for row in found["summary"]["rows"]}
    assert (cells["Ours 1"]["sources"], cells["SC 1"]["sources"]) == (["published"], ["estimated"])
    sizes = {row["config"]: row for row in found["data_size"]["rows"]}
    assert all(cells[id] == row["published_payload_kib"] for id, row in sizes.items())
    assert "generated" in sizes["SC 1"]["payload_mean_kib"]["sources"]
    text = section((tmp_path / "report" / "report.md").read_text(), "Data size")
    assert "the bytes that were made here mean nothing, and no link carries them" in text


def test_a_config_names_the_baselines_of_its_method(tmp_path):
    config = make_config(["LC1", "LC20", "SC1", "SC5", "Ours1", "Ours5"], links=1, inferences=7)
    config = config._replace(method=("Ours5",), baselines=("LC1", "SC1"))
    run = write_run(tmp_path / "run", config)
    made = make_report([run], tmp_path / "r")
    rows = made.table("savings").rows
    assert {row["config"] for row in rows} == {"Ours 5"}
    assert {row["lc_row"] for row in rows} - {""} == {"LC 1"}
    assert {row["sc_row"] for row in rows} | {row["sc_least_row"] for row in rows} == {"SC 1"}
    assert {row["against"] for row in made.table("savings_by_row").rows} == {"LC 1", "SC 1"}
    assert all("LC 20" not in h.text or "the fastest local" in h.text for h in made.headlines)


def test_the_papers_rows_are_those_of_the_packaged_config():
    assert all(is_papers(row.id, row.models) for row in load_config("table3.yaml").configurations)
    assert not is_papers("LC1", ("mobilenet_v3_large",)) and not is_papers("Mine1", ("mine",))


def test_a_row_of_the_papers_name_with_another_model_is_not_the_papers(tmp_path):
    """The papers' claims are beside their own rows alone."""
    config = make_config(["LC1", "LC20", "SC1", "Ours1"], links=1, inferences=7)
    run = write_run(tmp_path / "run", config)
    for name in ("run.json", "samples.jsonl"):
        text = (run / name).read_text().replace("ladon_r50@0.32", "mine@0.32")
        (run / name).write_text(text)
    made = make_report([run], tmp_path / "r")
    assert not any("the paper states" in line.text for line in made.headlines)
    rows = made.table("savings").rows
    assert rows and all(row["lc_published_percent"].value is None for row in rows)
    assert all(row["ours_percent"].value is None for row in made.table("paper").rows)
    stated = {row["config"]: row["nano_gb"].value for row in made.table("memory").rows}
    assert stated["Ours 1"] is None and stated["LC 1"] is not None


def test_a_users_own_method_is_compared_with_the_best_baseline_of_each_kind(tmp_path):
    config = make_config(["LC1", "LC20", "SC1", "SC5", "Ours1"], links=1, inferences=7)
    run = write_run(tmp_path / "run", config)
    for name in ("run.json", "samples.jsonl", "memory.jsonl"):
        text = (run / name).read_text().replace('"Ours1"', '"Mine"')
        (run / name).write_text(text)
    splitwatt("report", run, "--out", tmp_path / "r")
    lines = json.loads((tmp_path / "r" / "report.json").read_text())["headlines"]
    gmac = [line for line in lines if line.startswith("Local GMAC")]
    assert any("Mine" in line and "LC 20, the best local baseline" in line for line in gmac), lines
    assert any("the best split baseline" in line for line in gmac), lines
    assert not any("the paper states" in line for line in lines)


def test_the_caption_of_a_figure_with_error_bars_says_what_they_are(tmp_path):
    config = make_config(["LC1", "SC1", "Ours1"], links=2, inferences=7)
    run = write_run(tmp_path / "run", config, "nano", same_machine=False)
    add_power(run)
    with_bars = set()
    for drawing in drawings(series_of([read_run(str(run))])):
        figure = drawing.draw()
        bars = any(
            isinstance(c, ErrorbarContainer) for axis in figure.axes for c in axis.containers
        )
        assert ("Error bars: " in drawing.caption) == bars, drawing.name
        with_bars |= {drawing.name} if bars else set()
    assert {"latency_100_kbit_s", "latency_all", "data_size", "energy"} <= with_bars


def test_what_runs_no_split_model_is_a_baseline_whatever_its_name(tmp_path):
    config = make_config(["LC1", "LC20", "Ours1"], links=1, inferences=7)
    run = write_run(tmp_path / "run", config)
    for name in ("run.json", "samples.jsonl", "memory.jsonl"):
        text = (run / name).read_text().replace('"LC20"', '"Tiny"').replace('"LC1"', '"Phone"')
        (run / name).write_text(text)
    splitwatt("report", run, "--out", tmp_path / "r")
    document = json.loads((tmp_path / "r" / "report.json").read_text())
    assert any("Ours 1" in line and "Phone" in line for line in document["headlines"])
    assert not any("the paper states" in line for line in document["headlines"])
    rows = document["tables"]["savings"]["rows"]
    assert {row["lc_row"] for row in rows if row["lc_row"]} == {"Phone"}
    assert all(row["lc_published_percent"]["value"] is None for row in rows)
    assert "SavingLC" in (tmp_path / "r" / "latex" / "macros.tex").read_text()
    assert {r["against"] for r in document["tables"]["savings_by_row"]["rows"]} == {"Tiny", "Phone"}


def test_table_1_has_the_server_and_the_gpus(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1"], links=1), "nano", same_machine=False)
    document = json.loads((run / "run.json").read_text())
    document["board_state"]["gpu"] = "part of the tegra210"
    document["server"].update(
        cpu_model="Core i9", cpus=16, gpu="NVIDIA A2", memory_total_bytes=32 * 2**30
    )
    (run / "run.json").write_text(json.dumps(document))
    splitwatt("report", run, "--out", tmp_path / "r")
    found = json.loads((tmp_path / "r" / "report.json").read_text())["tables"]["devices"]["rows"]
    board, server = found
    assert board["gpu"] == "part of the tegra210" and board["cores"]["value"] is None
    assert (server["cpu"], server["gpu"], server["cores"]["value"]) == ("Core i9", "NVIDIA A2", 16)
    assert server["ram_gib"]["value"] == 32


def test_a_smaller_report_leaves_no_file_of_the_larger_one(tmp_path):
    config = make_config(["LC1", "Ours1"], links=2, inferences=6)
    large = write_run(tmp_path / "large", config, "nano", same_machine=False)
    add_power(large)
    small = write_run(tmp_path / "small", config._replace(links=config.links[:1]), seed=2)
    folder, fresh = tmp_path / "r", tmp_path / "fresh"
    make_report([large], folder)
    for mine in ("latency_of_mine.png", "latex/paper.tex"):
        (folder / mine).write_text("mine")
    assert (folder / "energy.pdf").is_file() and (folder / "latex/table_energy.tex").is_file()
    make_report([small], folder)
    make_report([small], fresh)

    def files(path):
        return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}

    assert files(folder) == files(fresh) | {"latency_of_mine.png", "latex/paper.tex"}
    assert files(fresh) == set(json.loads((fresh / "report.json").read_text())["files"])


def test_a_list_of_files_reaches_nothing_outside_of_the_report(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    (tmp_path / "other").write_text("mine")
    (folder / "old.csv").write_text("")
    for listed in (["../other", str(tmp_path / "other"), "x/../../other", 7], "other", None):
        (folder / "report.json").write_text(json.dumps({"files": listed}))
        assert _listed(folder) == set()
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "mine").write_text("mine")
    (folder / "link").symlink_to(tmp_path / "far")
    listed = ["old.csv", "gone.csv", "link/mine", "x" * 5000]
    (folder / "report.json").write_text(json.dumps({"files": listed}))
    assert _listed(folder) == {"old.csv"}
    (folder / "report.json").write_text("[" * 100000)
    assert _listed(folder) == set()
    (folder / "report.json").unlink()
    os.mkfifo(folder / "report.json")
    assert _listed(folder) == set()


def test_where_blocks_run_until_the_median_is_known_no_sample_is_too_many(tmp_path):
    until = Until(relative_width=0.05, level=0.95, max_inferences=50, max_s=None)
    config = make_config(["LC1", "Ours1"], links=1, inferences=9)
    run = write_run(tmp_path / "run", config)
    document = json.loads((run / "run.json").read_text())
    document["config"].update(inferences=4, until=dict(until._asdict()))
    (run / "run.json").write_text(json.dumps(document))
    splitwatt("report", run, "--out", tmp_path / "r")
    document = json.loads((tmp_path / "r" / "report.json").read_text())
    rows = document["tables"]["samples"]["rows"]
    assert [row["expected"]["value"] for row in rows] == [9, 9]
    assert not any("of 4 samples" in line for line in document["missing"])


def test_captions_name_what_a_link_adds(tmp_path):
    config = make_config(["LC1", "Ours1"], links=1, inferences=6)
    shaped = config.links[0]._replace(name="shaped", kind="shaped")
    paths = [
        write_run(tmp_path / "simulated", config),
        write_run(tmp_path / "shaped", config._replace(links=(shaped,)), seed=2),
    ]
    runs = [read_run(str(path)) for path in paths]
    captions = {drawing.name: drawing.caption for drawing in drawings(series_of(runs))}
    assert "simulated" not in captions["latency_shaped"]
    assert "and the simulated link) and server" in captions["latency_100_kbit_s"]


def renamed(run, **names):
    """The run with other ids of configurations."""
    for file in ("run.json", "samples.jsonl", "memory.jsonl"):
        text = (run / file).read_text()
        for id, name in names.items():
            text = text.replace(f'"{id}"', f'"{name}"')
        (run / file).write_text(text)
    return run


def test_rows_of_nobodys_paper_have_no_papers_figures_beside_them(tmp_path):
    config = make_config(["LC1", "SC1", "Ours1"], links=1)
    run = write_run(tmp_path / "run", config)
    make_report([run], tmp_path / "own")
    splitwatt(
        "report", renamed(run, LC1="Phone", SC1="Other", Ours1="Mine"), "--out", tmp_path / "r"
    )
    papers, mine = (
        json.loads((tmp_path / name / "report.json").read_text())["tables"] for name in ("own", "r")
    )
    assert len(papers["paper"]["rows"]) == 12 and not mine["paper"]["rows"]
    keys = [[c["key"] for c in found["memory"]["columns"]] for found in (papers, mine)]
    assert "nano_gb" in keys[0] and keys[1] == ["config", "peak_memory_gb_0"]
    assert "Table S1" in str(papers["memory"]["notes"])
    assert "Table S1" not in str(mine["memory"]["notes"])


def test_the_one_reason_of_all_break_evens_is_stated(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "SC1", "Ours1"], links=1))
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        line["total_s"] += 100.0 if line["requests"] else 0.0
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    splitwatt("report", run, "--out", tmp_path / "r")
    text = section((tmp_path / "r" / "report.md").read_text(), "Break-even link rates")
    assert "No row has a rate against the fastest LC: it is slower than the local one" in text


def test_every_figure_and_table_is_in_the_text(two_boards):
    for figure in two_boards.json["figures"]:
        assert two_boards.markdown.count(f"]({figure['files'][0]})") == 1
    for table in two_boards.json["tables"].values():
        assert (f"\n## {table['title']}\n" in two_boards.markdown) == bool(table["rows"])
