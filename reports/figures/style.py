"""What all figures share: fonts and sizes for papers, colours that survive grey, files."""
# board: no

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from device_configs.files import write_atomic

# Widths of a column and of the page in the usual two-column papers, in inches.
COLUMN_IN = 3.5
PAGE_IN = 7.0
PANEL_IN = 1.75
PNG_DPI = 300
# Up to so many configurations a figure fits into one column.
COLUMN_CONFIGURATIONS = 10

# Okabe and Ito's colours, told apart by hatches and by lightness where there is no colour.
BLUE, ORANGE, GREEN, SKY, GREY = "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#999999"
FORMATS = ("png", "pdf", "svg")

_RC: Any = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral"],  # Times-like, and comes with matplotlib
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
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
def paper_style() -> Iterator[None]:
    """Matplotlib with the fonts, sizes and lines of a paper."""
    with matplotlib.rc_context(_RC):
        yield


def width_in(configurations: int) -> float:
    """The width of a figure of so many configurations, in inches: a column or a page."""
    return COLUMN_IN if configurations <= COLUMN_CONFIGURATIONS else PAGE_IN


def new_figure(panels: int, width: float, notes: list[str]) -> tuple[Figure, list[Any]]:
    """An empty figure of `panels` axes, one above the other, with `notes` in small print below."""
    text = "\n".join(textwrap.fill(note, int(width * 27)) for note in notes)
    height = 0.55 + PANEL_IN * panels + 0.095 * len(text.splitlines())
    engine = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.02)
    figure = Figure(figsize=(width, height), layout=engine)
    axes = figure.subplots(panels, 1, squeeze=False)
    if text:
        figure.supxlabel(text, fontsize=6, color="#333333", x=0.01, ha="left")
    return figure, list(axes[:, 0])


def save(figure: Figure, folder: Path, name: str) -> list[str]:
    """Write a figure as PNG, PDF and SVG; the file names."""
    names = [f"{name}.{suffix}" for suffix in FORMATS]
    for suffix, file in zip(FORMATS, names, strict=True):
        stream = io.BytesIO()
        # No date: the same records give the same bytes.
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
        figure.savefig(stream, format=suffix, dpi=PNG_DPI, metadata=metadata)  # type: ignore[arg-type]
        write_atomic(str(folder / file), stream.getvalue())
    return names
