"""Times that follow from a sample: its parts, and a link's for any rate, from the bytes it stores.

What was not measured is None, never 0. Of a sample of columns (`Samples.columns`) they give arrays.
"""

from typing import Any, Callable, List, Optional

import numpy as np

from splitwatt.profiler.links.link import PAYLOAD, Link, framed_bytes, seconds
from splitwatt.profiler.links.simulated import Delay, delay
from splitwatt.profiler.records.sample import Sample


def charged_bytes(sample: Sample, charges: str) -> Optional[int]:
    """The uplink bytes of a sample: the codec's alone, or all that the wire carries, framed.

    Each request is framed by itself. Where a published payload is charged, it replaces the measured
    one, and the rest stays. None where nothing was sent.

    Args:
        charges: "payload" or "wire".
    """
    if charges == PAYLOAD:
        return _payload(sample)
    wire = _wire_up(sample)
    return None if wire is None else sum(framed_bytes(content) for content in wire)


def uplink_payload_s(sample: Sample, link: Link) -> Optional[float]:
    """8 * payload bytes / rate, as in the Ladon paper; None where nothing is sent or the link has no
    rate.
    """
    return _over(link, _payload(sample))


def uplink_wire_s(sample: Sample, link: Link) -> Optional[float]:
    """The same of all that the wire carries: HTTP, Ethernet, IPv4 and TCP headers around each 1448
    bytes.
    """
    return _over(link, charged_bytes(sample, "wire"))


def uplink_s(sample: Sample, link: Link) -> Optional[float]:
    """A simulated uplink's time: payload or wire, latency, loss.

    None on a measured link: there it is a part of the sample's own network time.
    """
    parts = uplink_delay(sample, link)
    return None if parts is None else parts.total_s


def uplink_delay(sample: Sample, link: Link) -> Optional[Delay]:
    """The parts of `uplink_s`."""
    payload, wire = _payload(sample), _wire_up(sample)
    if link.measured or payload is None or wire is None:
        return None
    return _delay(link, link.rate_kbit_s, [payload], wire, sample, "up")


def downlink_s(sample: Sample, link: Link) -> Optional[float]:
    """A simulated downlink's time: answers with their headers, latency, loss; 0 if the link does
    not describe the way back.

    None as `uplink_s`.
    """
    if link.measured or not sample.ok or not sample.requests:
        return None
    wire = [request.wire_down_bytes for request in sample.requests]
    return _delay(link, link.downlink_kbit_s or 0.0, wire, wire, sample, "down").total_s


def end_to_end_s(sample: Sample, link: Link) -> Optional[float]:
    """From the image file to the answer: `total_s`, and a simulated link's time where something is
    sent; over a measured link `total_s` alone.
    """
    if not sample.ok or sample.total_s is None:
        return None
    if link.measured or not sample.requests:
        return sample.total_s
    uplink, downlink = uplink_s(sample, link), downlink_s(sample, link)
    return None if uplink is None or downlink is None else sample.total_s + uplink + downlink


def local_s(sample: Sample) -> Optional[float]:
    """Seconds of the stages on the board."""
    return _sum(sample, lambda stage: not _on_server(stage) and not _on_network(stage))


def server_s(sample: Sample) -> Optional[float]:
    """Seconds of the stages on the server; None in local computing."""
    return _sum(sample, _on_server)


def network_s(sample: Sample) -> Optional[float]:
    """Seconds of HTTP round trips less the server's time; None in local computing."""
    return _sum(sample, _on_network)


def _over(link: Link, charged: Optional[int]) -> Optional[float]:
    if charged is None or not link.rate_kbit_s:
        return None
    return seconds(charged, link.rate_kbit_s)


def _payload(sample: Sample) -> Optional[int]:
    if not sample.ok or not sample.requests:
        return None
    if sample.published_payload_bytes is not None:
        return sample.published_payload_bytes
    return sample.payload_bytes


def _wire_up(sample: Sample) -> Optional[List[int]]:
    """Bytes of each request with HTTP headers and JSON, a published payload in its place."""
    payload = _payload(sample)
    if payload is None or sample.payload_bytes is None:
        return None
    wire = [request.wire_up_bytes for request in sample.requests]
    first = wire[0] + payload - sample.payload_bytes
    wire[0] = (first + abs(first)) // 2  # max(0, first), for arrays too
    return wire


def _delay(
    link: Link, rate_kbit_s: float, payloads: List[Any], wire: List[Any], sample: Sample, way: str
) -> Delay:
    """What one way takes; what is random is drawn for each entry of columns by itself."""

    def place(inference: Any) -> str:
        return "%s|%s|%s|%s" % (sample.block, inference, sample.warmup, way)

    if np.ndim(sample.inference) == 0 or not (link.latency_ms or link.loss):
        return delay(link, rate_kbit_s, payloads, wire, place(sample.inference))
    numbers: Any = sample.inference  # of a sample of columns an array
    rows = zip(zip(*payloads), zip(*wire), numbers)
    delays = [delay(link, rate_kbit_s, sent, framed, place(n)) for sent, framed, n in rows]
    return Delay(*np.array(delays).T)


def _on_server(stage: str) -> bool:
    return ".server." in stage


def _on_network(stage: str) -> bool:
    return stage.endswith(".network")


def _sum(sample: Sample, chosen: Callable[[str], bool]) -> Optional[float]:
    times = [value for stage, value in sample.stages.items() if chosen(stage)]
    return sum(times) if sample.ok and times else None
