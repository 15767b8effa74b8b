"""Configurations from left to right, as bars from zero, bars in parts, or dots on a logarithmic scale."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from splitwatt.reports.figures.style import (
    LETTER_EM,
    legend_above,
    new_figure,
    panel_title,
    plain_log_axis,
    system_look,
    venue,
    width_in,
)
from splitwatt.reports.load.values import Value
from splitwatt.reports.tables.table import significant

# A part's name, filling and hatch; its colour is the system's: full, empty, pale.
_PARTS = (("Local", 1.0, ""), ("Transfer", 0.0, "////"), ("Server", 0.4, "...."))
_PARTS_KEY = "#777777"
# A set's marker, and whether it is filled; the colour is the system's.
_MARKERS = [(marker, (i + j) % 2 == 0) for j in (0, 1) for i, marker in enumerate("Do^svPXp*")]
_KEY = "#444444"
# The sets of a place are side by side within this part of it.
_SPREAD = 0.5
_ROOM = 1.6
_GROUP_GAP = 0.6
# The part of a figure's width that places have.
_AXIS_PART = 0.85
_NUMBERED = re.compile(r"(.+) (\d+†?)$")


@dataclass(frozen=True)
class Place:
    """A configuration on the axis: its printed id, and its group (LC, SC, Ours)."""

    label: str
    group: str


@dataclass(frozen=True)
class Panel:
    """One panel of a figure: its title and, for each named set, a value for each place; `parts`: what a
    stacked bar of each place consists of.
    """

    title: str
    sets: Mapping[str, Sequence[Value]]
    parts: Sequence[Sequence[float]] = ()


class Categories:
    """Places from left to right, with a gap between two groups. `.x`: their positions; `.names_in`: the
    height of their names in inches, if these are upright.
    """

    bar_width = 0.78

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = list(places)
        x, position = [], 0.0
        for i, place in enumerate(self.places):
            if i:
                position += 1 + (_GROUP_GAP if place.group != self.places[i - 1].group else 0)
            x.append(position)
        self.x = np.array(x)
        self.slot_pt = 72 * _AXIS_PART * width_in(len(x)) / (position + 1.4)
        self.names = [place.label for place in self.places]
        self.groups = self._groups()
        if self.groups:
            self.names = [label.rpartition(" ")[2] for label in self.names]
        self.upright = not self._fit(self.names, venue().small_pt)
        longest = max(map(len, self.names), default=0) if self.upright else 0
        self.names_in = longest * LETTER_EM * venue().small_pt / 72

    def _fit(self, texts: Sequence[str], size: float, places: int = 1) -> bool:
        widest = max((len(text) for text in texts), default=0)
        return widest * LETTER_EM * size <= self.slot_pt * places

    def _groups(self) -> list[tuple[str, float]]:
        """Name and middle of each group, if all places can be labelled with their number only; empty if
        one of them has another label, or a group has no room for its name.
        """
        members: dict[str, list[float]] = {}
        for place, x in zip(self.places, self.x, strict=True):
            match = _NUMBERED.match(place.label)
            if not match or match.group(1) != place.group:
                return []
            members.setdefault(place.group, []).append(x)
        size = venue().small_pt
        if not all(self._fit([name], size, len(own)) for name, own in members.items()):
            return []
        return [(name, (own[0] + own[-1]) / 2) for name, own in members.items()]

    def name_places(self, axis: Any, last: bool) -> None:
        """Ticks, limits and the lines between groups; names under the `last` axis only."""
        size = venue().small_pt
        axis.set_xlim(self.x[0] - 0.7, self.x[-1] + 0.7)
        axis.set_xticks(self.x, self.names if last else [""] * len(self.x))
        axis.tick_params(
            axis="x", length=0, pad=2, labelsize=size, rotation=90 if self.upright else 0
        )
        for name, middle in self.groups if last else ():
            axis.annotate(
                name, (middle, 0), xycoords=("data", "axes fraction"),
                xytext=(0, -4 - 1.3 * size), textcoords="offset points",
                ha="center", va="top", fontsize=size, fontweight="bold",
            )  # fmt: skip
        for i in range(1, len(self.places)):
            if self.places[i - 1].group != self.places[i].group:
                middle = (self.x[i - 1] + self.x[i]) / 2
                axis.axvline(middle, color="#777777", linewidth=0.5, linestyle=":")

    def leave_room(self, axis: Any, values: Sequence[Value]) -> None:
        """An axis from zero with room for the numbers above the highest bar."""
        highest = max((_top(value) for value in values), default=0.0)
        axis.set_ylim(0, (highest or 1.0) * 1.12)

    def label_values(self, axis: Any, values: Sequence[Value]) -> None:
        """Write each value above its bar if all of them fit, else each group's range above the group;
        "-" for a missing value.
        """
        texts = [v.shown_instead if v.value is None else significant(v.value) for v in values]
        fit = self._fit(texts, venue().tiny_pt)
        for x, value, text in zip(self.x, values, texts, strict=True):
            if fit or value.value is None:
                _write(axis, x, _top(value), text)
        if not fit:
            for group in dict.fromkeys(place.group for place in self.places):
                self._label_range(axis, group, values)

    def _label_range(self, axis: Any, group: str, values: Sequence[Value]) -> None:
        own = [i for i, place in enumerate(self.places) if place.group == group]
        known = [v for i in own if (v := values[i].value) is not None]
        if len(known) < len(own):
            return
        text = " to ".join(dict.fromkeys(significant(end) for end in (min(known), max(known))))
        if self._fit([text], venue().tiny_pt, len(own)):
            middle = (self.x[own[0]] + self.x[own[-1]]) / 2
            _write(axis, middle, max(_top(values[i]) for i in own), text)

    def mark_missing(self, axis: Any, panel: Panel) -> None:
        """Write "-" at the bottom of each place without any value."""
        bottom = axis.get_ylim()[0]
        for i, x in enumerate(self.x):
            if all(values[i].value is None for values in panel.sets.values()):
                _write(axis, x, bottom, "-")

    def error_bars(
        self, axis: Any, positions: Any, values: Sequence[Value], caps: bool = True
    ) -> None:
        """Draw the values' intervals as thin black lines, for values that have one."""
        kept = [
            (x, value.value, value.value - value.low, value.high - value.value)
            for x, value in zip(positions, values, strict=True)
            if value.value is not None and value.low is not None and value.high is not None
        ]
        if not kept:
            return
        x, y, down, up = zip(*kept, strict=True)
        # A white line under the black one, for dark bars.
        for colour, wider in (("white", 0.9), ("black", 0.0)) if caps else (("black", 0.0),):
            axis.errorbar(
                x, y, [down, up], color=colour, linestyle="", elinewidth=0.7 + wider,
                capsize=1.5 + wider / 2 if caps else 0, capthick=0.7 + wider, zorder=4 if caps else 2,
            )  # fmt: skip


def _top(value: Value) -> float:
    """The upper end of a value's bar with its interval; 0 without a value."""
    return max(value.value or 0.0, value.high or 0.0)


def _write(axis: Any, x: float, y: float, text: str) -> None:
    axis.annotate(
        text, (x, y), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom",
        fontsize=venue().small_pt if text == "-" else venue().tiny_pt, annotation_clip=False,
    )  # fmt: skip


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
