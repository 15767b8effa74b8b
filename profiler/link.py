"""Links: what lies between board and server, and how long bytes take on a simulated one.

A simulated link never sleeps. A sample stores bytes; these functions turn bytes into seconds.
"""

from typing import NamedTuple

SIMULATED = "simulated"
PAYLOAD = "payload"
WIRE = "wire"

# What an Ethernet interface carries around each TCP segment of a connection with timestamps:
# Ethernet header 14, IPv4 header 20, TCP header 20 and timestamps 12; 1500 - 52 bytes of content.
SEGMENT_CONTENT_BYTES = 1448
SEGMENT_FRAMING_BYTES = 66


class Link(NamedTuple):
    """A link of a config.

    Attributes:
        name: as reports print it.
        kind: "simulated".
        rate_kbit_s: kilobits a second, a kilobit being 1000 bits.
        bytes: what the link is charged with: "payload" (the codec's bytes alone, as the Ladon paper
            counts) or "wire" (HTTP headers, JSON and TCP/IP framing as well).
        source: where the rate comes from.
    """

    name: str
    kind: str
    rate_kbit_s: float
    bytes: str
    source: str


def seconds(content_bytes: float, rate_kbit_s: float) -> float:
    """How long a link of that rate takes to carry that many bytes."""
    return 8.0 * content_bytes / (1000.0 * rate_kbit_s)


def framed_bytes(content_bytes: int) -> int:
    """What an Ethernet interface carries for that many bytes of TCP, acknowledgements apart."""
    segments = -(-content_bytes // SEGMENT_CONTENT_BYTES)
    return content_bytes + segments * SEGMENT_FRAMING_BYTES
