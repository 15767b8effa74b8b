"""What a simulated link adds to a sample, calculated from its bytes: nothing is slowed down.

Jitter and loss are drawn from the link's seed and the sample's own place, so that the same record
gives the same seconds on every machine and in every order.
"""

import random
from typing import NamedTuple, Sequence

from splitwatt.profiler.links.link import (
    PAYLOAD,
    SEGMENT_CONTENT_BYTES,
    SEGMENT_FRAMING_BYTES,
    Link,
    framed_bytes,
    seconds,
    segments_of,
)

# A link that loses a segment this many times in a row does not work at all.
_MOST_TRIES = 100


class Delay(NamedTuple):
    """Seconds of one direction, by cause: the bytes at the link's rate, the latency of every request
    with its jitter, and segments that are sent again, each after a round trip.
    """

    bytes_s: float
    latency_s: float
    loss_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.bytes_s + self.latency_s + self.loss_s


def delay(
    link: Link, rate_kbit_s: float, payloads: Sequence[int], wires: Sequence[int], key: str
) -> Delay:
    """The time of a sample's requests in one direction.

    Args:
        link: a simulated one.
        rate_kbit_s: of that direction; 0 if its bytes are not charged.
        payloads: bytes of each request that count where the link is charged with payloads.
        wires: bytes of each request with HTTP headers and JSON.
        key: names the way of the sample among all others, for what is random.
    """
    charged = sum(payloads) if link.bytes == PAYLOAD else sum(map(framed_bytes, wires))
    bytes_s = seconds(charged, rate_kbit_s) if rate_kbit_s else 0.0
    if not (link.latency_ms or link.loss):
        return Delay(bytes_s, 0.0, 0.0)
    dice = random.Random("%d|%s|%s" % (link.seed, link.name, key))
    latency_s = sum(
        1e-3 * (link.latency_ms + link.jitter_ms * dice.uniform(-1.0, 1.0)) for _ in wires
    )
    again = sum(_lost(link.loss, segments_of(wire), dice) for wire in wires)
    once_s = 2e-3 * link.latency_ms
    if rate_kbit_s:
        once_s += seconds(SEGMENT_CONTENT_BYTES + SEGMENT_FRAMING_BYTES, rate_kbit_s)
    return Delay(bytes_s, latency_s, again * once_s)


def _lost(loss: float, segments: int, dice: random.Random) -> int:
    """How many transmissions are lost until that many segments have come through."""
    lost = 0
    for _ in range(segments if loss else 0):
        for _ in range(_MOST_TRIES):
            if dice.random() >= loss:
                break
            lost += 1
    return lost
