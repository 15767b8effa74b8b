"""A map of board speed and link rate: which configuration is the fastest, and how fast (estimated)."""
# board: no

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from splitwatt.reports.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    new_figure,
    plain_log_axis,
    venue,
)
from splitwatt.reports.metrics.turning import BOARD_SPEEDS, RATES_KBIT_S, Map

# Groups in their order; local computing is grey, as what the others are compared with.
_COLOURS = (BLUE, ORANGE, GREEN, SKY, "#CC79A7", "#D55E00")
_HATCHES = ("////", "....", "\\\\\\\\", "xxxx", "++++", "oooo")
# A configuration's region is named from this part of the map on.
_LEAST_PART = 0.02
_LINES_S = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
_PANEL_IN = 2.6


def turning_map(maps: Sequence[tuple[str, Map]], rates_kbit_s: Sequence[float]) -> Figure:
    """A panel for each titled map, two in a row; rates of the run's links are marked at speed 1."""
    across = min(2, len(maps))
    rows = -(-len(maps) // across)
    width = venue().column_in if across == 1 else venue().page_in
    figure, axes = new_figure(rows, width, panel_in=_PANEL_IN, across=across)
    groups = {entry.group for _, each in maps for entry in each.entries if entry.split}
    order = sorted(groups, key=[e.group for _, m in maps for e in m.entries].index)
    for axis, (title, each) in zip(axes, maps, strict=False):
        _draw(axis, each, order, rates_kbit_s)
        axis.set_title(title, loc="left")
    for axis in axes[len(maps) :]:
        axis.remove()
    return figure


def _draw(axis: Any, each: Map, groups: list[str], rates_kbit_s: Sequence[float]) -> None:
    looks = {group: i + 1 for i, group in enumerate(groups)}
    kind = np.array([looks.get(e.group, 0) if e.split else 0 for e in each.entries])[each.winner]
    colours = ListedColormap([GREY, *(_COLOURS[i % len(_COLOURS)] for i in range(len(groups)))])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.grid(False)
    axis.pcolormesh(
        BOARD_SPEEDS, RATES_KBIT_S, kind, cmap=colours, vmin=0, vmax=len(groups), alpha=0.45,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    for place in range(1, len(groups) + 1):
        inside = np.where(kind == place, 1.0, 0.0)
        if inside.any():
            hatched = axis.contourf(
                BOARD_SPEEDS,
                RATES_KBIT_S,
                inside,
                levels=[0.5, 1.5],
                colors="none",
                hatches=[_HATCHES[(place - 1) % len(_HATCHES)]],
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
    axis.clabel(lines, fmt=lambda seconds: f"{seconds:g} s", fontsize=venue().tiny_pt)
    for value in np.unique(each.winner):
        _name(axis, each.winner == value, each.entries[value].marked)
    for rate in rates_kbit_s:
        if RATES_KBIT_S[0] <= rate <= RATES_KBIT_S[-1]:
            axis.plot([1.0], [rate], "k+", markersize=6, markeredgewidth=1.0)
    plain_log_axis(axis.xaxis, many=100)
    plain_log_axis(axis.yaxis)
    axis.set_xlabel("Speed of the board, multiple of the run's")
    axis.set_ylabel("Link rate [kbit/s]")


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
