"""What all figures share: fonts and sizes for papers, colours that survive grey, files."""

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.printable import printable
from splitwatt.reports.papers.venues import DEFAULT, Venue, venues

PANEL_IN = 1.75
PNG_DPI = 300
# The most configurations of a figure that fits into one column.
COLUMN_CONFIGURATIONS = 10
# A letter's mean width, as a part of the font's size.
LETTER_EM = 0.45
# The part of a panel's width for its title, which begins where the axis does.
_TITLE_PART = 0.8


_venue: ContextVar[Venue] = ContextVar("venue", default=venues()[DEFAULT])

GREY = "#999999"
MARKERS = "os^DvPXp*"
# A system's colour in every figure of a report and in the light theme of its page, and its hatch, in the order of
# `splitwatt.reports.metrics.tradeoffs.systems`. Each two differ for the common colour deficiencies too.
LOOKS = (
    ("#3c4046", ""), ("#e08a00", "////"), ("#0072b2", ""), ("#cc79a7", "...."), ("#a63a00", "xxxx"),
    ("#009e73", "\\\\\\\\"), ("#8c3cf0", "++++"), ("#78a050", "oooo"), ("#000000", "----"),
)  # fmt: skip
_systems: ContextVar[tuple[str, ...]] = ContextVar("systems", default=("LC", "SC", "Ours"))
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
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@contextmanager
def paper_style(venue: Venue) -> Iterator[None]:
    """Matplotlib with the fonts, sizes and lines of a venue."""
    sizes: Any = dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), venue.font_pt)
    small = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    sizes.update(dict.fromkeys(small, venue.small_pt))
    installed = {font.name for font in font_manager.fontManager.ttflist}
    serif = [family for family in (venue.family, *_RC["font.serif"]) if family in installed]
    with _set(_venue, venue), matplotlib.rc_context({**_RC, **sizes, "font.serif": serif}):
        yield


def venue() -> Venue:
    """The venue that figures are drawn for now."""
    return _venue.get()


def coloured(systems: Sequence[str]) -> Any:
    """Figures of a report with these systems, in the order of their colours: with it, or decorated."""
    return _set(_systems, tuple(systems))


def system_look(group: str) -> tuple[str, str]:
    """The colour and the hatch of a system."""
    known = _systems.get()
    return LOOKS[(known.index(group) if group in known else len(known)) % len(LOOKS)]


def width_in(configurations: int) -> float:
    """The width in inches of a figure with this number of configurations: a column or a page."""
    narrow = configurations <= COLUMN_CONFIGURATIONS
    return venue().column_in if narrow else venue().page_in


def new_figure(
    panels: int,
    width: float,
    panel_in: float = PANEL_IN,
    across: int = 1,
    rows_in: list[float] | None = None,
    names_in: float = 0.0,
) -> tuple[Figure, list[Any]]:
    """An empty figure of `panels` rows of axes, `across` in each; the axes row by row.

    Rows are `panel_in` inches high, or each as in `rows_in`; `names_in`: further inches for upright
    names under the last one.
    """
    heights = rows_in or [panel_in] * panels
    engine = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.02)
    figure = Figure(figsize=(width, 0.55 + sum(heights) + names_in), layout=engine)
    axes = figure.subplots(panels, across, squeeze=False, height_ratios=heights)
    return figure, list(axes.flat)


def panel_title(axis: Any, title: str, across: int = 1) -> None:
    """A title at the left, in as many lines as the width of its panel needs, `across` in a row."""
    room_pt = 72 * _TITLE_PART * axis.figure.get_figwidth() / across
    letters = int(room_pt / (LETTER_EM * venue().font_pt))
    lines = textwrap.wrap(title, letters, break_on_hyphens=False)
    axis.set_title("\n".join(lines), loc="left")


def legend_above(figure: Figure, axis: Any, **looks: Any) -> None:
    """A legend above the figure, where no mark is: as many entries in a row as fit."""
    handles, labels = axis.get_legend_handles_labels()
    if not labels:
        return
    size = looks.setdefault("fontsize", venue().small_pt)
    entry_pt = size * (LETTER_EM * max(map(len, labels)) + 4)
    across = max(1, int(72 * figure.get_figwidth() / entry_pt))
    figure.legend(
        handles, labels, loc="outside upper left", ncols=min(across, len(labels)), **looks
    )


class _Plain(LogLocator):
    """1, 2 and 5 of each decade, or whole decades alone over a range of more than `many` to 1; even
    steps where fewer than two of them are in the range.
    """

    def __init__(self, many: float) -> None:
        super().__init__()
        self.many = many

    def tick_values(self, vmin: float, vmax: float) -> Any:
        many = vmin > 0 and vmax / vmin > self.many
        self.set_params(subs=(1.0,) if many else (1.0, 2.0, 5.0))
        ticks = super().tick_values(vmin, vmax)
        if sum(vmin <= tick <= vmax for tick in ticks) < 2:
            return MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
        return ticks


def plain_log_axis(axis: Any, many: float = 1e4) -> None:
    """Plain numbers on a logarithmic `axis.xaxis` or `axis.yaxis`: 1, 2 and 5 of each decade; over a
    range of more than `many` to 1 only whole decades.
    """
    axis.set_major_locator(_Plain(many))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn: its file name, texts and sources (empty: no number to show).

    No sentence is in the picture itself: `under` is its caption.
    """

    name: str
    title: str
    caption: str
    sources: str
    draw: Callable[[], Figure]

    @property
    def under(self) -> str:
        """The caption with the sources, as one paragraph without the title."""
        return f"{self.caption} Sources: {self.sources}."

    @property
    def files(self) -> list[str]:
        """The names of its files, in every format."""
        return [f"{self.name}.{suffix}" for suffix in FORMATS]


def _with_glyphs(text: Any) -> str:
    """A text with a question mark for each character that its font has no glyph for, as in LaTeX."""
    font = font_manager.get_font(font_manager.findfont(text.get_fontproperties()))
    known = font.get_charmap()
    return "".join(c if c == "\n" or ord(c) in known else "?" for c in printable(text.get_text()))


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PNG, PDF and SVG."""
    texts: list[Any] = figure.findobj(Text)
    for text in texts:
        text.set_text(_with_glyphs(text))
    figure.draw_without_rendering()  # lays it out once, not again for each format
    figure.set_layout_engine("none")
    for suffix in FORMATS:
        stream = io.BytesIO()
        # No date: the same records give the same bytes.
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
        figure.savefig(stream, format=suffix, dpi=PNG_DPI, metadata=metadata)  # type: ignore[arg-type]
        write_atomic(str(folder / f"{name}.{suffix}"), stream.getvalue())
