"""report.html: its numbers are the records', it needs nothing but itself, and it moves."""

import html
import json
import re
from collections import Counter
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from splitwatt.reports.figures.style import LOOKS
from splitwatt.reports.tables.table import significant
from tests.reports.browser import dom
from tests.reports.test_numbers import raw, same, uplink

pytestmark = pytest.mark.long

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def page(two_boards):
    return two_boards.folder / "report.html"


@pytest.fixture(scope="module")
def shown(page):
    return dom(page, "open=all&series=1&rate=37.5")


def cells(text, name):
    """A table's rows in the page: per column the text and the attributes."""
    table = re.search(rf'<table data-name="{name}">(.*?)</table>', text, re.S).group(1)
    keys = re.findall(r'data-key="([^"]+)"', table)
    rows = re.findall(r"<tr[^>]*>(.*?)(?=<tr|</tbody|$)", table.partition("<tbody>")[2], re.S)
    for row in rows:
        found = re.findall(r"<td([^>]*)>([^<]*)", row)
        yield {
            key: (html.unescape(shown), dict(re.findall(r'data-(\w+)="([^"]*)"', about)))
            for key, (about, shown) in zip(keys, found, strict=True)
        }


def test_every_number_in_the_page_is_that_of_the_csv(two_boards, shown):
    seen, words = 0, Counter()
    for csv in sorted(two_boards.folder.glob("*.csv")):
        expected = pd.read_csv(csv)
        if f'data-name="{csv.stem}"' not in shown:
            assert not len(expected)
            continue
        rows = list(cells(shown, csv.stem))
        assert len(rows) == len(expected)
        for row, (_, wanted) in zip(rows, expected.iterrows(), strict=True):
            for key, (text, facts) in row.items():
                if "v" in facts:
                    seen += 1
                    assert same(float(facts["v"]), wanted[key])
                    assert facts["s"] == wanted[f"{key}_source"]
                    if "low" in facts and f"{key}_low" in wanted:
                        assert same(float(facts["low"]), wanted[f"{key}_low"])
                elif "why" in facts:
                    assert pd.isna(wanted[key]) and facts["why"]
                    assert text == facts.get("word", "-")
                    words[text] += 1
                    if text != "-" and csv.stem == "breakeven":  # of the split one, at any rate
                        assert {"never": " slower than ", "always": " faster than "}[text] in facts[
                            "why"
                        ]
    assert seen > 1000 and words["-"] and words["never"]


def test_never_is_not_always(tmp_path):
    """A split configuration with a board as fast as the local one's wins over every board speed."""
    from splitwatt.reports.load.model import series_of
    from splitwatt.reports.load.runs import load_runs
    from splitwatt.reports.tables.breakeven import turns
    from tests.reports.synthetic import make_config, write_run

    run = write_run(tmp_path / "run", make_config(["LC1", "LC20", "SC1", "Ours5"], inferences=7))
    _, samples = raw(run)
    seen = set()
    for turn in turns(series_of(load_runs([run])[0])[0]):
        for axis, value in (("board", turn.board), ("server", turn.server)):
            if value.word is None:
                assert value.value
                continue
            seen.add(value.word)
            ahead = []  # is the split one the faster one, far to either side?
            for speed in (1e-3, 1e3):
                medians = []
                for entry in (turn.entry, turn.local):
                    own = samples[samples.id == entry.id]
                    link = {"bytes": turn.link.bytes, "rate_kbit_s": turn.link.rate_kbit_s}
                    times = []
                    for _, sample in own.iterrows():
                        server = sum(s for stage, s in sample.stages.items() if ".server." in stage)
                        network = sum(
                            s for stage, s in sample.stages.items() if ".network" in stage
                        )
                        part = (
                            server
                            if axis == "server"
                            else sum(sample.stages.values()) - server - network
                        )
                        up = uplink(sample, link)
                        times.append(
                            sample.total_s + part * (1 / speed - 1) + (0 if pd.isna(up) else up)
                        )
                    medians.append(np.median(times))
                ahead.append(medians[0] < medians[1])
            if value.word == "always":
                assert all(ahead)
            else:  # not on slow boards, not with fast servers
                assert not ahead[0 if axis == "board" else 1]
    assert "never" in seen


def test_it_makes_no_request_and_is_small(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) <= 5 * MEGABYTE
    assert "default-src 'none'" in text
    assert not re.findall(r"\b(?:src|href|action)\s*=|@import|url\((?!#)|fetch\(|XMLHttp", text)


def test_it_is_ready_within_two_seconds(shown):
    assert int(re.search(r'data-ready-ms="(\d+)"', shown).group(1)) <= 2000


def bars(text):
    return {
        id: float(total)
        for id, total in re.findall(r'<g data-config="([^"]+)" data-total="([^"]+)"', text)
    }


def samples_of(run, backend):
    document, samples = raw(run)
    return document, samples[samples.backend == backend]


def test_the_slider_moves_the_bars_as_the_records_say(two_boards, page, shown):
    _, samples = samples_of(two_boards.runs[1], "cpu")
    for rate, text in ((37.5, shown), (2500.0, dom(page, "series=1&rate=2500"))):
        found = bars(text)
        for id, own in samples.groupby("id"):
            link = {"bytes": "payload", "rate_kbit_s": rate}
            up = own.apply(lambda s, link=link: uplink(s, link), axis=1).fillna(0.0)
            assert found[id] == pytest.approx((own.total_s + up).median(), abs=2e-6), (id, rate)
            assert f'class="total">{significant(found[id])}<' in text
        even = float(re.search(r'class="even" data-seconds="([^"]+)"', text).group(1))
        local = samples[~samples.id.str.startswith(("SC", "Ours"))].groupby("id").total_s.median()
        assert even == pytest.approx(local.min())


def test_break_even_rates(two_boards):
    """Where the two medians cross, computed again with scipy's root finder."""
    rows = pd.read_csv(two_boards.folder / "breakeven.csv")
    _, samples = samples_of(two_boards.runs[0], "cpu")
    rows = rows[(rows.board == "cpu")]
    local = samples[samples.id.str.startswith("LC")].groupby("id").total_s.median()
    seen = 0
    for _, row in rows.iterrows():
        own = samples[samples.config == row.config]
        for name, wanted in (("fastest", local.min()), ("slowest", local.max())):

            def over(log_rate, own=own, wanted=wanted):
                link = {"bytes": "payload", "rate_kbit_s": np.exp(log_rate)}
                return (
                    own.total_s + own.apply(lambda s: uplink(s, link), axis=1)
                ).median() - wanted

            if pd.isna(row[f"{name}_kbit_s"]):
                assert over(np.log(1e9)) > 0 or over(np.log(1e-3)) < 0
                continue
            seen += 1
            root = np.exp(brentq(over, np.log(1e-3), np.log(1e9), xtol=1e-12))
            assert row[f"{name}_kbit_s"] == pytest.approx(root, rel=1e-6)
    assert seen >= 2


def test_the_waterfall_shows_the_stages_of_one_image(two_boards, page):
    text = dom(page, "series=0&config=SC1&rate=100")
    _, samples = samples_of(two_boards.runs[0], "cpu")
    own = samples[samples.id == "SC1"].sort_values("total_s", kind="stable")
    median = own.iloc[(len(own) - 1) // 2]
    shown = re.findall(r'data-stage="([^"]+)".*?class="quiet">([^<]+) ms<', text, re.S)
    found = dict(shown)
    for stage, seconds in median.stages.items():
        if not stage.endswith(".network"):
            assert found[stage] == significant(1000 * seconds)
            continue
        both = (float(found[stage.replace("network", way)]) for way in ("uplink", "downlink"))
        assert sum(both) == pytest.approx(1000 * seconds, rel=0.01)
    names = [name for name, _ in shown]
    order = ["ic.encode", "ic.link", "ic.uplink", "ic.server.body", "ic.downlink", "od.encode"]
    assert [name for name in names if name in order] == order
    link = sum(float(found[f"{slot}.link"]) for slot in ("ic", "od", "ss"))
    assert link == pytest.approx(8 * median.payload_bytes / 100, rel=0.01)


def test_tables_sort_by_numbers_with_what_is_missing_last(page):
    text = dom(page, "sort=summary,2,up&open=summary")
    keys = list(next(iter(cells(text, "summary"))))
    index = keys.index("payload_kib")
    rows = list(cells(dom(page, f"sort=summary,{index},down"), "summary"))
    values = [row["payload_kib"][1].get("v") for row in rows]
    known = [float(v) for v in values if v is not None]
    assert known == sorted(known, reverse=True) and len(known) > 5
    assert all(v is None for v in values[len(known) :])


def framed(page, tmp_path, script, *states, widths=(900,)):
    """What a script makes the title of a document that shows the page in frames, one a state and width."""
    frames = "".join(
        f'<iframe id=f{i} src="file://{page}#{state}" width={width} height=900></iframe>'
        for i, (width, state) in enumerate((w, s) for w in widths for s in states or [""])
    )
    place = tmp_path / "framed.html"
    place.write_text(
        f"{frames}<script>onload = () => setTimeout(async () => {{{script}}}, 500);</script>"
    )
    for budget_ms in (4000, 20000, 60000):  # a busy machine takes longer to run the script
        text = dom(place, "", 1500, "--allow-file-access-from-files", budget_ms=budget_ms)
        if title := re.search(r"<title>(.*?)</title>", text, re.S):
            return html.unescape(title.group(1))
    raise AssertionError("the script set no title")


def tapped(page, what, tmp_path):
    """What the tip says once an element of the page was tapped."""
    script = (
        'const d = document.getElementById("f0").contentDocument;'
        f"""d.querySelector('{what}').click(); document.title = d.getElementById("tip").textContent;"""
    )
    return framed(page, tmp_path, script)


def test_a_tap_on_a_number_says_where_it_comes_from(page, two_boards, tmp_path):
    tip = tapped(page, "table[data-name=summary] td[data-s]", tmp_path)
    first = pd.read_csv(two_boards.folder / "summary.csv").iloc[0]
    assert tip.startswith(f"{first.end_to_end_s_100_kbit_s:.6g}"[:6])
    for words in ("95 % interval: ", "from 14 samples", "measured: timed or counted"):
        assert words in tip


def test_a_tap_on_a_headline_says_where_its_number_comes_from(page, two_boards, tmp_path):
    tip = tapped(page, 'section li[data-unit="% saved"]', tmp_path)
    first = next(line for line in two_boards.json["headlines"] if " saves " in line)
    saved = float(re.search(r" saves ([\d.]+) %", first).group(1))
    assert float(tip.split()[0]) == pytest.approx(saved, abs=0.05)
    for words in (
        "% saved\n",
        "95 % interval: ",
        "measured: timed or counted",
        "simulated: the link",
    ):
        assert words in tip


def test_the_energy_trace_is_in_the_page_with_its_windows(tmp_path):
    from tests.conftest import splitwatt
    from tests.reports.power import add_power
    from tests.reports.synthetic import make_config, write_run

    run = write_run(
        tmp_path / "run", make_config(["LC20", "Ours5"]), "nano", same_machine=False, trained=True
    )
    add_power(run, provenance="generated")
    splitwatt("report", run, "--out", tmp_path / "r")
    page = tmp_path / "r" / "report.html"
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    windows = pd.read_json(run / "windows.jsonl", lines=True)
    for trace in data["traces"]:
        full = pd.read_csv(run / "power" / f"{trace['block']}.csv")
        assert trace["readings"] == len(full) and trace["provenance"] == "generated"
        own = windows[windows.block == trace["block"]]
        lasts = [w["to"] - w["from"] for w in trace["windows"]]
        assert lasts == pytest.approx(list(own.end_s - own.start_s), abs=1e-3)
        assert max(trace["w"][0]) == pytest.approx(full[trace["rails"][0]].max(), rel=1e-3)
    assert "Readings: generated" in dom(page)
    shown = dom(page, "shows=energy_j")
    joules = pd.read_csv(tmp_path / "r" / "summary.csv").energy_j
    assert sorted(bars(shown).values()) == sorted(joules) and 'class="interval"' in shown


def test_a_page_of_a_shaped_link_adds_no_link(tmp_path):
    from splitwatt.reports.write.write import make_report
    from tests.reports.synthetic import make_config, write_run

    config = make_config(["LC1", "Ours1"], links=1, inferences=7)
    shaped = config._replace(links=(config.links[0]._replace(kind="shaped"),))
    run = write_run(tmp_path / "run", shaped)
    make_report([run], tmp_path / "r")
    text = dom(tmp_path / "r" / "report.html", "rate=1")
    _, samples = raw(run)
    found = bars(text)
    for id, own in samples.groupby("id"):
        assert found[id] == pytest.approx(own.total_s.median(), abs=2e-6)
    assert 'data-breakeven="' not in text and "simulated" not in str(data(text)["series"][0])


def data(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))


def test_what_the_link_carries_moves_waterfall_and_break_even(two_boards, page, tmp_path):
    script = (
        'const d = document.getElementById("f0").contentDocument; const c = d.getElementById("charges");'
        'c.value = "wire"; c.dispatchEvent(new Event("change"));'
        'document.title = d.querySelector("[data-stage=\\"ic.link\\"]").textContent + "|" +'
        '[...d.querySelectorAll("[data-breakeven]")].map((x) => x.dataset.breakeven).join();'
    )
    text = framed(page, tmp_path, script, "series=1&config=SC1&rate=100")
    link, _, dots = text.partition("|")
    entries = {e["id"]: e for e in data(dom(page))["series"][1]["entries"]}
    sample = entries["SC1"]["samples"][0]
    assert sample["wire"] > 1.001 * sample["payload"]
    assert significant(sample["wire"] * sample["shares"][0] / 100) + " ms" in link
    wanted = [e["wire"]["breakeven"] for e in entries.values() if e["split"]]
    wanted = [rate for rate in wanted if rate and 1 <= rate <= 1e6]
    assert wanted and [float(dot) for dot in dots.split(",")] == pytest.approx(wanted)


def test_an_address_with_a_series_that_is_not_there_shows_the_first(page):
    assert bars(dom(page, "series=9&rate=100")) == bars(dom(page, "series=0&rate=100"))
    assert 'data-ready-ms="' in dom(page, "series=9&charges=all&rate=none")


@pytest.mark.parametrize("key", ["local_gmac", "peak_memory_gb", "payload_kib"])
def test_the_bars_show_the_summarys_costs_with_their_sources(two_boards, page, key):
    text = dom(page, f"series=1&shows={key}")
    rows = pd.read_csv(two_boards.folder / "summary.csv")
    rows = rows[(rows.board == "nano") & (rows.backend == "cpu")].dropna(subset=[key])
    found = bars(text)
    labels = {label.replace(" ", "").rstrip("†"): i for i, label in zip(rows.index, rows.config)}
    assert found.keys() == labels.keys()
    for id, value in found.items():
        row = rows.loc[labels[id]]
        assert same(value, row[key])
        tip = html.unescape(re.search(rf'data-config="{id}".*?data-tip="([^"]*)"', text).group(1))
        for source in row[f"{key}_source"].split("+"):
            assert f"\n{source}: " in tip
    assert 'class="even" data-seconds' not in text and '<option value="energy_j"' not in text


def test_break_evens_and_their_intervals_are_those_of_whatif(two_boards):
    from splitwatt.profiler.analyse.breakeven import Setting, break_even
    from splitwatt.profiler.analyse.rates import cases
    from splitwatt.profiler.records.run import read_run

    found = {case.config: case for case in cases(read_run(str(two_boards.runs[0])))}
    rows = pd.read_csv(two_boards.folder / "breakeven.csv")
    seen = 0
    for _, row in rows[rows.board == "cpu"].iterrows():
        split = found[row.config.replace(" ", "").rstrip("†")]
        for name in ("fastest", "slowest"):
            event = break_even(split, found[row[f"{name}_row"].replace(" ", "")], Setting())
            rate, low, high = (row[f"{name}_kbit_s{end}"] for end in ("", "_low", "_high"))
            assert same(rate, np.nan if event.value is None else event.value)
            if event.value is not None:
                ends = (event.low, event.high)
                assert (low, high) == pytest.approx(ends, rel=1e-9) and low <= rate <= high
                seen += 1
    assert seen >= 2


def test_the_board_and_server_sliders_scale_the_measured_stages_of_each_sample(two_boards, page):
    """Total latency per sample, with the board's stages at half speed and the server's at four."""
    _, samples = samples_of(two_boards.runs[1], "cpu")
    text = dom(page, "series=1&rate=100&board=0.5&server=4&config=SC1")
    link, found = {"bytes": "payload", "rate_kbit_s": 100}, bars(text)

    def part(sample, mark):
        return sum(seconds for stage, seconds in sample.stages.items() if mark in stage)

    for id, own in samples.groupby("id"):
        wanted = []
        for _, sample in own.iterrows():
            up = uplink(sample, link)
            server = part(sample, ".server.")
            board = sum(sample.stages.values()) - server - part(sample, ".network")
            wanted.append(sample.total_s + board - 0.75 * server + (0.0 if pd.isna(up) else up))
        assert found[id] == pytest.approx(np.median(wanted), abs=2e-6), id
    assert 'aria-valuetext="0.500 x this run\'s board"' in text
    assert 'aria-valuetext="100 kbit/s"' in text
    assert "estimated: " in re.search(r'data-config="LC1".*?data-tip="([^"]*)"', text).group(1)
    assert len(re.findall("data-breakeven=", text)) > 0
    tips = [tip.split("\n") for tip in re.findall(r'data-tip="([^"]*)"', text)]
    assert all(tip[-1] and len(set(tip)) == len(tip) for tip in tips)
    # Those sentences are of the run's own board and server.
    assert not any("at any rate" in line for tip in tips for line in tip)


LOOK = """
const seen = [...document.querySelectorAll("iframe")].map((frame) => {
const d = frame.contentDocument, w = d.defaultView, wrong = [];
const box = (x) => x.getBoundingClientRect();
for (const chart of d.querySelectorAll("svg")) {
  const frame = box(chart), texts = [...chart.querySelectorAll("text")].filter((t) => box(t).width);
  texts.forEach((t, i) => {
    const a = box(t);
    if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1)
      wrong.push("cut: " + t.textContent);
    for (const other of texts.slice(i + 1)) {
      const b = box(other);
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        wrong.push("overlap: " + t.textContent + " / " + other.textContent);
    }
  });
  for (const mark of chart.querySelectorAll("rect, circle, path, line"))
    if (!mark.closest(".grid, .cursor, .leader, .key, [data-tip]")) wrong.push("no tip: " + mark.outerHTML);
  for (const mark of chart.querySelectorAll("[data-tip]"))
    if (!mark.querySelector("title")) wrong.push("no title: " + mark.dataset.tip);
}
for (const table of d.querySelectorAll("#tables table"))
  if (!table.caption || !table.closest("details").querySelector("[data-csv]")) wrong.push("bare: " + table.dataset.name);
for (const slider of d.querySelectorAll("input[type=range]"))
  if (d.querySelector("#rates:not([hidden])") && !/[a-z]/.test(slider.getAttribute("aria-valuetext") || "")) wrong.push("no unit: " + slider.id);
if (d.documentElement.scrollWidth > frame.width) wrong.push("wider than " + frame.width);
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (text) => rgb(text).slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (x) => {
  for (; x; x = x.parentElement) {
    const ground = w.getComputedStyle(x).backgroundColor;
    if (rgb(ground)[3] !== 0) return ground;
  }
};
const own = (x) => [...x.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
let texts = 0;
for (const x of d.querySelectorAll("body *")) {
  if (!own(x) || ["SCRIPT", "title"].includes(x.tagName) || !box(x).width) continue;
  const style = w.getComputedStyle(x), ink = x.tagName === "text" ? style.fill : style.color;
  const [a, b] = [light(ink), light(behind(x))].sort();
  texts += 1;
  if ((b + 0.05) / (a + 0.05) < 4.5) wrong.push("contrast: " + x.tagName + " " + x.textContent.slice(0, 40));
}
return { wrong: wrong.slice(0, 20), texts, dark: light(behind(d.body)) < 0.5, charts: d.querySelectorAll("svg").length };
});
document.title = JSON.stringify(seen);
"""


@pytest.fixture(scope="module")
def own_config(tmp_path_factory):
    """A page of configurations with names of one's own, long ones too, and accuracy."""
    from splitwatt.reports.write.write import make_report
    from tests.reports.accuracy_file import accuracy, write
    from tests.reports.synthetic import make_config, own_names, write_run

    folder = tmp_path_factory.mktemp("own")
    config = make_config(["LC1", "LC20", "SC1", "SC5", "Ours1", "Ours5"], inferences=6)
    run = write_run(folder / "run", own_names(config))
    make_report([run], folder / "r", "ieee", (write(folder / "accuracy.json", accuracy()),))
    return folder / "r" / "report.html"


@pytest.fixture(scope="module")
def powered(tmp_path_factory):
    """A page with traces of several rails."""
    from splitwatt.reports.write.write import make_report
    from tests.reports.power import add_power
    from tests.reports.synthetic import make_config, write_run

    folder = tmp_path_factory.mktemp("powered")
    config = make_config(["LC20", "Ours5"], inferences=6)
    run = write_run(folder / "run", config, "nano", same_machine=False)
    add_power(run)
    make_report([run], folder / "r")
    return folder / "r" / "report.html"


@pytest.mark.parametrize(
    ("whose", "state", "charts"),
    [
        ("page", "series=0&config=SC1&rate=37.5&open=all", 3),
        ("page", "series=2&hide=SC&shows=payload_kib", 3),
        ("own_config", "rate=100&open=all", 4),
        ("powered", "open=all", 4),
    ],
)
def test_no_text_of_a_chart_covers_another_and_all_can_be_read(
    whose, state, charts, request, tmp_path
):
    page = request.getfixturevalue(whose)
    themes = [f"theme={theme}&{state}" for theme in ("light", "dark")]
    seen = json.loads(framed(page, tmp_path, LOOK, *themes, widths=(1400, 420)))
    assert [one["wrong"] for one in seen] == [[]] * 4
    assert [one["dark"] for one in seen] == [False, True] * 2
    assert all(one["texts"] > 100 and one["charts"] >= charts for one in seen), seen


def test_the_page_has_the_captions_of_the_printed_figures(page, two_boards):
    text = html.unescape(page.read_text(encoding="utf-8"))
    for figure in two_boards.json["figures"]:
        assert f"{figure['title']}. {figure['caption']} Sources: {figure['sources']}." in text


def test_a_legend_filters_figures_and_tables(page, two_boards):
    text = dom(page, "series=0&hide=SC,LC&open=all")
    assert bars(text) and all(id.startswith("Ours") for id in bars(text))
    table = re.search(r'<table data-name="summary">(.*?)</table>', text, re.S).group(1)
    rows = re.findall(r"<tr ([^>]*)><td", table)
    assert len(rows) == len(pd.read_csv(two_boards.folder / "summary.csv"))
    for row in rows:
        assert ("hidden" in row) == ('data-system="Ours"' not in row), row
    assert not re.search('data-label="SC', text)


@pytest.mark.parametrize("name", ["summary", "breakeven"])
def test_a_table_is_saved_as_the_csv_with_its_full_values(two_boards, page, tmp_path, name):
    saved = pd.read_csv(StringIO(framed(page, tmp_path, SAVE % f"table-{name}")))
    wanted = pd.read_csv(two_boards.folder / f"{name}.csv")
    assert len(saved) == len(wanted) and len(saved.columns) > 5
    for column in saved.columns.intersection(wanted.columns):
        if pd.api.types.is_numeric_dtype(wanted[column]):
            assert all(same(a, b) for a, b in zip(saved[column], wanted[column], strict=True)), (
                column
            )
        elif column.endswith("_source"):
            assert list(saved[column].fillna("")) == list(wanted[column].fillna("")), column
    more = saved.columns.difference(wanted.columns)
    assert all(column.endswith(("_low", "_high")) for column in more), more


SAVE = """
const w = document.getElementById("f0").contentWindow, make = w.URL.createObjectURL;
let blob;
w.HTMLAnchorElement.prototype.click = () => {};  // no file on this machine
w.URL.createObjectURL = (made) => { blob = made; return make(made); };
w.document.querySelector("#%s [data-csv]").click();
document.title = await blob.text();
"""


def test_a_saved_text_is_no_formula(two_boards, page, tmp_path):
    script = "document.getElementById('f0').contentDocument.querySelector('#table-summary td').textContent = '=1+1';"
    text = framed(page, tmp_path, script + SAVE % "table-summary")
    assert text.splitlines()[1].startswith("'=1+1,")


# Machado, Oliveira and Fernandes 2009, severity 1: protanopia, deuteranopia, tritanopia.
DEFICIENCIES = [
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]  # fmt: skip


def lab(colour, seen=None):
    """CIE L*a*b* of "#rrggbb", as an eye with a deficiency sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    rgb = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    rgb = np.clip(np.eye(3) @ rgb if seen is None else np.array(seen) @ rgb, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.maximum(np.array(to_xyz) @ rgb / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("which", [0, 1])
def test_the_systems_colours_differ_for_eyes_with_a_deficiency_and_in_print(page, which):
    text = page.read_text(encoding="utf-8")
    themes = [
        re.findall(r"--c\d: (#\w{6})", block) for block in re.findall(r":root[^{]*{([^}]*)}", text)
    ]
    colours = [found for found in themes if found][which]
    assert len(colours) == 9 and (which or colours == [colour for colour, _ in LOOKS])
    for seen in (None, *DEFICIENCIES):
        for i, one in enumerate(colours):
            for two in colours[i + 1 :]:
                assert np.linalg.norm(lab(one, seen) - lab(two, seen)) > 15, (one, two, seen)
    grey = sorted(lab(colour)[0] for colour in colours[:3])
    assert min(np.diff(grey)) > 10, grey
