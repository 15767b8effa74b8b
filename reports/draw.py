"""Which figures a report has: from series to drawn files with captions."""
# board: no

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from reports import notes
from reports.bar_kinds import INTERVAL, KINDS, Kind
from reports.figures.bars import BarPanel, bar_figure
from reports.figures.categories import Place
from reports.figures.latency import Bar, Panel, all_links, stacked
from reports.figures.style import paper_style, save
from reports.latency import latency
from reports.model import Entry, Link, Series, links_of_all, slug
from reports.progress import each
from reports.values import Value, missing, ordered


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: its file name, what it shows, how it is drawn."""

    name: str
    title: str
    caption: str
    sources: tuple[str, ...]
    draw: Callable[[], Figure]

    @property
    def shown_sources(self) -> str:
        """The sources for people: `measured, simulated`."""
        return ", ".join(self.sources)


def draw_all(series: list[Series], folder: Path) -> list[tuple[Drawing, list[str]]]:
    """Draw every figure into `folder`; each with its files' names."""
    result = []
    with paper_style():
        for drawing in each(drawings(series), "drawing figures"):
            result.append((drawing, save(drawing.draw(), folder, drawing.name)))
    return result


def drawings(series: list[Series]) -> list[Drawing]:
    """The figures that these series can fill; one without any number is left out."""
    links = links_of_all(series)
    found = [_latency(series, link) for link in links]
    found.append(_all_links(series, links))
    found += [_bars_of(series, kind) for kind in KINDS]
    return [drawing for drawing in found if drawing.sources]


def _latency(series: list[Series], link: Link) -> Drawing:
    shown = [s for s in series if link in s.links]
    panels = [Panel(s.label, _bars(s, link, _axis(shown))) for s in shown]
    bars = [bar for panel in panels for bar in panel.bars]
    stretch = max((abs(bar.scale - 1) for bar in bars), default=0.0)
    caption = (
        f"Median end-to-end latency, link {link.name}: local computing, transfer (the simulated "
        "uplink and the HTTP round trip as measured) and server. The parts' medians are scaled by "
        f"at most {100 * stretch:.1f} % to add up to the median of the whole. {INTERVAL}"
    )
    return Drawing(
        f"latency_{slug(link)}",
        f"End-to-end latency, {link.name}",
        caption,
        _sources([bar.total for bar in bars]),
        lambda: stacked(panels, _small_print(shown, [bar.total for bar in bars])),
    )


def _all_links(series: list[Series], links: list[Link]) -> Drawing:
    axis = _axis(series)
    panels = [
        (s.label, {link.name: _bars(s, link, axis) for link in links if link in s.links})
        for s in series
    ]
    values = [bar.total for _, sets in panels for bars in sets.values() for bar in bars]
    return Drawing(
        "latency_all",
        "End-to-end latency, all links",
        f"Median end-to-end latency on every link, logarithmic scale. {INTERVAL}",
        _sources(values),
        lambda: all_links(panels, _small_print(series, values)),
    )


def _bars_of(series: list[Series], kind: Kind) -> Drawing:
    shown = kind.series(series)
    axis = [entry for entry in _axis(shown) if entry.split or not kind.only_split]
    panels = [
        BarPanel(
            s.label if len(shown) > 1 else "",
            {name: [_value(s, entry, of) for entry in axis] for name, of in kind.sets.items()},
        )
        for s in shown
    ]
    values = [value for panel in panels for found in panel.sets.values() for value in found]
    small = _small_print(shown, values, kind.shows_bytes)
    return Drawing(
        kind.name,
        kind.title,
        kind.caption,
        _sources(values),
        lambda: bar_figure(_places(axis), panels, kind.ylabel, small, kind.log),
    )


def _axis(series: list[Series]) -> list[Entry]:
    """Every configuration of any series, in their order, once."""
    found = {e.id: e for s in series for e in s.entries}
    return list(found.values())


def _places(axis: list[Entry]) -> list[Place]:
    return [Place(c.marked, c.group, c.split) for c in axis]


def _value(s: Series, other: Entry, of: Callable[[Entry], Value]) -> Value:
    entry = s.entry(other.id)
    return of(entry) if entry else missing("not in this run")


def _bars(s: Series, link: Link, axis: list[Entry]) -> list[Bar]:
    bars = []
    for place, other in zip(_places(axis), axis, strict=True):
        entry = s.entry(other.id)
        if entry is None:
            bars.append(Bar(place, missing("not in this run")))
            continue
        found = latency(entry, link)
        bars.append(
            Bar(
                place,
                found.total,
                found.local.value or 0.0,
                found.transfer_s,
                found.server.value or 0.0,
            )
        )
    return bars


def _sources(values: list[Value]) -> tuple[str, ...]:
    return ordered(name for v in values if v.value is not None for name in v.sources)


def _small_print(series: list[Series], values: list[Value], bytes_shown: bool = True) -> list[str]:
    """What stands in the figure itself: sources, daggers, untrained weights."""
    lines = [f"Sources: {', '.join(_sources(values))}."]
    if any(v.value is None for v in values):
        lines[0] += ' "-": not measured.'
    lines += notes.assumed(series)
    if bytes_shown:
        lines += [*notes.published_payload(series), *notes.untrained(series)]
    return lines
