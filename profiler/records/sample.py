"""Samples: one image through one configuration, and what it sent to the server.

What was not measured is None, never 0.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.profiler.records.fields import clock, field, record

OK = "ok"
FAILED = "failed"
PUBLISHED = "published"
ESTIMATED = "estimated"
# Whose failure it was.
BY_IMAGE = "image"
# Fields that records share.
CONFIG = field("the configuration, such as LC1")
BACKEND = field("the backend that ran the board's parts")
BLOCK = field("the block: one process, one configuration, one backend")
SESSION = field(
    "0 from the run's start, n from its n-th resume on, which may be on another clock",
    None,
    most=10**6,
)
# Stages are measured inside the total: longer ones belong to another sample or were invented.
_MOST_OF_TOTAL, _SLACK_S = 2.0, 0.1
# No request is larger: a server takes 16 MiB.
_MOST_SENT_BYTES = 2**28


@record("an entry of `requests`")
class Request(NamedTuple):
    """One request of a sample."""

    model: str = field("the model of the request")
    payload_bytes: int = field("bytes that the codec made", most=_MOST_SENT_BYTES)
    wire_up_bytes: int = field("the HTTP request, every attempt counted", most=_MOST_SENT_BYTES)
    wire_down_bytes: int = field("the HTTP response", most=_MOST_SENT_BYTES)
    legacy_pickled_bytes: Optional[int] = field(
        "the size that sc2bench reports for it; null where that depends on the version of torch",
        most=_MOST_SENT_BYTES,
    )
    attempts: int = field("1, or more where the server was not reached at once", least=1)
    sent_monotonic_s: Optional[float] = clock(
        "when its sending began, on the board's monotonic clock", None
    )
    received_monotonic_s: Optional[float] = clock(
        "when its answer was there, on the board's monotonic clock", None
    )
    server_monotonic_s: Optional[float] = clock(
        "when the server had all of it, on the server's own monotonic clock", None
    )
    drain_s: Optional[float] = field(
        "time before it that emptied a shaped link's token bucket; not in total_s", None
    )


@record("a line of samples.jsonl")
class Sample(NamedTuple):
    """One image through one configuration."""

    config: str = CONFIG
    image: str = field("file name of the image, as run.json lists it")
    repeat: int = field("which of a configuration's blocks, from 0")
    inference: int = field("its number in the block, from 0; the warm-up is counted separately")
    backend: str = BACKEND
    block: str = BLOCK
    warmup: bool = field("whether it ran in the warm-up, before the inferences that count")
    status: str = field("ok or failed", choices=(OK, FAILED))
    reason: Optional[str] = field("why it failed")
    failed_by: Optional[str] = field(
        "what failed: image, server, engine or process",
        choices=(BY_IMAGE, "server", "engine", "process"),
    )
    total_s: Optional[float] = field(
        "wall time of the sample on the board's machine; server and real network included, "
        "simulated link excluded"
    )
    stages: Dict[str, float] = field("SLOT.STAGE -> seconds; stages add up to total_s", unit="s")
    payload_bytes: Optional[int] = field(
        "bytes that the codec made, all requests together", most=_MOST_SENT_BYTES
    )
    wire_up_bytes: Optional[int] = field(
        "HTTP requests: lines, headers, JSON, payload", most=_MOST_SENT_BYTES
    )
    wire_down_bytes: Optional[int] = field(
        "HTTP responses: lines, headers, JSON, answers", most=_MOST_SENT_BYTES
    )
    requests: List[Request] = field("one entry per request to the server; empty in local computing")
    published_payload_bytes: Optional[int] = field(
        "with payload: published in the config, the mean size that a simulated link is charged with",
        most=_MOST_SENT_BYTES,
    )
    published_payload_source: Optional[str] = field(
        "the source of that size: published, or estimated if it is not published for one of "
        "the models",
        choices=(PUBLISHED, ESTIMATED),
    )
    started_monotonic_s: float = clock("start on the machine's monotonic clock")
    device_s: Optional[Dict[str, float]] = field(
        "SLOT.PART -> seconds by the accelerator's own clock, without copies: a part of that "
        "stage; null where it has no clock",
        None,
    )
    board: Optional[Dict[str, float]] = field(
        "the board as last read, at the sample's end: cpuN_khz, gpu_hz, ZONE_c (degrees Celsius), "
        "states of cooling devices that slow it down; null where nothing can be read",
        None,
    )
    throttled: Optional[bool] = field(
        "whether the board throttled since the sample before; null if it does not report it", None
    )
    throttled_by: Optional[str] = field("the signs of throttling", None)
    session: Optional[int] = SESSION
    processor_s: Optional[float] = field(
        "processor time of the board's process, all its threads: under a CPU quota, over the time of "
        "the board's stages it is the share that they had",
        None,
    )

    @property
    def ok(self) -> bool:
        """Whether it gave an answer."""
        return self.status == OK

    @property
    def settled(self) -> bool:
        """Whether it need not run again: it gave an answer, or its image cannot give one."""
        return self.ok or self.failed_by == BY_IMAGE

    @property
    def key(self) -> Tuple[str, bool, int]:
        """What identifies a sample in its run: block, warm-up or not, number."""
        return self.block, self.warmup, self.inference


def check_sample(sample: Sample, where: str) -> None:
    """Raise RunError where stages are much longer than their sample."""
    if sample.total_s is None:
        return
    stages_s = sum(sample.stages.values())
    if stages_s > _MOST_OF_TOTAL * sample.total_s + _SLACK_S:
        raise RunError(
            "%s: 'stages' add up to %.6g s, and 'total_s' is %.6g"
            % (where, stages_s, sample.total_s)
        )


def same_session(a: Optional[int], b: Optional[int]) -> bool:
    """Whether two records may be on one clock; those of earlier versions do not say their session."""
    return a is None or b is None or a == b
