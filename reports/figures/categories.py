"""The axis that all figures share: one place for each configuration, its groups set apart."""
# board: no

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitwatt.reports.figures.style import small_pt, tiny_pt, width_in
from splitwatt.reports.load.values import Value
from splitwatt.reports.tables.table import significant

_GROUP_GAP = 0.6
# From so many places on, labels stand upright; and where the widest one has no room.
_CROWDED = 12
# Of a figure's width the part that places have, and of a font's size a letter's mean width.
_AXIS_PART, _LETTER_EM = 0.85, 0.45


@dataclass(frozen=True)
class Place:
    """A configuration on the axis: its printed id, and the group (LC, SC, Ours) it stands in."""

    label: str
    group: str


@dataclass(frozen=True)
class Panel:
    """One panel of a figure: its title and, for each named set, a value for each place."""

    title: str
    sets: Mapping[str, Sequence[Value]]


class Categories:
    """Places from left to right, a gap between two groups; `.x` are their positions."""

    bar_width = 0.78

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = list(places)
        x, position = [], 0.0
        for i, place in enumerate(self.places):
            if i:
                position += 1 + (_GROUP_GAP if place.group != self.places[i - 1].group else 0)
            x.append(position)
        self.x = np.array(x)
        room_pt = 72 * _AXIS_PART * width_in(len(x)) / (position + 1.4)
        widest = max((len(place.label) for place in self.places), default=0)
        self.crowded = len(x) > _CROWDED or widest * _LETTER_EM * small_pt() > room_pt

    def name_places(self, axis: Any, last: bool) -> None:
        """Ticks, limits and the lines between groups; names under the `last` axis only."""
        axis.set_xlim(self.x[0] - 0.7, self.x[-1] + 0.7)
        names = [place.label if last else "" for place in self.places]
        axis.set_xticks(self.x, names, rotation=90 if self.crowded else 0)
        axis.tick_params(axis="x", length=0, pad=2, labelsize=small_pt())
        for i in range(1, len(self.places)):
            if self.places[i - 1].group != self.places[i].group:
                middle = (self.x[i - 1] + self.x[i]) / 2
                axis.axvline(middle, color="#777777", linewidth=0.5, linestyle=":")

    def leave_room(self, axis: Any, values: Sequence[Value]) -> None:
        """An axis from zero with room for the numbers above the highest bar."""
        highest = max((_top(value) for value in values), default=0.0)
        axis.set_ylim(0, (highest or 1.0) * (1.2 if self.crowded else 1.12))

    def label_values(self, axis: Any, values: Sequence[Value]) -> None:
        """Each value in small print above its bar, "-" where there is none."""
        for x, value in zip(self.x, values, strict=True):
            self._write(axis, x, _top(value), value)

    def mark_missing(self, axis: Any, panel: Panel) -> None:
        """A "-" at the bottom of each place without any value."""
        bottom = axis.get_ylim()[0]
        for i, x in enumerate(self.x):
            if all(values[i].value is None for values in panel.sets.values()):
                self._write(axis, x, bottom, Value(None))

    def _write(self, axis: Any, x: float, y: float, value: Value) -> None:
        axis.annotate(
            "-" if value.value is None else significant(value.value),
            (x, y),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            rotation=90 if self.crowded and value.value is not None else 0,
            fontsize=small_pt() if value.value is None else tiny_pt(),
            annotation_clip=False,
        )

    def error_bars(
        self, axis: Any, positions: Any, values: Sequence[Value], caps: bool = True
    ) -> None:
        """The values' intervals as thin black lines; nothing where a value has none."""
        kept = [
            (x, value.value, value.value - value.low, value.high - value.value)
            for x, value in zip(positions, values, strict=True)
            if value.value is not None and value.low is not None and value.high is not None
        ]
        if not kept:
            return
        x, y, down, up = zip(*kept, strict=True)
        axis.errorbar(
            x,
            y,
            [down, up],
            color="black",
            linestyle="",
            elinewidth=0.7,
            capsize=1.5 if caps else 0,
            capthick=0.7,
            zorder=4 if caps else 2,
        )


def _top(value: Value) -> float:
    """Where a value's bar ends, its interval included; 0 for none."""
    return max(value.value or 0.0, value.high or 0.0)
