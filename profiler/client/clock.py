"""Both ends on one clock: the offset of the server's monotonic clock, by NTP's exchange.

A request leaves here at t1, is there at t2, its answer leaves there at t3 and is here at t4. The
offset is ((t2 - t1) + (t3 - t4)) / 2 and lies within half of what the exchange took on its way,
((t4 - t1) - (t3 - t2)) / 2, whichever way was the slower one. Of several exchanges the quickest
counts (RFC 5905, section 10).
"""

import time
from typing import List, Optional, Sequence, Tuple

from splitwatt.profiler.client.client import Client, Exchange, NoClockError
from splitwatt.profiler.records.blocks import ClockEstimate

EXCHANGES = 8
# The longest time for all exchanges over a slow link.
_LIMIT_S = 2.0


def estimate(client: Client, block: str, when: str) -> ClockEstimate:
    """Ask the server for its clock.

    Raises:
        ServerError: the server is gone. A server without a clock is no error: that is recorded.
    """
    exchanges: List[Exchange] = []
    offset_s: Optional[float] = None
    uncertainty_s: Optional[float] = None
    why_not: Optional[str] = None
    until = time.monotonic() + _LIMIT_S
    try:
        while len(exchanges) < EXCHANGES and (not exchanges or time.monotonic() < until):
            exchanges.append(client.clock(free=True))
        offset_s, uncertainty_s = best(exchanges)
    except NoClockError as error:
        exchanges, why_not = [], error.message
    now_s, count = time.monotonic(), len(exchanges)
    return ClockEstimate(block, when, now_s, offset_s, uncertainty_s, count, time.time(), why_not)


def best(exchanges: Sequence[Exchange]) -> Tuple[float, float]:
    """Offset (server's clock less this one) and its uncertainty, in seconds, by the quickest."""
    quickest = min(exchanges, key=_delay_s)
    ahead = quickest.server_received_s - quickest.sent_s
    behind = quickest.server_sent_s - quickest.received_s
    return (ahead + behind) / 2, _delay_s(quickest) / 2


def _delay_s(exchange: Exchange) -> float:
    there = exchange.server_sent_s - exchange.server_received_s
    return max(0.0, exchange.received_s - exchange.sent_s - there)
