"""A deployed run over time: latency against the deadline, configuration, rate, dropped frames."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from splitwatt.reports.figures.style import (
    GREY,
    MARKERS,
    legend_above,
    new_figure,
    plain_log_axis,
    system_look,
    venue,
)
from splitwatt.reports.tables.timeline import Timeline

_LINE = "black"
_LATENCY_IN, _SMALL_IN, _ROW_IN = 1.5, 0.8, 0.14


def timeline_figure(timeline: Timeline, energy: Sequence[tuple[float, float]]) -> Figure:
    """Four rows over the seconds from the first capture, and one of joules if `energy`, pairs of
    (seconds, joules so far), is not empty.
    """
    rows_in = [_LATENCY_IN, _SMALL_IN, 0.4 + _ROW_IN * len(timeline.chosen), _SMALL_IN]
    rows_in += [_SMALL_IN] * bool(energy)
    figure, axes = new_figure(len(rows_in), venue().page_in, rows_in=rows_in)
    _latency(axes[0], timeline)
    _rate(axes[1], timeline)
    _chosen(axes[2], timeline)
    _dropped(axes[3], timeline)
    if energy:
        axes[4].plot(*zip(*energy, strict=True), color=_LINE, linewidth=0.8)
        axes[4].set_ylim(bottom=0)
        axes[4].set_ylabel("Energy [J]")
    last_s = max(f.at_s for f in timeline.frames) or 1.0
    for axis in axes:
        axis.set_xlim(-0.01 * last_s, 1.01 * last_s)
        axis.tick_params(labelbottom=axis is axes[-1])
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("Time since the first capture [s]")
    legend_above(figure, axes[0])
    return figure


def _latency(axis: Any, timeline: Timeline) -> None:
    for place, entry in enumerate(timeline.chosen):
        own = [f for f in timeline.frames if f.entry is entry and f.answered]
        alike = [e for e in timeline.chosen[:place] if e.group == entry.group]
        axis.plot(
            [f.at_s for f in own], [f.row.latency_s for f in own], MARKERS[len(alike) % len(MARKERS)],
            label=entry.marked, color=system_look(entry.group)[0], markersize=2.5, markeredgewidth=0,
        )  # fmt: skip
    if failed := [f for f in timeline.frames if not f.answered]:
        axis.plot(
            [f.at_s for f in failed], [f.row.latency_s for f in failed], "x", label="failed",
            color="black", markersize=3, markeredgewidth=0.7,
        )  # fmt: skip
    if timeline.deadline_s is not None:
        look = {"color": "black", "linestyle": "--", "linewidth": 0.8}
        axis.axhline(timeline.deadline_s, label="deadline", **look)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("Latency [s]")


def _steps(axis: Any, timeline: Timeline, values: Sequence[float], colour: str = _LINE) -> None:
    times = [f.at_s for f in timeline.frames]
    axis.step(times, values, where="post", color=colour, linewidth=0.8)


def _rate(axis: Any, timeline: Timeline) -> None:
    """A gap where the rate was not known."""
    rates = [f.row.rate_kbit_s or math.nan for f in timeline.frames]
    axis.set_ylabel("Rate\n[kbit/s]")
    known = [rate for rate in rates if not math.isnan(rate)]
    if not known:
        axis.text(0.5, 0.5, "-", transform=axis.transAxes, ha="center", va="center")
        axis.set_yticks([])
        return
    _steps(axis, timeline, rates)
    axis.set_yscale("log")
    axis.set_ylim(min(known) / 1.5, max(known) * 1.5)
    plain_log_axis(axis.yaxis, many=20)


def _chosen(axis: Any, timeline: Timeline) -> None:
    ids = [entry.id for entry in timeline.chosen]
    _steps(axis, timeline, [ids.index(f.chosen.id) for f in timeline.frames], GREY)
    for place, entry in enumerate(timeline.chosen):
        own = [f.at_s for f in timeline.frames if f.entry is entry and f.answered]
        colour, _ = system_look(entry.group)
        axis.plot(own, [place] * len(own), "|", color=colour, markersize=5, markeredgewidth=0.6)
    axis.set_yticks(range(len(ids)), [entry.marked for entry in timeline.chosen])
    axis.set_ylim(len(ids) - 0.5, -0.5)
    axis.set_ylabel("Chosen")


def _dropped(axis: Any, timeline: Timeline) -> None:
    dropped = [f.row.dropped for f in timeline.frames]
    _steps(axis, timeline, dropped)
    axis.set_ylim(0, max(1, 1.1 * max(dropped)))
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set_ylabel("Dropped")
