"""End-to-end latency: stacked bars for one link (Fig. 5), and all links on one scale."""
# board: no

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from reports.figures.categories import Categories, Place
from reports.figures.style import BLUE, GREEN, GREY, ORANGE, SKY, new_figure, width_in
from reports.values import Value

_PARTS = (("Local", BLUE, ""), ("Transfer", ORANGE, "////"), ("Server", GREEN, "...."))
# Colour, marker and filling of the links, in the order of the configuration.
_MARKERS = ((ORANGE, "o", "full"), (GREEN, "^", "none"), (SKY, "s", "full"), (GREY, "v", "none"))


@dataclass(frozen=True)
class Bar:
    """A configuration's latency on one link: the median with its interval, and its parts, in s."""

    place: Place
    total: Value
    local_s: float = 0.0
    transfer_s: float = 0.0
    server_s: float = 0.0

    def segments(self) -> list[float]:
        """The parts' medians, scaled so that they add up to the median of the whole.

        Medians do not add up by themselves; the caption says how far they were scaled.
        """
        parts = [self.local_s, self.transfer_s, self.server_s]
        return [part * self.scale for part in parts]

    @property
    def scale(self) -> float:
        """What `segments` multiplies the parts by; 1 where there is nothing to scale."""
        parts = self.local_s + self.transfer_s + self.server_s
        return self.total.value / parts if self.total.value is not None and parts > 0 else 1.0


@dataclass(frozen=True)
class Panel:
    """One board and backend: a title and its bars; a figure's panels have the same places."""

    title: str
    bars: Sequence[Bar]


def stacked(panels: Sequence[Panel], notes: list[str]) -> Figure:
    """Stacked bars of local, transfer and server time, a panel for each board and backend."""
    categories = Categories([bar.place for bar in panels[0].bars])
    figure, axes = new_figure(len(panels), width_in(len(categories.places)), notes)
    for panel, axis in zip(panels, axes, strict=True):
        _stack(axis, categories, panel.bars)
        axis.set_title(panel.title, loc="left")
        axis.set_ylabel("End-to-end latency [s]")
        categories.prepare(axis, last=axis is axes[-1])
    axes[0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 0.98), borderaxespad=0.2)
    return figure


def _stack(axis: Any, categories: Categories, bars: Sequence[Bar]) -> None:
    segments = [bar.segments() if bar.total.value is not None else [0.0] * 3 for bar in bars]
    below = [0.0] * len(bars)
    for i, (name, colour, hatch) in enumerate(_PARTS):
        heights = [parts[i] for parts in segments]
        axis.bar(
            categories.x,
            heights,
            categories.width(),
            below,
            label=name,
            color=colour,
            hatch=hatch,
            edgecolor="black",
            linewidth=0.4,
        )
        below = [a + b for a, b in zip(below, heights, strict=True)]
    categories.error_bars(axis, categories.x, [bar.total for bar in bars])
    values = [bar.total.value for bar in bars]
    tops = [bar.total.high or bar.total.value for bar in bars]
    axis.set_ylim(
        0, max([top for top in tops if top] or [1.0]) * (1.2 if categories.crowded else 1.12)
    )
    categories.label_values(axis, tops, values)


def all_links(
    panels: Sequence[tuple[str, Mapping[str, Sequence[Bar]]]], notes: list[str]
) -> Figure:
    """Each link's medians on one logarithmic scale; local computing, the same on all, once."""
    first = next(iter(panels[0][1].values()))
    categories = Categories([bar.place for bar in first])
    figure, axes = new_figure(len(panels), width_in(len(categories.places)), notes)
    for (title, links), axis in zip(panels, axes, strict=True):
        axis.set_yscale("log")
        local = [not bar.place.split for bar in first]
        _dots(
            axis, categories, next(iter(links.values())), local, "no link needed", BLUE, "D", "full"
        )
        for (link, bars), look in zip(links.items(), _looks(len(links)), strict=True):
            _dots(axis, categories, bars, [not here for here in local], link, *look)
        axis.set_title(title, loc="left")
        axis.set_ylabel("End-to-end latency [s]")
        categories.prepare(axis, last=axis is axes[-1])
    axes[0].legend(
        ncols=4,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.98),
        borderaxespad=0.2,
        handletextpad=0.2,
        columnspacing=0.9,
    )
    return figure


def _looks(count: int) -> list[tuple[str, str, str]]:
    return [_MARKERS[i % len(_MARKERS)] for i in range(count)]


def _dots(
    axis: Any,
    categories: Categories,
    bars: Sequence[Bar],
    chosen: Sequence[bool],
    label: str,
    colour: str,
    marker: str,
    filling: str,
) -> None:
    kept = [
        (x, bar.total)
        for x, bar, here in zip(categories.x, bars, chosen, strict=True)
        if here and bar.total.value is not None
    ]
    if not kept:
        return
    positions, values = [x for x, _ in kept], [value for _, value in kept]
    categories.error_bars(axis, positions, values)
    axis.plot(
        positions,
        [v.value for v in values],
        linestyle="",
        marker=marker,
        markersize=3.5,
        color=colour,
        markeredgecolor="black" if filling == "full" else colour,
        markeredgewidth=0.4 if filling == "full" else 1.0,
        fillstyle=filling,
        label=label,
        zorder=3,
    )
