"""Several numbers for each configuration as dots on a logarithmic scale.

For values over orders of magnitude, where bars would need a zero: all links at once, data sizes.
"""
# board: no

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from splitwatt.reports.figures.categories import Categories, Panel, Place
from splitwatt.reports.figures.style import (
    legend_above,
    new_figure,
    panel_title,
    plain_log_axis,
    system_look,
    width_in,
)
from splitwatt.reports.load.values import Value

# A set's marker, and whether it is filled; the colour is the system's.
_MARKERS = [(marker, (i + j) % 2 == 0) for j in (0, 1) for i, marker in enumerate("Do^svPXp*")]
_KEY = "#444444"
# The sets of a place are side by side within this part of it.
_SPREAD = 0.5
_ROOM = 1.6


def dots(
    places: Sequence[Place],
    panels: Sequence[Panel],
    ylabel: str,
    spread: bool = False,
) -> Figure:
    """A dot for each value, one panel above the other; a place without any value shows "-".

    `spread`: the sets are side by side, for sets that nearly coincide.
    """
    categories = Categories(places)
    figure, axes = new_figure(len(panels), width_in(len(places)), names_in=categories.names_in)
    for panel, axis in zip(panels, axes, strict=True):
        axis.set_yscale("log")
        _draw(axis, categories, panel, spread)
        _decades(axis, panel)
        categories.mark_missing(axis, panel)
        panel_title(axis, panel.title)
        axis.set_ylabel(ylabel)
        categories.name_places(axis, last=axis is axes[-1])
    legend_above(figure, axes[0], handletextpad=0.1, handlelength=1.2)
    return figure


def _draw(axis: Any, categories: Categories, panel: Panel, spread: bool) -> None:
    count = len(panel.sets)
    for i, (name, values) in enumerate(panel.sets.items()):
        marker, full = _MARKERS[i % len(_MARKERS)]
        offset = _SPREAD * (i / (count - 1) - 0.5) if spread and count > 1 else 0.0
        x = categories.x + offset
        categories.error_bars(axis, x, values, caps=False)
        for group in dict.fromkeys(place.group for place in categories.places):
            own = zip(x, values, categories.places, strict=True)
            kept = [(at, v.value) for at, v, p in own if p.group == group and v.value is not None]
            _mark(axis, kept, marker, system_look(group)[0], full)
        _mark(axis, [], marker, _KEY, full, label=name)


def _mark(
    axis: Any, points: list[tuple[float, float]], marker: str, colour: str, full: bool, **more: Any
) -> None:
    axis.plot(
        [at for at, _ in points], [value for _, value in points], linestyle="", marker=marker,
        markersize=3.5, color=colour, markeredgecolor="black" if full else colour,
        markeredgewidth=0.4 if full else 1.0, markerfacecolor=colour if full else "white",
        zorder=3, **more,
    )  # fmt: skip


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
