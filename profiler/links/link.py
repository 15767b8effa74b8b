"""Links: what lies between board and server, and how long bytes take on a simulated one.

A simulated link never sleeps. A sample stores bytes; these functions turn bytes into seconds. On a
measured link (`shaped`, `none`) the bytes themselves take their time, which is in the sample.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

SIMULATED = "simulated"
SHAPED = "shaped"
NONE = "none"
KINDS = (SIMULATED, SHAPED, NONE)

PAYLOAD = "payload"
WIRE = "wire"

AUTO = "auto"
KERNEL = "kernel"
USER = "user"

# The keys that links of one kind alone have.
KEYS_OF: Dict[str, Tuple[str, ...]] = {
    SIMULATED: ("bytes", "latency_ms", "jitter_ms", "loss", "seed"),
    SHAPED: ("via",),
    NONE: (),
}

# What an Ethernet interface carries around each TCP segment of a connection with timestamps:
# Ethernet header 14, IPv4 header 20, TCP header 20 and timestamps 12; 1500 - 52 bytes of content.
SEGMENT_CONTENT_BYTES = 1448
SEGMENT_FRAMING_BYTES = 66
# The largest burst of a shaped link: one full segment with its framing.
BURST_BYTES = SEGMENT_CONTENT_BYTES + SEGMENT_FRAMING_BYTES


class Link(NamedTuple):
    """A link of a config.

    Attributes:
        name: as reports print it.
        kind: "simulated", "shaped" or "none".
        rate_kbit_s: of the uplink, kilobits a second, a kilobit being 1000 bits; 0 for the kind
            "none", which is not slowed down.
        bytes: what a simulated link is charged with: "payload" (the codec's bytes alone, as the
            Ladon paper counts) or "wire" (HTTP headers, JSON and TCP/IP framing as well).
        source: where the rate comes from.
        downlink_kbit_s: of the way back; None charges (shapes) it with nothing.
        latency_ms: of a simulated link, each way of each request.
        jitter_ms: of a simulated link: each way's latency varies evenly by up to this much, up and
        down.
        loss: of a simulated link: the part of segments that is lost and sent again.
        seed: of jitter and loss.
        via: what shapes: "kernel", "user", or "auto", the first of them that this machine can do.
    """

    name: str
    kind: str
    rate_kbit_s: float
    bytes: str
    source: str
    downlink_kbit_s: Optional[float] = None
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 2025
    via: str = AUTO

    @property
    def measured(self) -> bool:
        """Whether samples were taken over it, so that its time is in them."""
        return self.kind != SIMULATED

    def to_json(self) -> Dict[str, Any]:
        """The link as a config has it: without what does not concern its kind."""
        others = [key for kind, keys in KEYS_OF.items() if kind != self.kind for key in keys]
        others += ["rate_kbit_s"] if self.kind == NONE else []
        row = self._asdict().items()
        return {key: value for key, value in row if value is not None and key not in others}


def seconds(content_bytes: float, rate_kbit_s: float) -> float:
    """How long a link of that rate takes to carry that many bytes."""
    return 8.0 * content_bytes / (1000.0 * rate_kbit_s)


def framed_bytes(content_bytes: int) -> int:
    """What an Ethernet interface carries for that many bytes of TCP, acknowledgements apart."""
    segments = segments_of(content_bytes)
    return content_bytes + segments * SEGMENT_FRAMING_BYTES


def segments_of(content_bytes: int) -> int:
    """The number of TCP segments for that many bytes."""
    return -(-content_bytes // SEGMENT_CONTENT_BYTES)
