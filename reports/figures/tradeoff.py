"""Tradeoff curves: rate-distortion, ExR-D, and the three-way one with its projections."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from splitwatt.reports.figures.style import (
    MARKERS,
    legend_above,
    new_figure,
    plain_log_axis,
    system_look,
    venue,
    width_in,
)
from splitwatt.reports.load.model import Series
from splitwatt.reports.load.values import Value
from splitwatt.reports.metrics.tradeoffs import Curve, Point

# A curve has its system's colour, a marker of its own, and another line where the system has several;
# a published curve is dashed, its markers hollow.
_LINES = ("-", "-.", ":", (0, (7, 1)), (0, (1, 3)), (0, (3, 1, 1, 1, 1, 1)))
_PUBLISHED = "--"


def rate_distortion(curves: Sequence[Curve], series: list[Series], ylabel: str) -> Figure:
    """Ladon's Figs. 2 to 4: a column wide, data size on a logarithmic axis."""
    looks, rows = _looks(curves, series), -(-len(curves) // 2)
    figure, axes = new_figure(1, width_in(1), panel_in=2.2 + 0.02 * venue().tiny_pt * rows)
    _draw(axes[0], looks, lambda p: p.data_kib, "Compressed data size [KiB]", ylabel)
    legend_above(figure, axes[0], fontsize=venue().tiny_pt, handlelength=2.4)
    return figure


def three_way(curves: Sequence[Curve], series: list[Series], ylabel: str) -> Figure:
    """SC2's Figs. 5 to 10: rate-distortion, ExR-D, and both sizes in space, grey projections."""
    looks = _looks(curves, series)
    figure, axes = new_figure(1, venue().page_in, panel_in=2.6, across=3)
    left, middle, _ = axes
    _draw(left, looks, lambda p: p.data_kib, "Data size [KiB]", ylabel)
    _draw(middle, looks, lambda p: p.exr, "Encoder size x data size [MiB x KiB]", ylabel)
    spec = axes[2].get_subplotspec()
    axes[2].remove()
    space = figure.add_subplot(spec, projection="3d")
    _draw_space(space, looks, ylabel)
    legend_above(figure, left, fontsize=venue().tiny_pt, handlelength=2.4)
    return figure


@dataclass(frozen=True)
class _Look:
    """A curve and how it is drawn."""

    curve: Curve
    colour: str
    marker: str
    line: Any

    @property
    def inside(self) -> str:
        """The filling of its markers."""
        return "white" if self.curve.published else self.colour


def _looks(curves: Sequence[Curve], series: list[Series]) -> list[_Look]:
    """A published curve has the marker of the system's own one."""
    markers: dict[str, str] = {}
    lines: dict[tuple[str, bool], list[str]] = {}
    result = []
    for curve in curves:
        colour, _ = system_look(curve.group(series))
        known = curve.published and curve.system in markers
        key = curve.system if known else curve.label
        marker = markers.setdefault(key, MARKERS[len(set(markers.values())) % len(MARKERS)])
        markers.setdefault(curve.system, marker)
        alike = lines.setdefault((colour, curve.local), [])
        if curve.published and not curve.local:
            line: Any = _PUBLISHED
        else:
            line = _LINES[len(alike) % len(_LINES)]
            alike.append(curve.label)
        result.append(_Look(curve, colour, marker, line))
    return result


def _draw(
    axis: Any, looks: Sequence[_Look], x_of: Callable[[Point], Value], xlabel: str, ylabel: str
) -> None:
    axis.set_xscale("log")
    axis.grid(True, axis="both")
    for look in looks:
        curve, colour = look.curve, look.colour
        if curve.local:
            for point in curve.points:
                if point.percent.value is not None:
                    axis.axhline(
                        point.percent.value, color=colour, linestyle=look.line, label=curve.label,
                        linewidth=0.6 if curve.published else 0.9, zorder=1,
                    )  # fmt: skip
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
            marker=look.marker,
            markersize=4,
            linestyle=look.line,
            linewidth=0.9,
            markerfacecolor=look.inside,
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
    """Distances to the ends of the intervals; None if no value has one."""
    if all(v.low is None for v in values):
        return None
    down = [(v.value or 0.0) - (v.low if v.low is not None else v.value or 0.0) for v in values]
    up = [(v.high if v.high is not None else v.value or 0.0) - (v.value or 0.0) for v in values]
    return [[max(0.0, d) for d in down], [max(0.0, u) for u in up]]


def _place(point: Point) -> tuple[float, float, float] | None:
    """A point's place in space; None if a coordinate is not known."""
    x, y, z = point.encoder_mib.value, point.data_kib.value, point.percent.value
    return None if x is None or y is None or z is None else (x, y, z)


def _draw_space(axis: Any, looks: Sequence[_Look], ylabel: str) -> None:
    shown = []
    for look in looks:
        points = [place for place in map(_place, look.curve.points) if place]
        if points:
            shown.append((look, points))
    if shown:
        flat = [point for _, points in shown for point in points]
        # The walls at the back: the least encoder, the largest data size, the floor.
        walls = (
            min(p[0] for p in flat) * 0.8, max(p[1] for p in flat) * 1.1,
            min(p[2] for p in flat) - 1,
        )  # fmt: skip
        for look, points in shown:
            x, y, z = zip(*points, strict=True)
            for at in range(3):
                flattened = [
                    [walls[at]] * len(points) if i == at else s for i, s in enumerate((x, y, z))
                ]
                axis.plot(*flattened, color="#BBBBBB", linewidth=0.7, marker=".", markersize=2)
            axis.plot(
                x, y, z, color=look.colour, marker=look.marker, markersize=3.5, linewidth=0.9,
                linestyle=look.line, markerfacecolor=look.inside,
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
