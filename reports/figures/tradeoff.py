"""Tradeoff curves: rate-distortion, ExR-D, and the three-way one with its projections."""
# board: no

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from splitwatt.reports.figures.style import (
    BLUE,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    legend_above,
    look_at,
    new_figure,
    plain_log_axis,
    venue,
    width_in,
)
from splitwatt.reports.load.values import Value
from splitwatt.reports.metrics.tradeoffs import Curve, Point

# Told apart by marker where there is no colour; a published curve is dashed, its markers hollow.
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, YELLOW, GREY, "#000000")
_LINES = ("--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))


def rate_distortion(curves: Sequence[Curve], ylabel: str) -> Figure:
    """Ladon's Figs. 2 to 4: a column wide, data size on a logarithmic axis."""
    rows = -(-len(curves) // 2)
    figure, axes = new_figure(1, width_in(1), panel_in=2.2 + 0.02 * venue().tiny_pt * rows)
    _draw(axes[0], curves, lambda p: p.data_kib, "Compressed data size [KiB]", ylabel)
    legend_above(figure, axes[0], fontsize=venue().tiny_pt, handlelength=2.4)
    return figure


def three_way(curves: Sequence[Curve], ylabel: str) -> Figure:
    """SC2's Figs. 5 to 10: rate-distortion, ExR-D, and both sizes in space, grey projections."""
    figure, axes = new_figure(1, venue().page_in, panel_in=2.6, across=3)
    left, middle, _ = axes
    _draw(left, curves, lambda p: p.data_kib, "Data size [KiB]", ylabel)
    _draw(middle, curves, lambda p: p.exr, "Encoder size x data size [MiB x KiB]", ylabel)
    spec = axes[2].get_subplotspec()
    axes[2].remove()
    space = figure.add_subplot(spec, projection="3d")
    _draw_space(space, curves, ylabel)
    legend_above(figure, left, fontsize=venue().tiny_pt, handlelength=2.4)
    return figure


def _looks(curves: Sequence[Curve]) -> list[tuple[Any, str]]:
    """A published curve has the colour and marker of the system's own, every other its own."""
    looks: dict[str, tuple[Any, str]] = {}
    result = []
    for curve in curves:
        key = curve.system if curve.published and curve.system in looks else curve.label
        look = looks.setdefault(key, look_at(len(set(looks.values())), _COLOURS, MARKERS))
        looks.setdefault(curve.system, look)
        result.append(look)
    return result


def _draw(
    axis: Any, curves: Sequence[Curve], x_of: Callable[[Point], Value], xlabel: str, ylabel: str
) -> None:
    axis.set_xscale("log")
    axis.grid(axis="both")
    levels = 0
    for curve, (colour, marker) in zip(curves, _looks(curves), strict=True):
        if curve.local:
            for point in curve.points:
                if point.percent.value is None:
                    continue
                axis.axhline(
                    point.percent.value,
                    color=GREY if curve.published else colour,
                    linewidth=0.6 if curve.published else 0.9,
                    linestyle=_LINES[levels % len(_LINES)],
                    label=curve.label,
                    zorder=1,
                )
                levels += 1
            continue
        known = [(x_of(p), p.percent) for p in curve.points if x_of(p).value is not None]
        if not known:
            continue
        axis.errorbar(
            [x.value for x, _ in known],
            [y.value for _, y in known],
            xerr=_errors([x for x, _ in known]),
            yerr=_errors([y for _, y in known]),
            color=colour,
            marker=marker,
            markersize=4,
            linestyle="--" if curve.published else "-",
            linewidth=0.9,
            markerfacecolor="white" if curve.published else colour,
            markeredgewidth=0.8,
            elinewidth=0.6,
            capsize=1.5,
            label=curve.label,
            zorder=2 if curve.published else 3,
        )
    plain_log_axis(axis.xaxis)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)


def _errors(values: Sequence[Value]) -> list[list[float]] | None:
    """Distances to the ends of the intervals; None where no value has one."""
    if all(v.low is None for v in values):
        return None
    down = [(v.value or 0.0) - (v.low if v.low is not None else v.value or 0.0) for v in values]
    up = [(v.high if v.high is not None else v.value or 0.0) - (v.value or 0.0) for v in values]
    return [[max(0.0, d) for d in down], [max(0.0, u) for u in up]]


def _place(point: Point) -> tuple[float, float, float] | None:
    """A point's place in space; None where a coordinate is not known."""
    x, y, z = point.encoder_mib.value, point.data_kib.value, point.percent.value
    return None if x is None or y is None or z is None else (x, y, z)


def _draw_space(axis: Any, curves: Sequence[Curve], ylabel: str) -> None:
    shown = []
    for curve, look in zip(curves, _looks(curves), strict=True):
        points = [place for place in map(_place, curve.points) if place]
        if points:
            shown.append((curve, look, points))
    if shown:
        flat = [point for _, _, points in shown for point in points]
        # The walls at the back: the least encoder, the largest data size, the floor.
        walls = (
            min(p[0] for p in flat) * 0.8, max(p[1] for p in flat) * 1.1,
            min(p[2] for p in flat) - 1,
        )  # fmt: skip
        for curve, (colour, marker), points in shown:
            x, y, z = zip(*points, strict=True)
            for at in range(3):
                flattened = [
                    [walls[at]] * len(points) if i == at else s for i, s in enumerate((x, y, z))
                ]
                axis.plot(*flattened, color="#BBBBBB", linewidth=0.7, marker=".", markersize=2)
            axis.plot(
                x, y, z, color=colour, marker=marker, markersize=3.5, linewidth=0.9,
                linestyle="--" if curve.published else "-",
                markerfacecolor="white" if curve.published else colour,
            )  # fmt: skip
    small = venue().tiny_pt
    axis.set_title(f"Height: {ylabel}", fontsize=small)
    for side, name in ((axis.xaxis, "Encoder [MiB]"), (axis.yaxis, "Data [KiB]")):
        side.set_rotate_label(False)
        side.set_label_text(name, fontsize=small)
        side.labelpad = 0
    for side in (axis.xaxis, axis.yaxis, axis.zaxis):
        side.set_major_locator(MaxNLocator(3))
    axis.tick_params(labelsize=small, pad=-3)
    axis.set_box_aspect(None, zoom=0.7)  # the names beside the cube are in the panel too
    axis.view_init(elev=22, azim=-55)
