"""A map of board speed and link rate: which configuration is the fastest, and how fast (estimated)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy.ndimage import distance_transform_edt

from splitwatt.reports.figures.style import (
    LETTER_EM,
    new_figure,
    panel_title,
    plain_log_axis,
    system_look,
    venue,
)
from splitwatt.reports.tables.breakeven import BOARD_SPEEDS, RATES_KBIT_S, Map

# A configuration's region is named if it has at least this part of the map.
_LEAST_PART = 0.02
_LINES_S = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
_PANEL_IN = 2.6
_LABEL_PART = 0.9


def turning_map(maps: Sequence[tuple[str, Map]], rates_kbit_s: Sequence[float]) -> Figure:
    """A panel for each titled map, two in a row; rates of the run's links are marked at speed 1."""
    across = min(2, len(maps))
    rows = -(-len(maps) // across)
    width = venue().column_in if across == 1 else venue().page_in
    figure, axes = new_figure(rows, width, panel_in=_PANEL_IN, across=across)
    for axis, (title, each) in zip(axes, maps, strict=False):
        _draw(axis, each, rates_kbit_s)
        panel_title(axis, title, across)
    for axis in axes[len(maps) :]:
        axis.remove()
    return figure


def _draw(axis: Any, each: Map, rates_kbit_s: Sequence[float]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.grid(False)
    grid = BOARD_SPEEDS, RATES_KBIT_S
    winners = np.unique(each.winner)
    for group in dict.fromkeys(each.entries[value].group for value in winners):
        colour, hatch = system_look(group)
        own = [at for at, entry in enumerate(each.entries) if entry.group == group]
        lead = np.minimum(each.lead(own), 1e9)  # a contour of infinity is not drawn
        for looks in ({"colors": [to_rgba(colour, 0.45)]}, {"colors": "none", "hatches": [hatch]}):
            drawn = axis.contourf(*grid, lead, levels=[0.0, np.inf], **looks)
        drawn.set_edgecolor("#00000040")
        drawn.set_linewidth(0)
    for value in winners if len(winners) > 1 else ():
        axis.contour(*grid, each.lead([value]), levels=[0.0], colors="white", linewidths=0.8)
    lines = axis.contour(
        *grid, each.latency_s, levels=_LINES_S, colors="black", linewidths=0.5, linestyles="--",
    )  # fmt: skip
    names = [
        (name, spot)
        for value in winners
        if (spot := _name_place(each.winner == value, name := each.entries[value].marked))
    ]
    places = [at for parts in lines.allsegs for part in parts if (at := _label_place(part, names))]
    if places:
        axis.clabel(
            lines, fmt=lambda seconds: f"{seconds:g} s", fontsize=venue().tiny_pt, manual=places
        )
    for name, (speed, rate) in names:
        axis.text(
            speed, rate, name, ha="center", va="center", weight="bold", fontsize=venue().small_pt,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip
    for rate in rates_kbit_s:
        if RATES_KBIT_S[0] <= rate <= RATES_KBIT_S[-1]:
            axis.plot([1.0], [rate], "k+", markersize=6, markeredgewidth=1.0)
    plain_log_axis(axis.xaxis, many=100)
    plain_log_axis(axis.yaxis)
    axis.set_xlabel("Speed of the board, multiple of the run's")
    axis.set_ylabel("Link rate [kbit/s]")


def _label_place(
    line: np.ndarray, names: list[tuple[str, tuple[float, float]]]
) -> tuple[float, float] | None:
    """The place of a label on a line of equal latency: near the top, away from borders and names."""

    def free(x: float, y: float) -> bool:
        across, up = _part(x, BOARD_SPEEDS), _part(y, RATES_KBIT_S)
        return (
            0.05 < across < 0.95
            and 0.07 < up < 0.93
            and all(
                abs(up - _part(rate, RATES_KBIT_S)) > 0.1
                or abs(across - _part(speed, BOARD_SPEEDS)) > 0.05 + 0.016 * len(name)
                for name, (speed, rate) in names
            )
        )

    inside = [(float(x), float(y)) for x, y in line if free(x, y)]
    return min(inside, key=lambda at: abs(_part(at[1], RATES_KBIT_S) - _LABEL_PART), default=None)


def _part(value: float, axis: np.ndarray) -> float:
    """How far along a logarithmic axis a value is, from 0 to 1."""
    return float(np.log(value / axis[0]) / np.log(axis[-1] / axis[0]))


def _name_place(region: np.ndarray, name: str) -> tuple[float, float] | None:
    """The place of a region's name, if it has room: the board's speed and the rate that are furthest
    from its border, in sizes of the name.
    """
    if region.mean() < _LEAST_PART:
        return None
    cells_per_pt = len(RATES_KBIT_S) / (72 * _PANEL_IN)
    size = cells_per_pt * venue().small_pt * np.array([1.0, LETTER_EM * len(name)])
    free = distance_transform_edt(np.pad(region, 1), sampling=1 / size)[1:-1, 1:-1]
    row, column = np.unravel_index(free.argmax(), free.shape)
    return float(BOARD_SPEEDS[column]), float(RATES_KBIT_S[row])
