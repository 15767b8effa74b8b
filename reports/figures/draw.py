"""Which figures a report has: from series to drawn files with captions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from splitwatt.reports.figures.accuracy import accuracy_drawings, agreement_drawings
from splitwatt.reports.figures.bars import Panel, Place, bars, dots
from splitwatt.reports.figures.style import Drawing, coloured, paper_style, save
from splitwatt.reports.figures.timeline import timeline_figure
from splitwatt.reports.figures.turning import turning_map
from splitwatt.reports.load.accuracy import NONE, Accuracy
from splitwatt.reports.load.model import (
    NO_LINK,
    Entry,
    Link,
    Series,
    by_board,
    file_name,
    links_of_all,
    slug,
)
from splitwatt.reports.load.values import Value, by_source, missing
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.latency import charges_more, latency
from splitwatt.reports.metrics.metric import Chart, metrics
from splitwatt.reports.metrics.tradeoffs import systems
from splitwatt.reports.papers.printed_names import paper_figure
from splitwatt.reports.papers.venues import Venue
from splitwatt.reports.tables import frankensplit, notes
from splitwatt.reports.tables.breakeven import (
    MOST_ON_MAP,
    computed_of,
    fastest_map,
)
from splitwatt.reports.tables.timeline import Timeline, energy_so_far, timelines

INTERVAL = f"Error bars: {stats.METHOD}."


def draw_all(figures: list[Drawing], folder: Path, venue: Venue) -> None:
    """Draw the figures into `folder`, for a venue."""
    with paper_style(venue):
        console = Console(stderr=True)  # silent without a terminal
        for drawing in track(
            figures, "drawing figures", console=console, transient=True,
            disable=not console.is_terminal,
        ):  # fmt: skip
            save(drawing.draw(), folder, drawing.name)


def drawings(series: list[Series], accuracy: Accuracy = NONE) -> list[Drawing]:
    """The figures of these series; one without any number is left out."""
    links = links_of_all(series)
    boards = by_board(series)
    figures = agreement_drawings(series)
    figures += [
        _latency(of_board, link, board if len(boards) > 1 else "")
        for link in links
        for board, of_board in boards.items()
        if any(link in s.links for s in of_board)
    ]
    figures.append(_all_links(series, links))
    figures += _timelines(series)
    figures += _turning(series, links)
    for what in (chart for metric in metrics() for chart in metric.charts):
        if "energy" in what.shows and len(boards) > 1:
            for board, own in boards.items():
                name = f"{what.name}_{file_name(board)}"
                chart = replace(what, name=name, title=f"{what.title}, {board}")
                figures.append(_of_chart(own, chart))
        else:
            figures.append(_of_chart(series, what))
    figures += accuracy_drawings(accuracy, series)
    if frankensplit.is_present(series):
        figures += [_of_chart(series, what) for what in _wireless()]
    names = systems(series, accuracy)
    return [
        replace(drawing, draw=coloured(names)(drawing.draw))
        for drawing in figures
        if drawing.sources
    ]


def _latency(series: list[Series], link: Link, board: str) -> Drawing:
    shown = [s for s in series if link in s.links]
    scales = [latency(entry, link).scale for s in shown for entry in s.entries]
    way = "the HTTP round trip as measured"
    way += "" if link.measured else ", and the simulated link"
    chart = Chart(
        name=f"latency_{slug(link)}" + (f"_{file_name(board)}" if board else ""),
        title=f"End-to-end latency, {link.name}"
        + (f", {board}" if board else "")
        + paper_figure(shown[0].board, link.rate_kbit_s),
        caption=f"Median end-to-end latency, link {link.name}: local computing, transfer ({way}) and "
        "server. The parts' medians are scaled by "
        f"at most {100 * max(abs(scale - 1) for scale in scales):.1f} % to add up to the median of "
        "the whole.",
        error_bars=INTERVAL,
        axis="End-to-end latency [s]",
        sets={"": lambda entry: latency(entry, link).total},
        shows=("bytes", "time"),
        parts=lambda entry: latency(entry, link).scaled_s,
    )
    return _of_chart(shown, chart)


def _timelines(series: list[Series]) -> list[Drawing]:
    shown = timelines(series)
    return [
        _timeline(timeline, series, f"_{i}" if len(shown) > 1 else "")
        for i, timeline in enumerate(shown, 1)
    ]


def _timeline(timeline: Timeline, series: list[Series], number: str) -> Drawing:
    own = [s for s in series if s.run is timeline.run]
    energy = energy_so_far(timeline)
    deadline_s = timeline.deadline_s
    limit = "no deadline" if deadline_s is None else f"dashed: the deadline, {deadline_s:g} s"
    caption = (
        f"Each mark is a frame at its time of capture. From the top: latency from capture to answer "
        f"({limit}); the uplink's rate as the board estimated it when it chose; the configuration "
        "that was chosen (line) and that answered (ticks); frames dropped since the start"
    )
    caption += "; joules of the board since the first capture." if energy else "."
    warnings = [*notes.assumed(own), *notes.untrained(own)]
    warnings += notes.made_up_energy(own) if energy else []
    return Drawing(
        f"timeline{number}",
        "Frames of a deployed run" + (f", {timeline.label}" if number else ""),
        " ".join([caption, *warnings]),
        by_source((e.marked, "+".join(e.timed)) for e in timeline.entries),
        lambda: timeline_figure(timeline, energy),
    )


def _turning(series: list[Series], links: list[Link]) -> list[Drawing]:
    maps = [(s, known) for s in series if (known := fastest_map(s))]
    if not maps:
        return []
    titled = [(s.label if len(series) > 1 else "", known) for s, known in maps]
    rates = [link.rate_kbit_s for link in links if not link.measured]
    shown = [s for s, _ in maps]
    caption = (
        "The fastest configuration by median end-to-end latency, over the speed of the board (the "
        "run's is 1; crosses: the run and its links) and the link's rate; dashed: lines of equal "
        "latency. Estimated: the board's measured stages are scaled, the server's and the network's "
        "stay."
    )
    if any(charges_more(link) for link in links):
        caption += " The latency, loss and way back of the run's links are left out."
    if any(len(entry.samples) > MOST_ON_MAP for _, known in maps for entry in known.entries):
        caption += (
            f" Of more than {MOST_ON_MAP} samples, every k-th in the order of latency counts."
        )
    return [
        Drawing(
            "turning",
            "Which configuration is the fastest, by board and link",
            _caption(caption, shown, [], "", ("bytes", "time")),
            by_source(
                (entry.marked, "+".join(computed_of(entry)))
                for _, known in maps
                for entry in known.entries
            ),
            lambda: turning_map(titled, rates),
        )
    ]


def _all_links(series: list[Series], links: list[Link]) -> Drawing:
    sets: dict[str, Callable[[Entry], Value]] = {"no link needed": _without_link}
    sets.update({link.name: partial(_on_link, link) for link in links})
    return _of_chart(
        series,
        Chart(
            name="latency_all",
            title="End-to-end latency, all links",
            caption="Median end-to-end latency on every link, logarithmic scale.",
            error_bars=INTERVAL,
            axis="End-to-end latency [s]",
            sets=sets,
            shows=("bytes", "time"),
        ),
    )


def _without_link(entry: Entry) -> Value:
    return missing("it needs a link") if entry.split else latency(entry, NO_LINK).total


def _on_link(link: Link, entry: Entry) -> Value:
    if not entry.split or link not in entry.links:
        return missing("another link, or none")
    return latency(entry, link).total


def _of_chart(series: list[Series], what: Chart) -> Drawing:
    shown = what.panels(series)
    axis = {e.id: e for s in shown for e in s.entries if e.split or not what.only_split}
    places = [Place(entry.marked, entry.group) for entry in axis.values()]
    panels, labelled = [], []
    for s in shown:
        entries = [s.entry(id) for id in axis]
        sets = {
            name: [of(entry) if entry else missing("not in this run") for entry in entries]
            for name, of in what.sets.items()
        }
        parts = [what.parts(e) if e else (0.0, 0.0, 0.0) for e in entries] if what.parts else []
        # A single panel has no title, because the caption says what it shows.
        panels.append(Panel(s.label if len(shown) > 1 else "", sets, parts))
        labelled += [
            (p.label, v) for values in sets.values() for p, v in zip(places, values, strict=True)
        ]
    drawn = partial(bars if len(what.sets) == 1 else dots, places)
    more = {"spread": True} if what.only_split else {}
    return Drawing(
        what.name,
        what.title,
        _caption(what.caption, shown, labelled, what.error_bars, what.shows),
        by_source((label, value.source) for label, value in labelled),
        lambda: drawn(_with_numbers(panels), what.axis, **more),
    )


def _wireless() -> list[Chart]:
    """Fig. 20 twice: all that was measured, and as the paper counts."""

    def over_standards(total_ms: Callable[..., Value]) -> dict[str, Callable[[Entry], Value]]:
        return {
            f"{link.name}, {link.rate_kbit_s / 1000:g} Mbit/s": partial(total_ms, link=link)
            for link in frankensplit.wireless()
        }

    everything = Chart(
        name="wireless",
        title="Latency over wireless standards (FrankenSplit's Fig. 20), all counted",
        caption="Median latency of one image at the rates of wireless standards, logarithmic "
        "scale, the link simulated: all that was measured, entropy coding included.",
        error_bars=INTERVAL,
        axis="Latency [ms]",
        sets=over_standards(frankensplit.total_ms),
        only_split=True,
        shows=("bytes", "time"),
    )
    papers = replace(
        everything,
        name="wireless_without_coding",
        title="Latency over wireless standards as FrankenSplit's Fig. 20 counts",
        caption="The same as the paper counts: encoder, server parts and transfer alone, without "
        "entropy coding; handcrafted codecs take 0 ms.",
        sets=over_standards(frankensplit.paper_total_ms),
    )
    return [everything, papers]


def _with_numbers(panels: list[Panel]) -> list[Panel]:
    """The panels without the sets that have no number in any of them."""
    names = [
        name
        for name in panels[0].sets
        if any(value.value is not None for panel in panels for value in panel.sets[name])
    ]
    return [replace(panel, sets={name: panel.sets[name] for name in names}) for panel in panels]


def _caption(
    text: str,
    series: list[Series],
    labelled: list[tuple[str, Value]],
    error_bars: str,
    shows: tuple[str, ...],
) -> str:
    """The caption without the sources: what the figure shows, error bars, daggers, warnings."""
    lines = [text]
    if len(series) == 1:
        lines.append(f"{series[0].label[0].upper()}{series[0].label[1:]}.")
    numbers = {label for label, value in labelled if value.value is not None}
    if any(label not in numbers for label, _ in labelled):
        lines.append('"-": not measured.')
    if error_bars and any(value.low is not None for _, value in labelled):
        lines.append(error_bars)
    if "time" in shows or "energy" in shows:
        lines += notes.board_state(series)
    lines += notes.assumed(series)
    if "energy" in shows:
        lines += notes.made_up_energy(series)
    if "bytes" in shows:
        lines += [*notes.published_payload(series), *notes.untrained(series, "made" in shows)]
    return " ".join(lines)
