"""The rate that a link has: bytes over the time that they take, up and down apart.

A small and a larger request are sent, each with the token bucket drained. The larger one has so
many bytes more, framing counted, and takes so much longer: what both take for themselves, as the
way through two kernels and the server, is in neither.
"""

import time
from typing import Any, Callable, List, Optional, Tuple

from splitwatt.profiler.client.client import Client, Exchange, NoClockError
from splitwatt.profiler.links.link import Link, framed_bytes
from splitwatt.profiler.records.network import LinkRate

# What a probe carries: more as long as it takes less than this.
ENOUGH_S = 0.25
_LEAST_BYTES, _MOST_BYTES = 4096, 1 << 20
_SMALL = 3
# A link this far off the rate that was asked for is told.
TOLERANCE = 0.05


def probe(client: Client, block: str, when: str) -> LinkRate:
    """Measure the link both ways.

    Raises:
        ServerError: the server is gone. A server that cannot be measured with is no error.
    """
    try:
        up, up_bytes = _rate(client, lambda n: client.clock(up_bytes=n), _up)
        down, down_bytes = _rate(client, lambda n: client.clock(down_bytes=n), _down)
    except NoClockError as error:
        return LinkRate(block, when, time.monotonic(), None, None, 0, 0, error.message)
    return LinkRate(block, when, time.monotonic(), up, down, up_bytes, down_bytes, None)


def deviation(rate: LinkRate, link: Link) -> Optional[str]:
    """A sentence where the link's rate is not the one that was asked for, or None."""
    found: List[str] = []
    for way, measured, asked in (
        ("uplink", rate.uplink_kbit_s, link.rate_kbit_s),
        ("downlink", rate.downlink_kbit_s, link.downlink_kbit_s),
    ):
        if measured and asked and abs(measured / asked - 1.0) > TOLERANCE:
            word = "faster" if measured > asked else "slower"
            found.append("the %s has %.4g kbit/s, %s than the %.4g asked for"
                         % (way, measured, word, asked))  # fmt: skip
    return "; ".join(found) or None


def _rate(
    client: Client, ask: Callable[[int], Exchange], of: Callable[[Exchange], Tuple[int, float]]
) -> Tuple[Optional[float], int]:
    small = [_one(client, ask, of, 0) for _ in range(_SMALL)]
    base_bytes, base_s = min(small, key=lambda pair: pair[1])
    size = _LEAST_BYTES
    while True:
        content, took_s = _one(client, ask, of, size)
        if took_s - base_s >= ENOUGH_S or size >= _MOST_BYTES:
            break
        size = min(4 * size, _MOST_BYTES)
    took_s = min(took_s, _one(client, ask, of, size)[1])  # what disturbs it makes it longer
    more = framed_bytes(content) - framed_bytes(base_bytes)
    if took_s <= base_s:
        return None, more
    return 8e-3 * more / (took_s - base_s), more


def _one(client: Client, ask: Any, of: Any, size: int) -> Tuple[int, float]:
    client.drain()
    found: Tuple[int, float] = of(ask(size))
    return found


def _up(exchange: Exchange) -> Tuple[int, float]:
    return exchange.up_bytes, exchange.received_s - exchange.sent_s


def _down(exchange: Exchange) -> Tuple[int, float]:
    return exchange.down_bytes, exchange.received_s - exchange.sent_s
