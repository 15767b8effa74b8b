"""How a client's bytes get over a shaped link: through a gate of the kernel's, or paced here."""

import fcntl
import socket
import struct
import time
from typing import Any, Dict, NamedTuple, Optional, Tuple

from splitwatt.profiler.links.link import (
    BURST_BYTES,
    KERNEL,
    SEGMENT_CONTENT_BYTES,
    SEGMENT_FRAMING_BYTES,
    USER,
    framed_bytes,
    seconds,
)

# Ethernet, IPv4 and UDP headers: what they leave of a full frame is sent to empty the bucket.
_UDP_FRAMING_BYTES = 42
_POLL_S = 0.0002
_TIOCOUTQ = 0x5411
_DRAIN_LIMIT_S = 60.0


class Way(NamedTuple):
    """What a client does for a shaped link: connect to the gate's address instead of the server's;
    without a gate (`connect` is None) it keeps the rates itself. A rate is None if the link has no limit in that direction.
    """

    connect: Optional[Tuple[str, int]]
    up_kbit_s: Optional[float]
    down_kbit_s: Optional[float]


def way_of(record: Optional[Dict[str, Any]]) -> Optional[Way]:
    """The way that run.json's `link` describes; None over the network as it is."""
    if not record or record.get("via") not in (KERNEL, USER):
        return None
    rates = record["rate_kbit_s"], record["downlink_kbit_s"]
    if record["via"] == KERNEL:
        host, port = record["gate"]
        return Way((str(host), int(port)), *rates)
    return Way(None, *rates)


class Drain:
    """Empties the kernel's token bucket, so that the next bytes pay for their whole way.

    A full bucket lets a burst through for nothing. One datagram as large as the bucket goes to the
    gate, which drops it; once the kernel has let it out, the bucket is empty.
    """

    def __init__(self, address: Tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(address)
        self._datagram = bytes(BURST_BYTES - _UDP_FRAMING_BYTES)

    def __call__(self) -> float:
        """Drain; the seconds that it took.

        Raises:
            OSError: the gate is gone.
        """
        start = time.perf_counter()
        self._socket.send(self._datagram)
        while unsent_bytes(self._socket.fileno()) and time.perf_counter() - start < _DRAIN_LIMIT_S:
            time.sleep(_POLL_S)
        return time.perf_counter() - start

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Paced:
    """A socket with token buckets of our own, which begin empty with every message.

    A piece of a segment's size leaves when a link of that rate would have carried all of it, with
    the framing that it would have had there.

    Attributes:
        free: nothing is slowed down.
    """

    def __init__(self, stream: Any, way: Way) -> None:
        self._stream = stream
        self._way = way
        self.free = False
        self._down_at = 0.0

    def sendall(self, data: bytes) -> None:
        """Send all of it at the link's rate."""
        rate = self._way.up_kbit_s
        if rate is None or self.free:
            self._stream.sendall(data)
            return
        at = time.perf_counter()
        for start in range(0, len(data), SEGMENT_CONTENT_BYTES):
            piece = data[start : start + SEGMENT_CONTENT_BYTES]
            at += seconds(len(piece) + SEGMENT_FRAMING_BYTES, rate)
            _sleep_until(at)
            self._stream.sendall(piece)

    def recv_into(self, buffer: Any) -> int:
        """Read what has come, not before a link of that rate would have brought it."""
        rate = self._way.down_kbit_s
        if rate is None or self.free:
            return int(self._stream.recv_into(buffer))
        count = int(self._stream.recv_into(buffer, min(len(buffer), SEGMENT_CONTENT_BYTES)))
        now = time.perf_counter()
        self._down_at = max(self._down_at, now) + seconds(framed_bytes(count), rate)
        _sleep_until(self._down_at)
        return count

    def __getattr__(self, name: str) -> Any:
        """Everything else is the socket's."""
        return getattr(self._stream, name)


def unsent_bytes(handle: int) -> int:
    """What the kernel holds of a socket's bytes that is not acknowledged, or not sent, yet.

    Raises:
        OSError: the socket is closed.
    """
    return int(struct.unpack("=i", fcntl.ioctl(handle, _TIOCOUTQ, b"\0" * 4))[0])


def _sleep_until(at: float) -> None:
    left = at - time.perf_counter()
    if left > 0:
        time.sleep(left)
