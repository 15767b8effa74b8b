"""Figures and tables of each venue: widths, no sentence in a picture, no label over another, no overfull box."""

import itertools
import os
import re
import shutil
import subprocess

import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text

from splitwatt.reports.figures.draw import drawings
from splitwatt.reports.figures.style import paper_style, save
from splitwatt.reports.load.accuracy import read_accuracy
from splitwatt.reports.load.model import series_of
from splitwatt.reports.load.runs import load_runs
from splitwatt.reports.papers.venues import venues
from splitwatt.reports.tables.contents import all_tables
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.headlines import headlines
from splitwatt.reports.write.latex import latex_files
from tests.conftest import ROOT
from tests.reports.accuracy_file import accuracy, write
from tests.reports.synthetic import make_config, own_names, write_run
from tests.reports.test_timeline import deploy

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "examples" / "table3-cpu" / "run"


def report_of(runs):
    read, _ = load_runs(runs)
    series = series_of(read)
    found = read_accuracy(read)
    figures = drawings(series, found)
    return Report(series, found, all_tables(series, found), figures, headlines(series), [])


@pytest.fixture(scope="module")
def reports(two_boards, tmp_path_factory):
    """The example, three series of two boards with accuracy, a camera's frames, and own names of
    two runs."""
    cpu, nano = two_boards.runs
    mine = tmp_path_factory.mktemp("mine") / "cpu"
    shutil.copytree(cpu, mine)
    write(mine / "accuracy.json", accuracy())
    deployed, _, _ = deploy(tmp_path_factory.mktemp("deployed") / "run")
    own = make_config(
        ["LC1", "LC20", "SC1", "SC5", "Ours1", "Ours5"], inferences=6, backends=("tensorrt",)
    )
    folder = tmp_path_factory.mktemp("own")  # series of one board and backend: their names are long
    own_runs = [
        write_run(folder / str(seed), own_names(own), "xavier_nx", seed=seed) for seed in (1, 2)
    ]
    return {
        "example": report_of([EXAMPLE]), "mine": report_of([mine, nano]),
        "deployed": report_of([deployed]), "own": report_of(own_runs),
    }  # fmt: skip


def texts_of(figure):
    """The texts that are drawn, with their boxes in pixels."""
    figure.draw_without_rendering()
    hidden = set()  # labels of ticks beyond an axis' ends: they are objects, and are not drawn
    for axis in figure.findobj(Axis):
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        low, high = sorted(axis.get_view_interval())
        outside = [tick for tick in ticks if not low <= tick.get_loc() <= high]
        hidden |= {label for tick in outside for label in (tick.label1, tick.label2)}
    found = []
    for text in figure.findobj(Text):
        if text not in hidden and text.get_visible() and text.get_text().strip():
            box = text.get_window_extent()
            found.append((text.get_text(), box))
    return found


@pytest.mark.parametrize("name", ["ieee", "neurips"])
@pytest.mark.parametrize("whose", ["example", "mine", "deployed", "own"])
def test_no_label_covers_another_and_no_sentence_is_in_a_picture(reports, whose, name):
    venue = venues()[name]
    for drawing in reports[whose].figures:
        with paper_style(venue):
            figure = drawing.draw()
            found = texts_of(figure)
        widths = (venue.column_in, venue.page_in)
        assert any(abs(figure.get_figwidth() - width) < 1e-6 for width in widths)
        over = [
            (a, b)
            for (a, one), (b, other) in itertools.combinations(found, 2)
            if one.shrunk(0.9, 0.8).overlaps(other.shrunk(0.9, 0.8))
        ]
        assert not over, (drawing.name, over[:5])
        ends = figure.bbox.padded(2)
        cut = [
            text for text, box in found if not (ends.contains(*box.min) and ends.contains(*box.max))
        ]
        assert not cut, (drawing.name, cut)
        for text, _ in found:
            assert len(text) < 60 and "." not in re.sub(r"[\d)A-Z]\.\d?", "", text), text
            assert not re.search("Sources|Error bars|Untrained|measured", text), text
        assert f"Sources: {drawing.sources}." in drawing.under


def test_each_figure_has_caption_files(two_boards):
    for figure in two_boards.json["figures"]:
        plain = (two_boards.folder / f"{figure['name']}.caption.txt").read_text()
        assert plain.startswith(f"{figure['title']}. {figure['caption']} Sources: ")
        assert (two_boards.folder / f"{figure['name']}.caption.tex").read_text().endswith("%\n")
        assert {f"{figure['name']}.caption.{s}" for s in ("tex", "txt")} <= set(
            two_boards.json["files"]
        )


REMEDY = (
    "apt-get install texlive-science texlive-publishers texlive-latex-extra texlive-plain-generic"
)


def missing_packages():
    if shutil.which("pdflatex") is None:
        return "pdflatex"
    wanted = (
        "siunitx.sty",
        "IEEEtran.cls",
        "times.sty",
        "acmart.cls",
        "xstring.sty",
        "totpages.sty",
    )
    known = subprocess.run(["kpsewhich", *wanted], capture_output=True, text=True).stdout
    return ", ".join(name for name in wanted if name not in known)


def tex(folder, text):
    """What TeX says while it sets a document, which must have no error."""
    missing = missing_packages()
    if missing and not os.environ.get("SPLITWATT_CI"):
        pytest.skip(f"no {missing}: {REMEDY}")
    (folder / "report.tex").write_text(text)
    made = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=300,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:]
    return made.stdout


@pytest.mark.parametrize("name", venues())
def test_a_venues_widths_are_those_of_its_class(name, tmp_path):
    venue = venues()[name]
    asked = r"\typeout{= \the\columnwidth\space\the\textwidth\space\the\textheight\space=}"
    begin = venue.document + r"\begin{document}\title{A}\date{}\maketitle"
    log = tex(tmp_path, begin + asked + r"x\end{document}")
    sizes = re.search(r"^= ([\d.]+)pt ([\d.]+)pt ([\d.]+)pt =", log, re.M).groups()
    wanted = (venue.column_pt, venue.page_pt, venue.height_pt)
    assert [float(size) for size in sizes] == pytest.approx(wanted, abs=0.1)
    assert venue.source


@pytest.mark.parametrize("whose", ["example", "mine", "deployed", "own"])
@pytest.mark.parametrize("name", venues())
def test_every_table_fits_the_venues_text(reports, whose, name, tmp_path):
    report, venue = reports[whose], venues()[name]
    own = report.figures[0]
    with paper_style(venue):
        save(own.draw(), tmp_path, own.name)
    shown = Report(**{**vars(report), "figures": report.figures[:1]})
    files = latex_files(shown, "A report", venue)
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    log = tex(tmp_path / "latex", files["latex/report.tex"])
    boxes = re.findall(r"Overfull \\[hv]box \(([\d.]+)pt too [^\n]*", log)
    assert [float(points) for points in boxes if float(points) > 1] == []
    sizes = re.findall(r"\\fontsize\{([\d.]+)\}", "".join(files.values()))
    assert min(map(float, sizes)) >= 7
