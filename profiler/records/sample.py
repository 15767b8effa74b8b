"""Samples, windows and peaks as a run records them, and what is derived from a sample.

What was not measured is None, never 0. A simulated link's time is derived here, for any rate, from
the bytes that a sample stores.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.profiler.links.link import Link, framed_bytes, seconds
from splitwatt.profiler.links.simulated import Delay, delay

OK = "ok"
FAILED = "failed"
PUBLISHED = "published"
ESTIMATED = "estimated"
# Names of windows.
IDLE = "idle"
INFERENCES = "inferences"


class Request(NamedTuple):
    """One request of a sample; the fields are described in `FIELDS`."""

    model: str
    payload_bytes: int
    wire_up_bytes: int
    wire_down_bytes: int
    legacy_pickled_bytes: Optional[int]
    attempts: int
    sent_monotonic_s: Optional[float] = None
    received_monotonic_s: Optional[float] = None
    server_monotonic_s: Optional[float] = None
    drain_s: Optional[float] = None


class Sample(NamedTuple):
    """One image through one configuration; the fields are described in `FIELDS`."""

    config: str
    image: str
    repeat: int
    inference: int
    backend: str
    block: str
    warmup: bool
    status: str
    reason: Optional[str]
    failed_by: Optional[str]
    total_s: Optional[float]
    stages: Dict[str, float]
    payload_bytes: Optional[int]
    wire_up_bytes: Optional[int]
    wire_down_bytes: Optional[int]
    requests: List[Request]
    published_payload_bytes: Optional[int]
    published_payload_source: Optional[str]
    started_monotonic_s: float
    device_s: Optional[Dict[str, float]] = None
    board: Optional[Dict[str, float]] = None
    throttled: Optional[bool] = None
    throttled_by: Optional[str] = None
    session: Optional[int] = None

    @property
    def ok(self) -> bool:
        """Whether it gave an answer."""
        return self.status == OK

    @property
    def key(self) -> Tuple[str, bool, int]:
        """What no two samples of a run share: block, warm-up or not, place."""
        return self.block, self.warmup, self.inference


class Window(NamedTuple):
    """A named interval of a block; the fields are described in `FIELDS`."""

    name: str
    config: str
    backend: str
    block: str
    start_s: float
    end_s: float
    session: Optional[int] = None


class Memory(NamedTuple):
    """Peak memory of a block; the fields are described in `FIELDS`."""

    config: str
    backend: str
    block: str
    process_peak_bytes: Optional[int]
    board_peak_bytes: Optional[int]
    source: str
    gpu_process_peak_bytes: Optional[int] = None
    gpu_peak_bytes: Optional[int] = None


def same_session(a: Optional[int], b: Optional[int]) -> bool:
    """Whether two records may be on one clock; those of earlier versions do not say their session."""
    return a is None or b is None or a == b


def uplink_payload_s(sample: Sample, link: Link) -> Optional[float]:
    """8 * payload / rate, the paper's; None where nothing is sent, the link has no rate, or it is
    not known.
    """
    payload = _charged_bytes(sample)
    if payload is None or not link.rate_kbit_s:
        return None
    return seconds(payload, link.rate_kbit_s)


def uplink_wire_s(sample: Sample, link: Link) -> Optional[float]:
    """The uplink's time with HTTP headers, JSON and Ethernet, IPv4 and TCP framing.

    Each request is framed by itself. Where a published payload is charged, it takes the place of
    the measured one, and the rest stays as it was. None as `uplink_payload_s`.
    """
    wire = _wire_up(sample)
    if wire is None or not link.rate_kbit_s:
        return None
    return seconds(sum(framed_bytes(content) for content in wire), link.rate_kbit_s)


def uplink_s(sample: Sample, link: Link) -> Optional[float]:
    """A simulated uplink's time: what it is charged with at its rate, latency and loss.

    None on a measured link: there it is a part of the sample's own network time.
    """
    found = uplink_delay(sample, link)
    return None if found is None else found.total_s


def uplink_delay(sample: Sample, link: Link) -> Optional[Delay]:
    """`uplink_s` told apart."""
    payload, wire = _charged_bytes(sample), _wire_up(sample)
    if link.measured or payload is None or wire is None:
        return None
    return delay(link, link.rate_kbit_s, [payload], wire, _place(sample, "up"))


def downlink_s(sample: Sample, link: Link) -> Optional[float]:
    """A simulated downlink's time: answers with their headers at its rate, latency and loss.

    0 where the link says nothing of the way back, as the papers' links; None as `uplink_s`.
    """
    if link.measured or not sample.ok or not sample.requests:
        return None
    wire = [request.wire_down_bytes for request in sample.requests]
    return delay(link, link.downlink_kbit_s or 0.0, wire, wire, _place(sample, "down")).total_s


def end_to_end_s(sample: Sample, link: Link) -> Optional[float]:
    """From the image file to the answer.

    On a measured link that is `total_s`; on a simulated one `total_s` and the link's time where
    something is sent.
    """
    if not sample.ok or sample.total_s is None:
        return None
    if link.measured or not sample.requests:
        return sample.total_s
    uplink, downlink = uplink_s(sample, link), downlink_s(sample, link)
    return None if uplink is None or downlink is None else sample.total_s + uplink + downlink


def local_s(sample: Sample) -> Optional[float]:
    """Seconds of the board's own stages."""
    return _sum(sample, lambda stage: not _on_server(stage) and not _on_network(stage))


def server_s(sample: Sample) -> Optional[float]:
    """Seconds of the server's stages; None in local computing."""
    return _sum(sample, _on_server)


def network_s(sample: Sample) -> Optional[float]:
    """Seconds of HTTP round trips less the server's time; None in local computing."""
    return _sum(sample, _on_network)


def _charged_bytes(sample: Sample) -> Optional[int]:
    if not sample.ok or not sample.requests:
        return None
    if sample.published_payload_bytes is not None:
        return sample.published_payload_bytes
    return sample.payload_bytes


def _wire_up(sample: Sample) -> Optional[List[int]]:
    """Bytes of each request with HTTP headers and JSON, a published payload in its place."""
    payload = _charged_bytes(sample)
    if payload is None or sample.payload_bytes is None:
        return None
    wire = [request.wire_up_bytes for request in sample.requests]
    wire[0] += payload - sample.payload_bytes
    return wire


def _place(sample: Sample, way: str) -> str:
    return "%s|%d|%s|%s" % (sample.block, sample.inference, sample.warmup, way)


def _on_server(stage: str) -> bool:
    return ".server." in stage


def _on_network(stage: str) -> bool:
    return stage.endswith(".network")


def _sum(sample: Sample, chosen: Any) -> Optional[float]:
    times = [value for stage, value in sample.stages.items() if chosen(stage)]
    return sum(times) if sample.ok and times else None
