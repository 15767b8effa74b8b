"""Changes or ratios with their intervals, one row each: a panel for each metric."""
# board: no

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from splitwatt.reports.figures.style import (
    GREEN,
    GREY,
    RED,
    new_figure,
    plain_log_axis,
    venue,
)
from splitwatt.reports.load.values import Value

_ROW_IN = 0.13
# The least width of a panel with its labels, in inches, and the most letters in a line of its title.
_PANEL_IN, _TITLE_LETTERS = 2.3, 26
# Worse, better (and ratios, which are neither), no verdict.
_LOOKS = {True: (RED, "s"), False: (GREEN, "o"), None: (GREY, "o")}


@dataclass(frozen=True)
class Forest:
    """A panel: its title and (label, value, is it worse: None without a verdict) rows."""

    title: str
    rows: Sequence[tuple[str, Value, bool | None]]


def forest(panels: Sequence[Forest], xlabel: str, none: float) -> Figure:
    """Dots with intervals around `none`, the line of no change: 0 for percent, 1 for ratios.

    Ratios are drawn on a logarithmic axis. Worse: red squares; better, and ratios: green dots; no
    verdict: grey, hollow.
    """
    across = min(int(venue().page_in // _PANEL_IN), len(panels))
    down = -(-len(panels) // across)
    longest = [
        max(len(panel.rows) for panel in panels[i * across : (i + 1) * across]) for i in range(down)
    ]
    rows_in = [0.6 + _ROW_IN * count for count in longest]
    figure, axes = new_figure(down, venue().page_in, across=across, rows_in=rows_in)
    for place, (panel, axis) in enumerate(zip(panels, axes, strict=False)):
        for i, (_, value, worse) in enumerate(panel.rows):
            if value.value is None:
                continue
            ends = None
            if value.low is not None and value.high is not None:
                ends = [[max(0.0, value.value - value.low)], [max(0.0, value.high - value.value)]]
            colour, marker = _LOOKS[None if none == 0 and worse is None else bool(worse)]
            axis.errorbar(
                value.value, i, xerr=ends, color=colour, marker=marker, markersize=3.2,
                markerfacecolor="white" if colour == GREY else colour, elinewidth=0.8, capsize=1.5,
                linestyle="",
            )  # fmt: skip
        axis.axvline(none, color="black", linewidth=0.7)
        axis.set_yticks(
            range(len(panel.rows)), [label for label, _, _ in panel.rows], fontsize=venue().tiny_pt
        )
        axis.set_ylim(longest[place // across] - 0.4, -0.6)
        axis.grid(axis="x")
        axis.grid(axis="y", visible=False)
        if none == 1:
            axis.set_xscale("log")
            plain_log_axis(axis.xaxis)
            low, high = axis.get_xlim()
            axis.set_xlim(min(low, 0.45), max(high, 2.2))
        title = textwrap.wrap(panel.title, _TITLE_LETTERS, break_on_hyphens=False)
        axis.set_title("\n".join(title), loc="left")
        axis.set_xlabel(xlabel)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure
