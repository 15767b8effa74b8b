"""Configurations from left to right, as bars from zero, bars in parts, or dots on a logarithmic scale."""
# board: no

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.colors import to_rgba
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

# A part's name, filling and hatch; its colour is the system's: full, empty, pale.
_PARTS = (("Local", 1.0, ""), ("Transfer", 0.0, "////"), ("Server", 0.4, "...."))
_PARTS_KEY = "#777777"
# A set's marker, and whether it is filled; the colour is the system's.
_MARKERS = [(marker, (i + j) % 2 == 0) for j in (0, 1) for i, marker in enumerate("Do^svPXp*")]
_KEY = "#444444"
# The sets of a place are side by side within this part of it.
_SPREAD = 0.5
_ROOM = 1.6


def bars(places: Sequence[Place], panels: Sequence[Panel], ylabel: str) -> Figure:
    """Bars coloured by group, the value of each above it; only a panel's first set is drawn."""
    return _panels(places, panels, ylabel, _bars)


def dots(
    places: Sequence[Place], panels: Sequence[Panel], ylabel: str, spread: bool = False
) -> Figure:
    """A dot for each value; a place without any value shows "-".

    For values over orders of magnitude, where bars would need a zero: all links at once, data sizes.
    `spread`: the sets are side by side, for sets that nearly coincide.
    """
    draw = partial(_dots, spread=spread)
    return _panels(places, panels, ylabel, draw, handletextpad=0.1, handlelength=1.2)


def _panels(
    places: Sequence[Place],
    panels: Sequence[Panel],
    ylabel: str,
    draw: Callable[[Any, Categories, Panel], None],
    **legend: float,
) -> Figure:
    """One panel above the other, with the same places."""
    categories = Categories(places)
    figure, axes = new_figure(len(panels), width_in(len(places)), names_in=categories.names_in)
    for panel, axis in zip(panels, axes, strict=True):
        draw(axis, categories, panel)
        panel_title(axis, panel.title)
        axis.set_ylabel(ylabel)
        categories.name_places(axis, last=axis is axes[-1])
    legend_above(figure, axes[0], **legend)
    return figure


def _bars(axis: Any, categories: Categories, panel: Panel) -> None:
    values = next(iter(panel.sets.values()))
    looks = [system_look(place.group) for place in categories.places]
    colours = [colour for colour, _ in looks]
    if panel.parts:
        _stacked(axis, categories, colours, panel.parts)
    else:
        axis.bar(
            categories.x, [value.value or 0.0 for value in values], categories.bar_width,
            color=colours, hatch=[hatch for _, hatch in looks], edgecolor="black", linewidth=0.4,
        )  # fmt: skip
    categories.error_bars(axis, categories.x, values)
    categories.leave_room(axis, values)
    categories.label_values(axis, values)


def _stacked(
    axis: Any, categories: Categories, colours: list[str], parts: Sequence[Sequence[float]]
) -> None:
    below = [0.0] * len(parts)
    outline: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.4}
    for i, (name, filling, hatch) in enumerate(_PARTS):
        heights = [part[i] for part in parts]
        bar = categories.x, heights, categories.bar_width, below
        fills = [to_rgba(colour, filling) for colour in colours]
        edges = outline if filling else {**outline, "edgecolor": colours}
        axis.bar(*bar, color=fills, hatch=hatch, **edges)
        if not filling:  # the hatch has the system's colour, the border is black
            axis.bar(*bar, fill=False, **outline)
        axis.fill_between(
            [], [], label=name, facecolor=to_rgba(_PARTS_KEY, filling), hatch=hatch, **outline
        )
        below = [a + b for a, b in zip(below, heights, strict=True)]


def _dots(axis: Any, categories: Categories, panel: Panel, spread: bool) -> None:
    axis.set_yscale("log")
    count = len(panel.sets)
    for i, (name, values) in enumerate(panel.sets.items()):
        marker, full = _MARKERS[i % len(_MARKERS)]
        x = categories.x + (_SPREAD * (i / (count - 1) - 0.5) if spread and count > 1 else 0.0)
        categories.error_bars(axis, x, values, caps=False)
        for group in dict.fromkeys(place.group for place in categories.places):
            own = zip(x, values, categories.places, strict=True)
            kept = [(at, v.value) for at, v, p in own if p.group == group and v.value is not None]
            _mark(axis, kept, marker, system_look(group)[0], full)
        _mark(axis, [], marker, _KEY, full, label=name)
    values = [value for values in panel.sets.values() for value in values]
    ends = [end for v in values for end in (v.value, v.low, v.high) if end is not None and end > 0]
    if ends:  # what is not positive has no place on a logarithmic scale
        axis.set_ylim(min(ends) / _ROOM, max(ends) * _ROOM)
    plain_log_axis(axis.yaxis)
    categories.mark_missing(axis, panel)


def _mark(
    axis: Any, points: list[tuple[float, float]], marker: str, colour: str, full: bool, **more: Any
) -> None:
    axis.plot(
        [at for at, _ in points], [value for _, value in points], linestyle="", marker=marker,
        markersize=3.5, color=colour, markeredgecolor="black" if full else colour,
        markeredgewidth=0.4 if full else 1.0, markerfacecolor=colour if full else "white",
        zorder=3, **more,
    )  # fmt: skip
