"""Both ends on one clock: the offset of the server's monotonic clock, by NTP's exchange.

A request leaves here at t1, is there at t2, its answer leaves there at t3 and is here at t4. The
offset is ((t2 - t1) + (t3 - t4)) / 2 and lies within half of what the exchange took on its way,
((t4 - t1) - (t3 - t2)) / 2, whichever way was the slower one. Of several exchanges the quickest
counts (RFC 5905, section 10).
"""

import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from profiler.client import Client, Exchange, NoClockError

EXCHANGES = 8
# Exchanges over a slow link stop after so long.
_LIMIT_S = 2.0
# What two clocks may drift apart: crystals within 100 ppm at each end.
DRIFT = 200e-6
# A wall clock that was set by more than this is told.
WALL_JUMP_S = 1.0


class ClockEstimate(NamedTuple):
    """A line of clock.jsonl; the fields are described in `CLOCK_FIELDS`."""

    block: str
    when: str
    monotonic_s: float
    offset_s: Optional[float]
    uncertainty_s: Optional[float]
    exchanges: int
    wall_s: float
    why_not: Optional[str]


def estimate(client: Client, block: str, when: str) -> ClockEstimate:
    """Ask the server for its clock.

    Raises:
        ServerError: the server is gone. A server without a clock is no error: that is recorded.
    """
    found: List[Exchange] = []
    until = time.monotonic() + _LIMIT_S
    while len(found) < EXCHANGES and (not found or time.monotonic() < until):
        try:
            found.append(client.clock(free=True))
        except NoClockError as error:
            return _line(block, when, None, None, 0, error.message)
    offset_s, uncertainty_s = best(found)
    return _line(block, when, offset_s, uncertainty_s, len(found), None)


def best(exchanges: Sequence[Exchange]) -> Any:
    """Offset (server's clock less this one) and its uncertainty, in seconds, by the quickest."""
    quickest = min(exchanges, key=_delay_s)
    ahead = quickest.server_received_s - quickest.sent_s
    behind = quickest.server_sent_s - quickest.received_s
    return (ahead + behind) / 2, _delay_s(quickest) / 2


def jumps(estimates: Sequence[ClockEstimate]) -> List[str]:
    """Sentences on clocks that did not run on between two estimates, as after a server's restart.

    The samples' own times are of the board's monotonic clock, which nobody sets: they stay sound.
    """
    told = []
    for before, after in zip(estimates, estimates[1:]):
        passed_s = after.monotonic_s - before.monotonic_s
        place = "between %s (%s) and %s (%s)" % (
            before.block, before.when, after.block, after.when,
        )  # fmt: skip
        if passed_s < 0:
            told.append("the board's monotonic clock began anew %s" % place)
            continue
        if abs(after.wall_s - before.wall_s - passed_s) > WALL_JUMP_S + DRIFT * passed_s:
            told.append("the board's wall clock was set %s" % place)
        if not _run_on(before, after, passed_s):
            told.append("the server's clock jumped %s" % place)
    return told


def offset_at(
    estimates: Sequence[ClockEstimate], monotonic_s: float, block: Optional[str] = None
) -> Optional[ClockEstimate]:
    """The estimate to use at a time: of the two around it the one of less uncertainty.

    None where there is no estimate, or where the server's clock jumped between the two around it.
    """
    known = [e for e in estimates if e.offset_s is not None and block in (None, e.block)]
    before = [e for e in known if e.monotonic_s <= monotonic_s]
    after = [e for e in known if e.monotonic_s > monotonic_s]
    around = before[-1:] + after[:1]
    if len(around) == 2 and not _run_on(*around, around[1].monotonic_s - around[0].monotonic_s):
        return None
    return min(around, key=lambda e: e.uncertainty_s or 0.0) if around else None


def _run_on(before: ClockEstimate, after: ClockEstimate, passed_s: float) -> bool:
    """Whether two estimates can be of two clocks that both went on."""
    if before.offset_s is None or after.offset_s is None:
        return True
    sure = (before.uncertainty_s or 0.0) + (after.uncertainty_s or 0.0)
    return abs(after.offset_s - before.offset_s) <= sure + DRIFT * abs(passed_s) + 1e-4


def _delay_s(exchange: Exchange) -> float:
    there = exchange.server_sent_s - exchange.server_received_s
    return max(0.0, exchange.received_s - exchange.sent_s - there)


def _line(
    block: str,
    when: str,
    offset_s: Optional[float],
    uncertainty_s: Optional[float],
    exchanges: int,
    why_not: Optional[str],
) -> ClockEstimate:
    return ClockEstimate(
        block, when, time.monotonic(), offset_s, uncertainty_s, exchanges, time.time(), why_not
    )


def to_record(estimate: NamedTuple) -> Dict[str, Any]:
    """The line as it is written."""
    return dict(estimate._asdict())
