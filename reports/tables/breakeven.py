"""Where the order of two configurations turns: over the link's rate, the board's and the server's speed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitwatt.profiler.analyse.breakeven import BOARD, RATE, SERVER, Setting, break_even
from splitwatt.profiler.analyse.rates import Case, case_of
from splitwatt.profiler.analyse.times import charged_bytes, end_to_end_s
from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series
from splitwatt.reports.load.values import Value, missing, ordered
from splitwatt.reports.metrics.latency import byte_sources, charges_more, latency
from splitwatt.reports.metrics.stats import MIN_SAMPLES
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Column, Row, Table, of_entry

# The map uses at most this many samples of a configuration: every k-th in the order of latency.
# Its axes are multiples of the run's board, and kbit/s.
MOST_ON_MAP = 1000
BOARD_SPEEDS, RATES_KBIT_S = np.geomspace(0.003, 3.0, 91), np.geomspace(1.0, 1e5, 91)


def plain_link(rate_kbit_s: float, charges: str = "payload") -> Link:
    """A simulated link of this rate, like the papers': no latency, no loss, no time for answers."""
    return Link(f"{rate_kbit_s:g} kbit/s", "simulated", rate_kbit_s, charges, "any rate")


def can_be_simulated(series: Series) -> bool:
    """Were its samples taken without a shaped link, so that a simulated one may be added?"""
    return all(not link.measured or link.kind == "none" for link in series.run.config.links)


def local_extremes(series: Series) -> tuple[Entry, Entry] | None:
    """The fastest and the slowest local configuration; None if no local one was measured."""
    known = [
        (total_s, entry)
        for entry in series.entries
        if not entry.split and (total_s := latency(entry, NO_LINK).total.value) is not None
    ]
    if not known:
        return None
    return min(known, key=lambda k: k[0])[1], max(known, key=lambda k: k[0])[1]


@dataclass(frozen=True)
class Turn:
    """A split configuration against a local one on one link.

    `board`: the split one is faster on boards below this multiple of the run's; `server`: it is
    faster with servers above this multiple. Missing if one of the two is faster at any speed:
    `why` says which.
    """

    entry: Entry
    local: Entry
    link: Link
    board: Value
    server: Value


@dataclass(frozen=True)
class Map:
    """Median latencies of a series' configurations with samples, on boards of each speed over each rate.

    `latencies_s`: (entries, rates, board speeds).
    """

    entries: list[Entry]
    latencies_s: np.ndarray

    @property
    def winner(self) -> np.ndarray:
        """The fastest one's index in `entries`, (rates, board speeds)."""
        fastest: np.ndarray = self.latencies_s.argmin(axis=0)
        return fastest

    @property
    def latency_s(self) -> np.ndarray:
        """The fastest one's latency, (rates, board speeds)."""
        least: np.ndarray = self.latencies_s.min(axis=0)
        return least

    def lead(self, those: Sequence[int]) -> np.ndarray:
        """By which factor some entries are faster than all others, as a logarithm: (rates, board speeds);
        infinite without others.
        """
        own = np.isin(np.arange(len(self.entries)), those)
        others_s = self.latencies_s[~own].min(axis=0, initial=np.inf)
        factor: np.ndarray = np.log(others_s / self.latencies_s[own].min(axis=0))
        return factor


def turns(series: Series) -> list[Turn]:
    """Each split configuration against the fastest local one, then each against the slowest, on
    each simulated link.
    """
    ends = local_extremes(series)
    links = [link for link in series.links if not link.measured]
    split = [entry for entry in series.entries if entry.split and entry.samples]
    if ends is None or not can_be_simulated(series):
        return []
    return [
        Turn(
            entry,
            local,
            link,
            between(entry, local, link, BOARD),
            between(entry, local, link, SERVER),
        )
        for link in links
        for local in ends
        for entry in split
    ]


def best_turn(all_turns: list[Turn], link: Link, local: Entry) -> Turn | None:
    """Of the configurations under test, the one that is still faster on the fastest boards: on any,
    up to a speed, or on none.
    """
    own = [t for t in all_turns if (t.link, t.local) == (link, local) and t.entry.under_test]
    return max(own, key=lambda t: (t.board.word == "always", t.board.value or 0.0), default=None)


def computed_of(entry: Entry) -> tuple[str, ...]:
    """The sources of its latency on another board, with another server or over another rate."""
    return ordered((*entry.timed, *(byte_sources(entry) if entry.split else ()), "estimated"))


def fastest_map(series: Series) -> Map | None:
    """The fastest configuration at each board speed and rate; None where it cannot be computed."""
    entries = [entry for entry in series.entries if entry.samples]
    if not can_be_simulated(series) or len(entries) < 2:
        return None
    links = [link for link in series.links if not link.measured]
    charges = links[0].bytes if links else "payload"
    return Map(entries, np.array([_medians(_case(entry, charges)) for entry in entries]))


def _medians(case: Case) -> np.ndarray:
    order = np.argsort(case.board_s + case.server_s + case.rest_s, kind="stable")
    step = max(1.0, len(order) / MOST_ON_MAP)
    kept = order[((np.arange(min(len(order), MOST_ON_MAP)) + 0.5) * step).astype(int)]
    board_s, server_s, rest_s, bits = (
        part[kept] for part in (case.board_s, case.server_s, case.rest_s, case.bits)
    )
    board = board_s / BOARD_SPEEDS[:, None]
    links = bits / (1000 * RATES_KBIT_S)[:, None]
    if not bits.any():  # local computing takes the same over every link
        links = links[:1]
    medians = [np.median(board + link + server_s + rest_s, axis=1) for link in links]
    return np.broadcast_to(medians, (len(RATES_KBIT_S), len(BOARD_SPEEDS)))


def _case(entry: Entry, charges: str) -> Case:
    key = "case", charges
    known: Case | None = entry.computed.get(key)
    if known is None:
        known = case_of(entry.id, entry.backend, entry.samples, charges)
        entry.computed[key] = known
    return known


def between(entry: Entry, local: Entry, link: Link, axis: str = RATE) -> Value:
    """Where a split configuration and a local one have the same median latency, with its interval.

    Over the link's rate and the server's speed the split one is faster above that value, over the
    board's below it; missing if one of the two is faster everywhere. An open end of the interval is
    None.
    """
    key = "between", local.id, link, axis
    known: Value | None = entry.computed.get(key)
    if known is None:
        known = entry.computed[key] = _between(entry, local, link, axis)
    return known


def _between(entry: Entry, local: Entry, link: Link, axis: str) -> Value:
    sent = entry.samples.known(lambda sample: charged_bytes(sample, link.bytes))
    if not len(sent) or not local.samples:
        return missing("one of the two was not measured")
    one, two = _case(entry, link.bytes), _case(local, link.bytes)
    if axis != RATE and charges_more(link):
        one = _on_link(entry, one, link)
    sources = computed_of(entry)
    if axis == RATE:  # the sentence is the same for all of a table's rows
        one, two = one._replace(config="it"), two._replace(config="the local one")
        sources = ordered((*entry.timed, *byte_sources(entry)))
    event = break_even(one, two, Setting(link.rate_kbit_s), axis)
    if event.value is None:  # then the same one is ahead everywhere, as at the run's own speeds
        ahead = one.median_s(link.rate_kbit_s) < two.median_s(link.rate_kbit_s)
        return missing(event.sentence, "always" if ahead else "never")
    # A board's value is that of the local one, which a faster board makes the faster one.
    if (event.fast == one.config) == (axis == BOARD):
        return missing(event.sentence, "never")
    least = min(len(one.rest_s), len(two.rest_s))
    ends = (event.low, event.high) if least >= MIN_SAMPLES else (None, None)
    return Value(event.value, sources, *ends, least)


def _on_link(entry: Entry, case: Case, link: Link) -> Case:
    """The case with what the link charges besides its rate."""
    whole_s = entry.samples.each(lambda sample: end_to_end_s(sample, link))
    more_s = np.nan_to_num(whole_s - case.times_s(link.rate_kbit_s))
    return case._replace(rest_s=case.rest_s + more_s)


def breakeven_table(series: list[Series]) -> Table:
    """A row for each split configuration: its break-even with the fastest and slowest local one."""
    columns = [
        *SERIES,
        CONFIG,
        Column("fastest_kbit_s", "Beats the fastest LC from", "kbit/s", interval=True),
        Column("fastest_row", "Fastest LC", number=False),
        Column("fastest_why", "Where none", number=False, quiet=True),
        Column("slowest_kbit_s", "Beats the slowest LC from", "kbit/s", interval=True),
        Column("slowest_row", "Slowest LC", number=False),
        Column("slowest_why", "Where none ", number=False, quiet=True),
    ]
    rows: list[Row] = []
    for s in series:
        ends = local_extremes(s)
        if ends is None or not can_be_simulated(s):
            continue
        for entry in (e for e in s.entries if e.split):
            row = of_entry(s, entry)
            for name, baseline in zip(("fastest", "slowest"), ends, strict=True):
                even = between(entry, baseline, plain_link(1.0))
                row[f"{name}_kbit_s"] = even
                row[f"{name}_row"] = baseline.marked
                row[f"{name}_why"] = even.why or ""
            rows.append(row)
    under = [
        "The rate of a simulated uplink that carries the payload alone, at which both have the "
        "same median end-to-end latency; above it the split configuration is the faster one. In "
        "brackets: 95 % percentile bootstrap interval, samples of both resampled (as `splitwatt "
        f"whatif` does; none below {MIN_SAMPLES} samples, or where it is open to a side).",
        *_shared(rows),
        *notes.on_bytes(series),
    ]
    return Table("breakeven", "Break-even link rates", columns, rows, under)


_CHARGED = "The latency, loss and way back that a link's config states are charged, too."


def turning_table(series: list[Series]) -> Table:
    """A row for each split configuration, link and local one: the board and the server at which
    both take the same time.
    """
    columns = [
        *SERIES,
        CONFIG,
        Column("link", "Link", number=False, quiet=True),
        Column("against", "Against", number=False),
        Column("board_speed", "Faster on boards below", "of the run's", interval=True),
        Column("server_speed", "Faster with servers above", "of the run's", interval=True),
    ]
    rows: list[Row] = [
        {
            **of_entry(s, turn.entry),
            "link": turn.link.name,
            "against": turn.local.marked,
            "board_speed": turn.board,
            "server_speed": turn.server,
        }
        for s in series
        for turn in turns(s)
    ]
    under = [
        "Against the fastest and the slowest local configuration. Estimated: measured stages of the "
        "board and of the server are scaled, each part by its own machine's speed; the network's "
        "time stays, and the link's follows from its rate. The run's own machines have speed 1. In "
        f"brackets: 95 % percentile bootstrap interval (none below {MIN_SAMPLES} samples, or where "
        "it is open to a side). Never, always: one of the two is faster at any speed. The rates at which "
        "the order turns are in the table of break-evens; `splitwatt whatif RUN --pair A,B` has all "
        "three of any other pair.",
        *[_CHARGED] * any(charges_more(link) for s in series for link in s.links),
        *notes.on_bytes(series),
    ]
    return Table("turning", "Boards and servers at which the order turns", columns, rows, under)


def _shared(rows: list[Row]) -> list[str]:
    """The reason, if all rows share one: then its column is not shown."""
    sentences = []
    for name in ("fastest", "slowest"):
        reasons = {str(row[f"{name}_why"]) for row in rows}
        if len(reasons) == 1 and "" not in reasons:
            sentences.append(f"No row has a rate against the {name} LC: {reasons.pop()}.")
    return sentences
