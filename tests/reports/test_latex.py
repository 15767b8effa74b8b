"""LaTeX: the numbers are the CSV's, every macro is one of them, and TeX takes all of it."""

import os
import re
import shutil
import subprocess

import pandas as pd
import pytest
from matplotlib.figure import Figure

from splitwatt.reports.figures.style import paper_style
from splitwatt.reports.load.values import Value, missing
from splitwatt.reports.papers.venues import venues
from splitwatt.reports.tables.table import Column, Table, percent, significant
from splitwatt.reports.write import latex_tables
from splitwatt.reports.write.latex_tables import parts
from splitwatt.reports.write.tex import cell, escape, macro
from tests.reports.test_venues import REMEDY, missing_packages, tex


@pytest.fixture(scope="module")
def folder(two_boards):
    return two_boards.folder / "latex"


def test_text_is_escaped():
    assert escape("a_b 5 % & #1 {x} †") == r"a\_\allowbreak{}b 5 \% \& \#1 \{x\} \textdagger{}"
    assert escape("漢字 Mương Ș") == "?? M??ng Ș" and cell("-") == "--"


def test_every_character_that_is_kept_has_a_glyph(tmp_path):
    letters = "".join(map(chr, range(0x20, 0x300)))
    packages = r"\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp}"
    document = (
        rf"\documentclass{{article}}{packages}\begin{{document}}{escape(letters)}\end{{document}}"
    )
    assert "Missing character" not in tex(tmp_path, document)


def test_a_table_is_as_wide_after_figures_of_other_sizes(tmp_path):
    table = Table("t", "T", [Column("config", "Config.", number=False)], [{"config": "LC 1"}])
    venue = venues()["ieee"]
    (before,) = parts(table, venue)
    latex_tables._width_at_1pt.cache_clear()
    with paper_style(venue):
        figure = Figure()
        figure.text(0.5, 0.5, "LC 1")
        figure.savefig(tmp_path / "figure.pdf")
    assert parts(table, venue) == [before]


def test_names_of_macros_have_letters_only():
    assert macro("Ladon", "Latency", "Saving") == "LadonLatencySaving"
    assert macro("Ours10", "LoRa 37.5 kbit/s") == "OursOneZeroLoRaThreeSevenPointFiveKbitS"


def rows_of(folder, name):
    """A table's rows as dictionaries by column key, its parts side by side."""
    single = folder / f"table_{name}.tex"
    files = sorted(folder.glob(f"table_{name}_[0-9]*.tex"), key=lambda f: (len(f.name), f.name))
    columns: dict[str, list[str]] = {}
    for text in (file.read_text() for file in files or [single]):
        keys = re.search(r" Columns: (.*)$", text, re.M).group(1).split()
        body = text.partition(r"\midrule")[2].splitlines()
        for key in keys:
            columns.setdefault(key, [])
        for line in (line for line in body if line.endswith(r" \\")):
            for key, shown in zip(keys, re.split(r"(?<!\\) & ", line[:-3]), strict=True):
                columns[key].append(shown)
    once = min(len(cells) for cells in columns.values())  # those that name a row are repeated
    return {key: cells for key, cells in columns.items() if len(cells) == once}


def test_every_number_of_the_tables_is_that_of_the_csv(two_boards, folder):
    seen = 0
    for name, found in two_boards.json["tables"].items():
        if not found["rows"]:
            assert not (folder / f"table_{name}.tex").exists()
            continue
        expected = pd.read_csv(two_boards.folder / f"{name}.csv")
        for key, cells in rows_of(folder, name).items():
            assert len(cells) == len(expected), (name, key)
            if f"{key}_source" not in expected:
                continue
            for number, shown in zip(expected[key], cells, strict=True):
                seen += 1
                text = shown.partition(" +- ")[0]
                if pd.isna(number):
                    assert text in ("{--}", "{never}", "{always}")
                elif "percent" in key:
                    assert text == percent(number)
                else:
                    assert text in (significant(number), f"{number:.0f}")
    assert seen > 1000


def test_an_interval_is_beside_its_number_where_all_of_its_column_are_symmetric():
    columns = [Column("model", "Model", number=False)]
    columns += [Column(key, key, interval=True, text=percent) for key in ("even", "odd")]
    value, skew = Value(75.04, ("measured",), 74.24, 75.84), Value(3.0, ("measured",), 2.0, 5.0)
    rows = [{"model": "a", "even": value, "odd": value}, {"model": "b", "even": value, "odd": skew}]
    rows.append({"model": "c", "even": missing("no"), "odd": missing("no")})
    (part,) = parts(Table("t", "T", columns, rows, [], "model"), venues()["ieee"])
    text = part.text
    body = text.partition("\\midrule")[2]
    assert "a & 75.0 +- 0.8 & 75.0" in body and "b & 75.0 +- 0.8 & 3.0" in body
    assert body.count("74.2 to 75.8") == 1 and "2.0 to 5.0" in body and "c & {--} & {--}" in body
    assert "S[table-format=2.1(1),separate-uncertainty]S[table-format=2.1]" in text


def macros(folder):
    return dict(
        re.findall(r"\\newcommand\{\\([A-Za-z]+)\}\{([^}]*)\}", (folder / "macros.tex").read_text())
    )


def test_the_headline_numbers_are_macros(two_boards, folder):
    found = macros(folder)
    savings = pd.read_csv(two_boards.folder / "savings.csv")
    latency = savings[savings.metric == "End-to-end latency"]
    best = max(latency.lc_percent.max(), latency.sc_percent.max())
    assert found["LadonLatencySaving"] == percent(best)
    slow = latency[latency.link == "LoRa 37.5 kbit/s"]
    assert found["LadonLatencySavingSCLoRaThreeSevenPointFiveKbitS"] == percent(
        slow.sc_percent.max()
    )
    gmac = savings[savings.metric == "Local GMAC"]
    assert found["LadonGmacSavingLC"] == percent(gmac.lc_percent.max())
    summary = pd.read_csv(two_boards.folder / "summary.csv")
    row = summary[(summary.config == "Ours 1") & (summary.board == "nano")]
    row = row[row.backend == "tensorrt"].iloc[0]
    name = "OursOneEndToEndSOneZeroZeroKbitSNanoTensorrt"
    assert found[name] == significant(row.end_to_end_s_100_kbit_s)
    text = (folder / "macros.tex").read_text()
    assert re.search(r"\\LadonLatencySaving\}\{[^}]*\} % percent; .*measured", text)


def test_a_negative_saving_has_words_that_read_right(tmp_path):
    from splitwatt.reports.write.write import make_report
    from tests.reports.synthetic import make_config, write_run

    run = write_run(tmp_path / "run", make_config(["LC17", "SC5", "Ours1"], links=1, inferences=6))
    make_report([run], tmp_path / "report")
    found = macros(tmp_path / "report" / "latex")
    savings = {n: float(text) for n, text in found.items() if re.search("Saving(LC|SC)?$", n)}
    assert savings
    for name, value in savings.items():
        words = found[name.replace("Saving", "Compared")]
        assert "-" not in words
        if value == 0:
            assert words in ("takes as long as", "needs as much as")
        elif value > 0:
            assert words == f"saves {percent(value)} \\% against"
        else:
            assert re.match(
                r"(takes|needs) [0-9.]+ (\\% (longer|more) than|times as (long|much) as)$", words
            )
    assert min(savings.values()) < 0 < max(savings.values())


def test_tex_compiles_it(folder, tmp_path):
    missing = missing_packages()
    if missing and not os.environ.get("SPLITWATT_CI"):
        pytest.skip(f"no {missing}: {REMEDY}")
    shutil.copytree(folder.parent, tmp_path / "report")
    here = tmp_path / "report" / "latex"
    (here / "report.tex").write_text(
        (here / "report.tex")
        .read_text()
        .replace(r"\begin{document}", "\\begin{document}Up to \\LadonLatencySaving\\,\\%.\n")
    )
    for _ in range(2):
        made = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
            cwd=here, capture_output=True, text=True, errors="replace", timeout=120,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout[-2000:]
    assert (here / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "Undefined control sequence" not in made.stdout and "LaTeX Error" not in made.stdout


def test_rates_that_share_their_digits_have_a_macro_each(tmp_path):
    from splitwatt.reports.write.write import make_report
    from tests.reports.synthetic import make_config, write_run

    config = make_config(["LC1", "Ours1"], links=1, inferences=6)
    links = tuple(
        config.links[0]._replace(name=name, rate_kbit_s=rate)
        for name, rate in (("37.5 kbit/s", 37.5), ("375 kbit/s", 375.0), ("3-75 kbit/s", 50.0))
    )
    run = write_run(tmp_path / "run", config._replace(links=links))
    make_report([run], tmp_path / "r")
    found = macros(tmp_path / "r" / "latex")
    row = pd.read_csv(tmp_path / "r" / "summary.csv").set_index("config").loc["Ours 1"]
    totals = [c for c in row.index if c.startswith("end_to_end") and c.endswith("kbit_s")]
    assert len(totals) == 3 and len({significant(row[key]) for key in totals}) == 3
    name = "OursOneEndToEndSThreeSeven"
    ends = ("PointFiveKbitS", "FiveKbitS", "FiveKbitSB")
    assert [found[name + end] for end in ends] == [significant(row[key]) for key in totals]


def test_a_link_is_spelled_one_way(folder):
    names = [name for name in macros(folder) if "LoRa" in name or "Lora" in name]
    assert names and all("LoRaThreeSevenPointFiveKbitS" in name for name in names)


def test_quotes_open_and_close():
    assert escape('"-": not measured, "a" and 5"') == "``-'': not measured, ``a'' and 5''"


@pytest.mark.parametrize(
    ("saved", "words"),
    [(0.04, "takes as long as"), (-0.04, "takes as long as"), (-0.06, "takes 0.1 % longer than")],
)
def test_a_saving_that_rounds_to_zero_has_no_sign(saved, words):
    from types import SimpleNamespace

    from splitwatt.reports.write.headlines import compared

    saving = SimpleNamespace(most=SimpleNamespace(value=saved), metric=SimpleNamespace(unit="s"))
    assert compared(saving) == words
    assert percent(saved) in ("0.0", "-0.1")
