"""A map of board speed and link rate: which configuration is the fastest, and how fast (estimated)."""
# board: no

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from splitwatt.reports.figures.style import (
    new_figure,
    plain_log_axis,
    system_look,
    venue,
)
from splitwatt.reports.metrics.turning import BOARD_SPEEDS, RATES_KBIT_S, Map

# A configuration's region is named from this part of the map on.
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
        axis.set_title(title, loc="left")
    for axis in axes[len(maps) :]:
        axis.remove()
    return figure


def _draw(axis: Any, each: Map, rates_kbit_s: Sequence[float]) -> None:
    groups = list(dict.fromkeys(entry.group for entry in each.entries))
    kind = np.array([groups.index(entry.group) for entry in each.entries])[each.winner]
    looks = [system_look(group) for group in groups]
    colours = ListedColormap([colour for colour, _ in looks])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.grid(False)
    axis.pcolormesh(
        BOARD_SPEEDS, RATES_KBIT_S, kind, cmap=colours, vmin=-0.5, vmax=len(groups) - 0.5, alpha=0.45,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    for place, (_, hatch) in enumerate(looks):
        inside = np.where(kind == place, 1.0, 0.0)
        if hatch and inside.any():
            hatched = axis.contourf(
                BOARD_SPEEDS,
                RATES_KBIT_S,
                inside,
                levels=[0.5, 1.5],
                colors="none",
                hatches=[hatch],
            )
            hatched.set_edgecolor("#00000040")
            hatched.set_linewidth(0)
    for value in np.unique(each.winner)[:-1]:
        axis.contour(
            BOARD_SPEEDS, RATES_KBIT_S, (each.winner <= value).astype(float), levels=[0.5],
            colors="white", linewidths=0.8,
        )  # fmt: skip
    lines = axis.contour(
        BOARD_SPEEDS, RATES_KBIT_S, each.latency_s, levels=_LINES_S, colors="black", linewidths=0.5,
        linestyles="--",
    )  # fmt: skip
    places = [at for parts in lines.allsegs for part in parts if (at := _label_place(part))]
    if places:
        axis.clabel(
            lines, fmt=lambda seconds: f"{seconds:g} s", fontsize=venue().tiny_pt, manual=places
        )
    for value in np.unique(each.winner):
        _name(axis, each.winner == value, each.entries[value].marked)
    for rate in rates_kbit_s:
        if RATES_KBIT_S[0] <= rate <= RATES_KBIT_S[-1]:
            axis.plot([1.0], [rate], "k+", markersize=6, markeredgewidth=1.0)
    plain_log_axis(axis.xaxis, many=100)
    plain_log_axis(axis.yaxis)
    axis.set_xlabel("Speed of the board, multiple of the run's")
    axis.set_ylabel("Link rate [kbit/s]")


def _label_place(line: np.ndarray) -> tuple[float, float] | None:
    """Where a line of equal latency has its label: near the top, where it does not meet the border."""
    inside = [
        (float(x), float(y))
        for x, y in line
        if 0.05 < _part(x, BOARD_SPEEDS) < 0.95 and 0.07 < _part(y, RATES_KBIT_S) < 0.93
    ]
    return min(inside, key=lambda at: abs(_part(at[1], RATES_KBIT_S) - _LABEL_PART), default=None)


def _part(value: float, axis: np.ndarray) -> float:
    """How far along a logarithmic axis a value is, from 0 to 1."""
    return float(np.log(value / axis[0]) / np.log(axis[-1] / axis[0]))


def _name(axis: Any, region: np.ndarray, name: str) -> None:
    """The name in a region, where it has room: at its point furthest from its border."""
    if region.mean() < _LEAST_PART:
        return
    depth, left = np.zeros(region.shape), np.pad(region, 1)
    while left.any():
        depth += left[1:-1, 1:-1]
        inner = left[1:-1, 1:-1] & left[:-2, 1:-1] & left[2:, 1:-1]
        left = np.pad(inner & left[1:-1, :-2] & left[1:-1, 2:], 1)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    axis.text(
        BOARD_SPEEDS[column], RATES_KBIT_S[row], name, ha="center", va="center", weight="bold",
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip
