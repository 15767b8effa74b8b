"""End-to-end latency on one link as stacked bars of local, transfer and server time (Fig. 5)."""
# board: no

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from splitwatt.reports.figures.categories import Categories, Place
from splitwatt.reports.figures.style import (
    legend_above,
    new_figure,
    panel_title,
    system_look,
    width_in,
)
from splitwatt.reports.load.values import Value

# A part's filling and hatch; its colour is the system's: full, empty, pale.
_PARTS = (("Local", 1.0, ""), ("Transfer", 0.0, "////"), ("Server", 0.4, "...."))
_KEY = "#777777"


@dataclass(frozen=True)
class Bar:
    """A configuration's latency: the median with its interval, and its parts' medians, in s."""

    place: Place
    total: Value
    local_s: float = 0.0
    transfer_s: float = 0.0
    server_s: float = 0.0

    @property
    def segments_s(self) -> tuple[float, float, float]:
        """The parts, scaled so that they add up to the median of the whole.

        Medians do not add up by themselves; the caption says how far they were scaled.
        """
        scale = self.scale if self.total.value is not None else 0.0
        return self.local_s * scale, self.transfer_s * scale, self.server_s * scale

    @property
    def scale(self) -> float:
        """The factor of the parts; 1 if there is nothing to scale."""
        parts = self.local_s + self.transfer_s + self.server_s
        return self.total.value / parts if self.total.value is not None and parts > 0 else 1.0


@dataclass(frozen=True)
class Stack:
    """The bars of one board and backend, with a title if a figure has several; their places are the same."""

    title: str
    bars: Sequence[Bar]


def stacked(stacks: Sequence[Stack]) -> Figure:
    """Stacked bars, a panel for each board and backend."""
    categories = Categories([bar.place for bar in stacks[0].bars])
    figure, axes = new_figure(
        len(stacks), width_in(len(categories.places)), names_in=categories.names_in
    )
    for stack, axis in zip(stacks, axes, strict=True):
        _draw(axis, categories, stack.bars)
        panel_title(axis, stack.title)
        axis.set_ylabel("End-to-end latency [s]")
        categories.name_places(axis, last=axis is axes[-1])
    legend_above(figure, axes[0])
    return figure


def _draw(axis: Any, categories: Categories, bars: Sequence[Bar]) -> None:
    below = [0.0] * len(bars)
    colours = [system_look(bar.place.group)[0] for bar in bars]
    for i, (name, filling, hatch) in enumerate(_PARTS):
        heights = [bar.segments_s[i] for bar in bars]
        fills = [to_rgba(colour, filling) for colour in colours]
        drawn = axis.bar(
            categories.x, heights, categories.bar_width, below, color=fills, hatch=hatch,
            edgecolor=colours if i == 1 else "black", linewidth=0.4,
        )  # fmt: skip
        for bar in (
            drawn if i == 1 else ()
        ):  # the hatch has the system's colour, the border is black
            axis.bar(
                bar.get_x(), bar.get_height(), bar.get_width(), bar.get_y(), align="edge",
                fill=False, edgecolor="black", linewidth=0.4,
            )  # fmt: skip
        axis.fill_between(
            [], [], label=name, facecolor=to_rgba(_KEY, filling), hatch=hatch, edgecolor="black",
            linewidth=0.4,
        )  # fmt: skip
        below = [a + b for a, b in zip(below, heights, strict=True)]
    totals = [bar.total for bar in bars]
    categories.error_bars(axis, categories.x, totals)
    categories.leave_room(axis, totals)
    categories.label_values(axis, totals)
