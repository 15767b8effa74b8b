"""The small parts: numbers as text, lists as words, intervals, published figures."""

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats as scipy_stats

from splitwatt.reports.figures import style, tradeoff
from splitwatt.reports.figures.bars import _MARKERS, Categories, Panel, Place, bars
from splitwatt.reports.load.model import Link, slug
from splitwatt.reports.load.values import SOURCES, Value, by_source, exact, missing, ordered, ranges
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.tradeoffs import Curve, Point
from splitwatt.reports.papers.printed_names import printed_name
from splitwatt.reports.papers.published import peak_memory_gb, stated, statements
from splitwatt.reports.papers.venues import venues
from splitwatt.reports.tables.table import Column, Table, significant
from splitwatt.reports.tables.tables import _link_note
from splitwatt.reports.write.csv_files import to_csv
from splitwatt.reports.write.terminal import show


@pytest.mark.parametrize(
    "number, text",
    [(0, "0"), (0.00123456, "0.00123"), (12.345, "12.3"), (4567.8, "4568"), (-0.5, "-0.500"),
     (99.96, "100"), (1e-9, "0.00000000100")],
)  # fmt: skip
def test_three_significant_digits(number, text):
    assert significant(number) == text


def test_lists_draw_consecutive_numbers_together():
    assert ranges(["LC 1", "LC 2", "LC 3", "LC 7", "SC 1", "SC 6†"]) == "LC 1-3, 7, SC 1, 6"
    assert ranges(["LC 3", "LC 20", "mine", "LC 21"]) == "LC 3, 20, mine, LC 21"
    assert ranges([]) == ""


def test_one_source_stands_alone():
    assert by_source([("LC 1", "measured"), ("SC 1", "measured"), ("SC 2", "")]) == "measured"
    assert by_source([("LC 1", "measured"), ("SC 1", "measured+simulated")]) == (
        "measured (LC 1), measured+simulated (SC 1)"
    )


def test_sources_keep_one_order_and_unknown_ones_are_refused():
    assert ordered(["generated", "measured", "measured"]) == ("measured", "generated")
    assert ordered(iter(["simulated", "measured"])) == ("measured", "simulated")
    with pytest.raises(KeyError):
        ordered(["guessed"])


def test_a_missing_value_has_no_source_and_says_why():
    assert exact(None, "measured", why="no sensor") == missing("no sensor")
    assert missing("no sensor").to_json() == {"value": None, "why": "no sensor"}
    assert missing("no sensor").source == ""


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_samples_have_no_interval(count):
    found = stats.median([1.0, 2.0, 3.0, 4.0, 5.0][:count], "measured")
    assert found.low is None and found.high is None
    assert (found.value is None) == (count == 0)


@pytest.mark.parametrize("count", [6, 7, 15])
def test_the_interval_covers_the_median_as_often_as_it_says(count):
    dice = np.random.default_rng(7)
    inside = 0
    for _ in range(200):
        found = stats.median(list(dice.lognormal(0, 0.3, count)), "measured")
        inside += found.low <= 1.0 <= found.high
    covered = scipy_stats.binomtest(inside, 200, stats.LEVEL, alternative="less")
    assert covered.pvalue > 0.001


def test_csv_is_read_back_with_its_commas_and_quotes():
    columns = [Column("config", "Config.", number=False), Column("size_kib", "Size", interval=True)]
    rows = [{"config": 'a, "b"', "size_kib": Value(1.5, ("measured",), 1.0, 2.0, 9)}]
    text = to_csv(Table("t", "T", columns, rows))
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"config": 'a, "b"', "size_kib": "1.5", "size_kib_low": "1.0", "size_kib_high": "2.0",
         "size_kib_source": "measured"}
    ]  # fmt: skip


def test_the_paper_is_quoted_as_it_is_printed():
    assert {s.percent for s in stated("gmac", "LC", None)} == {97.0}
    assert {s.percent for s in stated("end_to_end", "SC", 37.5)} == {96.7, 97.6}
    assert all(s.where.startswith("Ladon") for s in statements())
    table = peak_memory_gb()
    assert len(table) == 40
    assert table["Ours10"] == {
        "nano_gb": 0.682, "nano_cuda_gb": 0.543, "xavier_nx_gb": 1.12, "xavier_nx_cuda_gb": 2.14
    }  # fmt: skip
    assert "published" in SOURCES


def test_no_two_of_25_curves_look_the_same():
    names = [f"s{i}" for i in range(25)]
    with style.coloured(names):
        looks = tradeoff._looks([Curve(name, name, (), False, False) for name in names], [])
    assert len({(look.colour, look.marker, look.line) for look in looks}) == 25
    assert [look.colour for look in looks[:9]] == [colour for colour, _ in style.LOOKS]
    assert len(set(_MARKERS)) == 18


def test_a_system_looks_the_same_in_every_figure_of_a_report():
    with style.coloured(["LC", "SC", "Ours", "Mine", "Theirs"]):
        looks = [style.system_look(group) for group in ("LC", "SC", "Ours", "Mine", "Theirs")]
    assert len({colour for colour, _ in looks}) == 5
    assert len({hatch for _, hatch in looks}) == 4 and looks[0][1] == looks[2][1] == ""
    assert looks[:3] == [style.system_look(group) for group in ("LC", "SC", "Ours")]


@pytest.mark.parametrize(
    "low, high", [(12.0, 18.0), (0.61, 1.82), (1.0, 1.5), (12.0, 66.0), (0.04, 120.0), (1.0, 1e6)]
)
def test_a_logarithmic_axis_has_numbers(low, high):
    axis = Figure().subplots()
    axis.set_xscale("log")
    style.plain_log_axis(axis.xaxis)
    axis.set_xlim(low, high)
    axis.figure.draw_without_rendering()
    shown = [t.get_text() for t in axis.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert 2 <= len(shown) <= 12 and all(float(text) > 0 for text in shown)


def test_a_character_that_a_figures_font_does_not_have_is_a_question_mark(tmp_path, recwarn):
    with style.paper_style(venues()["ieee"]):
        value = Value(1.0, ("measured",))
        figure = bars([Place("LC 1", "LC")], [Panel("日本 Zürich β", {"": [value]})], "y")
        style.save(figure, tmp_path, "figure")
    assert "?? Zürich β" in {text.get_text() for text in figure.findobj(Text)}
    assert not recwarn.list


def test_a_link_without_a_latin_letter_has_a_file_name():
    assert slug(Link("日本語", "simulated", 100.0, "payload", "")) == "link"


def test_a_links_note_says_what_it_counts():
    link = Link("Sat", "simulated", 100.0, "wire", "", latency_ms=300.0)
    beginning = (
        "Sat: simulated, 100 kbit/s (1 kbit = 1000 bits), counts the payload, headers and framing"
    )
    assert _link_note(link) == f"{beginning}, latency 300 ms."
    assert _link_note(link._replace(jitter_ms=5.0)) == f"{beginning}, latency 300 ms +- 5 ms."


def test_a_narrow_table_wraps_before_it_leaves_columns_out(monkeypatch):
    columns = [Column(key, key, number=False, wraps=key == "why") for key in ("name", "p", "why")]
    table = Table(
        "t", "T", columns, [{"name": "LC 1", "p": "0.0312", "why": "one two"}], [], "name"
    )

    def lines(width, *least):
        monkeypatch.setenv("COLUMNS", str(width))
        stream = io.StringIO()
        show(table, stream, least, "elsewhere")
        return [line.split() for line in stream.getvalue().splitlines()]

    assert ["LC", "1", "0.0312", "one", "two"] in lines(23)
    assert ["LC", "1", "0.0312", "one"] in lines(22) and ["two"] in lines(22)
    narrow = lines(17, "p")
    assert ["LC", "1", "one", "two"] in narrow and ["No", "room", "for:", "p"] in narrow


def test_labels_that_do_not_fit_stand_upright():
    few = [Place(f"FS-ConvNeXt-{i}", "FS") for i in range(8)]
    assert Categories(few).upright and not Categories(few[:2]).upright
    assert not Categories([Place(f"LC {i}", "LC") for i in range(1, 41)]).upright


def test_sizes_of_letters_are_the_papers():
    value = Value(12.3, ("measured",), 12.0, 13.0, 9)
    for venue in venues().values():
        with style.paper_style(venue):
            figure = bars([Place("LC 1", "LC")], [Panel("", {"": [value]})], "y")
            sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
        assert sizes <= {venue.font_pt, venue.small_pt, venue.tiny_pt}


def test_systems_have_a_name_in_print():
    from splitwatt.export import zoo

    for name in zoo.systems():
        shown = printed_name(name)
        assert shown != name and "_" not in shown and "(ic" not in shown, name
    assert printed_name("webp+swin_s3_base_224") == "WebP (Swin-S3-B)"
    assert (
        printed_name("mbt2018+deeplabv3_resnet50")
        == "Joint autoregressive (DeepLabv3 w/ ResNet-50)"
    )
    assert printed_name("frankensplit_m_swin_b") == "FrankenSplit (M, Swin-B)"
    assert printed_name("resnet50_avgpool_jpeg") == "ResNet-50 (avgpool, JPEG)"
    assert printed_name("my_net_v2") == "my_net_v2" and printed_name("") == ""


def test_variants_of_a_system_look_apart_and_published_ones_as_their_own():
    def curve(system, label, published=False):
        return Curve(system, label, (), published, local=False)

    shown = [
        curve("es_a", "ES (A, FP)"), curve("es_b", "ES (A, MSHP)"), curve("l", "Ladon, nano"),
        curve("l", "Ladon, cpu"), curve("l", "Ladon (published)", True),
        curve("x", "X (published)", True),
    ]  # fmt: skip
    looks = [(look.colour, look.marker, look.line) for look in tradeoff._looks(shown, [])]
    assert len(set(looks)) == 6 and looks[4][:2] == looks[2][:2]


def test_no_curve_runs_through_a_legend():
    def value(number):
        return Value(number, ("measured",))

    shown = [
        Curve(f"s{i}", f"System {i} (ResNet-50)",
              tuple(Point("m", value(60.0 + i + k), value(5.0 * k), value(1.0)) for k in (1, 2)),
              False, False)
        for i in range(14)
    ]  # fmt: skip
    for name in ("neurips", "wacv"):
        with style.paper_style(venues()[name]):
            for figure in (
                tradeoff.rate_distortion(shown, [], "Top-1 [%]"),
                tradeoff.three_way(shown, [], "Top-1 [%]"),
            ):
                figure.draw_without_rendering()
                box = figure.legends[0].get_window_extent()
                assert not any(box.overlaps(axis.get_window_extent()) for axis in figure.axes)
                assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
