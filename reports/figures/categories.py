"""The axis that all figures share: one place for each configuration, its groups set apart."""
# board: no

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.table import significant
from reports.values import Value

_GROUP_GAP = 0.6
_BAR_WIDTH = 0.78


@dataclass(frozen=True)
class Place:
    """A configuration on the axis: its printed id, its group (LC, SC, Ours), does it send."""

    label: str
    group: str
    split: bool


class Categories:
    """Places from left to right, a gap between two groups; `.x` are their positions."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = list(places)
        x, position = [], 0.0
        for i, place in enumerate(self.places):
            if i:
                position += 1 + (_GROUP_GAP if place.group != self.places[i - 1].group else 0)
            x.append(position)
        self.x = np.array(x)
        self.crowded = len(self.places) > 12

    def prepare(self, axis: Any, last: bool) -> None:
        """Ticks, limits and the lines between groups; names under the `last` axis only."""
        axis.set_xlim(self.x[0] - 0.7, self.x[-1] + 0.7)
        labels = [place.label for place in self.places] if last else []
        axis.set_xticks(self.x, labels or [""] * len(self.x), rotation=90 if self.crowded else 0)
        axis.tick_params(axis="x", length=0, pad=2, labelsize=6.5 if self.crowded else 7)
        for left, right, a, b in zip(
            self.x, self.x[1:], self.places, self.places[1:], strict=False
        ):
            if a.group != b.group:
                axis.axvline((left + right) / 2, color="#777777", linewidth=0.5, linestyle=":")

    def width(self, slots: int = 1) -> float:
        """The width of one of `slots` bars that share a place."""
        return _BAR_WIDTH / slots

    def label_values(
        self,
        axis: Any,
        tops: Sequence[float | None],
        shown: Sequence[float | None],
        offset: float = 0.0,
    ) -> None:
        """Each value in small print above its bar, "-" where there is none."""
        for x, top, value in zip(self.x, tops, shown, strict=True):
            text = "-" if value is None else significant(value)
            axis.annotate(
                text,
                (x + offset, top or 0.0),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                rotation=90 if self.crowded and value is not None else 0,
                fontsize=5.5 if self.crowded else 6,
                annotation_clip=False,
            )

    def error_bars(self, axis: Any, positions: Any, values: Sequence[Value]) -> None:
        """The values' intervals as thin black bars; nothing where a value has none."""
        for x, value in zip(positions, values, strict=True):
            if value.value is None or value.low is None or value.high is None:
                continue
            ends = [[value.value - value.low], [value.high - value.value]]
            axis.errorbar(
                x,
                value.value,
                ends,
                color="black",
                elinewidth=0.7,
                capsize=1.5,
                capthick=0.7,
                zorder=4,
            )
