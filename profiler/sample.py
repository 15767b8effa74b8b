"""Samples, windows and peaks as a run records them, and what is derived from a sample.

What was not measured is None, never 0. A simulated link's time is derived here, for any rate, from
the bytes that a sample stores.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from profiler.link import PAYLOAD, Link, framed_bytes, seconds

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


class Memory(NamedTuple):
    """Peak memory of a block; the fields are described in `FIELDS`."""

    config: str
    backend: str
    block: str
    process_peak_bytes: Optional[int]
    board_peak_bytes: Optional[int]
    source: str


def uplink_payload_s(sample: Sample, link: Link) -> Optional[float]:
    """8 * payload / rate, the paper's; None where nothing is sent or it is not known."""
    payload = _charged_bytes(sample)
    return None if payload is None else seconds(payload, link.rate_kbit_s)


def uplink_wire_s(sample: Sample, link: Link) -> Optional[float]:
    """The uplink's time with HTTP headers, JSON and Ethernet, IPv4 and TCP framing.

    Each request is framed by itself. Where a published payload is charged, it takes the place of
    the measured one, and the rest stays as it was.
    """
    payload = _charged_bytes(sample)
    if payload is None or sample.payload_bytes is None:
        return None
    more = payload - sample.payload_bytes
    wire = [request.wire_up_bytes for request in sample.requests]
    wire[0] += more
    return seconds(sum(framed_bytes(content) for content in wire), link.rate_kbit_s)


def uplink_s(sample: Sample, link: Link) -> Optional[float]:
    """The uplink's time by what the link is charged with: its payload, or all of the wire."""
    return (uplink_payload_s if link.bytes == PAYLOAD else uplink_wire_s)(sample, link)


def end_to_end_s(sample: Sample, link: Link) -> Optional[float]:
    """From the image file to the answer: `total_s`, and the link's time where something is sent."""
    if not sample.ok or sample.total_s is None:
        return None
    if not sample.requests:
        return sample.total_s
    uplink = uplink_s(sample, link)
    return None if uplink is None else sample.total_s + uplink


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


def _on_server(stage: str) -> bool:
    return ".server." in stage


def _on_network(stage: str) -> bool:
    return stage.endswith(".network")


def _sum(sample: Sample, chosen: Any) -> Optional[float]:
    times = [value for stage, value in sample.stages.items() if chosen(stage)]
    return sum(times) if sample.ok and times else None
