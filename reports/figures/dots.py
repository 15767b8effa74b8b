"""Several numbers for each configuration as dots on a logarithmic scale.

For what spans orders of magnitude, where bars would need a zero: all links at once, data sizes.
"""
# board: no

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from splitwatt.reports.figures.categories import Categories, Panel, Place
from splitwatt.reports.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    legend_above,
    look_at,
    new_figure,
    plain_log_axis,
    width_in,
)
from splitwatt.reports.load.values import Value

# Colour, marker and filling of a set: they differ in shape where there is no colour.
_COLOURS = (BLUE, ORANGE, GREEN, SKY, GREY)
_MARKERS = (("D", "full"), ("o", "full"), ("^", "none"), ("s", "full"), ("v", "none"))
# The sets of a place are side by side within this part of it.
_SPREAD = 0.5
_ROOM = 1.6


def dots(
    places: Sequence[Place],
    panels: Sequence[Panel],
    ylabel: str,
    spread: bool = False,
) -> Figure:
    """A dot for each value, a panel above the other; a place without any value shows "-".

    `spread`: the sets are side by side, for sets that nearly coincide.
    """
    categories = Categories(places)
    figure, axes = new_figure(len(panels), width_in(len(places)))
    for panel, axis in zip(panels, axes, strict=True):
        axis.set_yscale("log")
        _draw(axis, categories, panel, spread)
        _decades(axis, panel)
        categories.mark_missing(axis, panel)
        axis.set_title(panel.title, loc="left")
        axis.set_ylabel(ylabel)
        categories.name_places(axis, last=axis is axes[-1])
    legend_above(figure, axes[0], handletextpad=0.1, handlelength=1.2)
    return figure


def _draw(axis: Any, categories: Categories, panel: Panel, spread: bool) -> None:
    count = len(panel.sets)
    for i, (name, values) in enumerate(panel.sets.items()):
        colour, (marker, filling) = look_at(i, _COLOURS, _MARKERS)
        offset = _SPREAD * (i / (count - 1) - 0.5) if spread and count > 1 else 0.0
        x = categories.x + offset
        categories.error_bars(axis, x, values, caps=False)
        kept = [(at, v.value) for at, v in zip(x, values, strict=True) if v.value is not None]
        full = filling == "full"
        axis.plot(
            [at for at, _ in kept],
            [value for _, value in kept],
            linestyle="",
            marker=marker,
            markersize=3.5,
            color=colour,
            markeredgecolor="black" if full else colour,
            markeredgewidth=0.4 if full else 1.0,
            markerfacecolor=colour if full else "white",
            label=name,
            zorder=3,
        )


def _decades(axis: Any, panel: Panel) -> None:
    """Limits with room around the values, plain numbers at 1, 2 and 5 of each decade."""
    ends = [
        end
        for values in panel.sets.values()
        for value in values
        for end in _ends(value)
        if end > 0  # what is not positive has no place on a logarithmic scale
    ]
    if ends:
        axis.set_ylim(min(ends) / _ROOM, max(ends) * _ROOM)
    plain_log_axis(axis.yaxis)


def _ends(value: Value) -> list[float]:
    return [end for end in (value.value, value.low, value.high) if end is not None]
