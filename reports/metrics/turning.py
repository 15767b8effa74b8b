"""Where the order of two configurations turns: over the board's speed and the server's, estimated."""
# board: no

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from splitwatt.profiler.analyse.breakeven import BOARD, SERVER, Setting, break_even
from splitwatt.profiler.analyse.rates import Case, case_of
from splitwatt.reports.load.model import Entry, Link, Series
from splitwatt.reports.load.values import Value, missing, ordered
from splitwatt.reports.metrics.breakeven import can_be_simulated, local_extremes
from splitwatt.reports.metrics.latency import byte_sources
from splitwatt.reports.metrics.stats import MIN_SAMPLES

# The map uses at most this many samples of a configuration: every k-th in the order of latency.
# Its axes are multiples of the run's board, and kbit/s.
MOST_ON_MAP = 1000
BOARD_SPEEDS, RATES_KBIT_S = np.geomspace(0.003, 3.0, 91), np.geomspace(1.0, 1e5, 91)


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
    return [_turn(entry, local, link) for link in links for local in ends for entry in split]


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


def _turn(entry: Entry, local: Entry, link: Link) -> Turn:
    key = "turn", local.id, link
    known: Turn | None = entry.computed.get(key)
    if known is None:
        between = _between(entry, local, link)
        known = entry.computed[key] = Turn(entry, local, link, between(BOARD), between(SERVER))
    return known


def _between(entry: Entry, local: Entry, link: Link) -> Callable[[str], Value]:
    one, two = _case(entry, link.bytes), _case(local, link.bytes)

    def value(axis: str) -> Value:
        event = break_even(one, two, Setting(link.rate_kbit_s), axis)
        if event.value is None:  # then the same one is ahead at every speed, as at the run's
            ahead = one.median_s(link.rate_kbit_s) < two.median_s(link.rate_kbit_s)
            return missing(event.sentence, "always" if ahead else "never")
        least = min(len(one.rest_s), len(two.rest_s))
        ends = (event.low, event.high) if least >= MIN_SAMPLES else (None, None)
        # A board's value is that of the local one, which a faster board makes the faster one.
        if (event.fast == entry.id) == (axis == BOARD):
            return missing(event.sentence, "never")
        return Value(event.value, computed_of(entry), *ends, least)

    return value
