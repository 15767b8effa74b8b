"""What all figures share: fonts and sizes for papers, colours that survive grey, files."""
# board: no

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.printable import printable

PANEL_IN = 1.75
PNG_DPI = 300
# Up to so many configurations a figure fits into one column.
COLUMN_CONFIGURATIONS = 10
# An axis over more than that shows whole decades alone.
_MANY_DECADES = 1e4


@dataclass(frozen=True)
class Paper:
    """What figures are made for: widths of a column and of the page in inches, font sizes in pt."""

    columns: int
    column_in: float
    page_in: float
    font_pt: float
    small_pt: float
    tiny_pt: float


# The usual two-column papers (IEEE, CVF), and one-column ones (5.5 inches of text).
PAPERS = {1: Paper(1, 5.5, 5.5, 9, 7.5, 6.5), 2: Paper(2, 3.5, 7.0, 8, 7, 6)}
_paper: ContextVar[Paper] = ContextVar("paper", default=PAPERS[2])

# Okabe and Ito's colours, told apart by hatches and by lightness where there is no colour.
BLUE, ORANGE, GREEN, SKY, GREY = "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#999999"
FORMATS = ("png", "pdf", "svg")

_RC: Any = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral"],  # Times-like, and comes with matplotlib
    "text.parse_math": False,  # a name with dollar signs is no formula
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "pdf.fonttype": 42,  # real fonts, as publishers want them
    "svg.fonttype": "path",
    "svg.hashsalt": "splitwatt",
}


@contextmanager
def paper_style(columns: int = 2) -> Iterator[None]:
    """Matplotlib with the fonts, sizes and lines of a paper of one or two columns."""
    paper = PAPERS[columns]
    sizes: Any = dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), paper.font_pt)
    sizes.update(dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), paper.small_pt))
    sizes["legend.fontsize"] = paper.small_pt
    token = _paper.set(paper)
    try:
        with matplotlib.rc_context({**_RC, **sizes}):
            yield
    finally:
        _paper.reset(token)


def width_in(configurations: int) -> float:
    """The width of a figure of so many configurations, in inches: a column or a page."""
    paper = _paper.get()
    return paper.column_in if configurations <= COLUMN_CONFIGURATIONS else paper.page_in


def small_pt() -> float:
    """The size of ticks' labels and legends, in pt."""
    return _paper.get().small_pt


def tiny_pt() -> float:
    """The size of numbers at bars and of small print, in pt."""
    return _paper.get().tiny_pt


def page_in() -> float:
    """The width of the page's text, in inches."""
    return _paper.get().page_in


def new_figure(
    panels: int,
    width: float,
    notes: list[str],
    panel_in: float = PANEL_IN,
    across: int = 1,
    rows_in: list[float] | None = None,
) -> tuple[Figure, list[Any]]:
    """An empty figure of `panels` rows of axes, `across` in each, with `notes` in small print
    below; the axes row by row. Rows are `panel_in` inches high, or as `rows_in` says.
    """
    heights = rows_in or [panel_in] * panels
    text = "\n".join(textwrap.fill(note, int(width * 162 / tiny_pt())) for note in notes)
    height = 0.55 + sum(heights) + 0.016 * tiny_pt() * len(text.splitlines())
    engine = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.02)
    figure = Figure(figsize=(width, height), layout=engine)
    axes = figure.subplots(panels, across, squeeze=False, height_ratios=heights)
    if text:
        figure.supxlabel(text, fontsize=tiny_pt(), color="#333333", x=0.01, ha="left")
    return figure, list(axes.flat)


def look_at(place: int, colours: Sequence[Any], markers: Sequence[Any]) -> tuple[Any, Any]:
    """Colour and marker of the curve at a place; as many of both, and no pair stands twice before
    each was there.
    """
    count = len(colours)
    return colours[place % count], markers[(place + place // count) % count]


class _Plain(LogLocator):
    """1, 2 and 5 of each decade, or whole decades where there are many."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        many = vmin > 0 and vmax / vmin > _MANY_DECADES
        self.set_params(subs=(1.0,) if many else (1.0, 2.0, 5.0))
        return super().tick_values(vmin, vmax)


def plain_log_axis(axis: Any) -> None:
    """Plain numbers on a logarithmic `axis.xaxis` or `axis.yaxis`, some of them in any range."""
    axis.set_major_locator(_Plain())
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axis.set_minor_formatter(NullFormatter())


def file_names(name: str) -> list[str]:
    """The files of a figure, PNG, PDF and SVG."""
    return [f"{name}.{suffix}" for suffix in FORMATS]


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PNG, PDF and SVG."""
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))  # type: ignore[attr-defined]
    figure.draw_without_rendering()  # lays it out once, not again for each format
    figure.set_layout_engine("none")
    for suffix, file in zip(FORMATS, file_names(name), strict=True):
        stream = io.BytesIO()
        # No date: the same records give the same bytes.
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
        figure.savefig(stream, format=suffix, dpi=PNG_DPI, metadata=metadata)  # type: ignore[arg-type]
        write_atomic(str(folder / file), stream.getvalue())
