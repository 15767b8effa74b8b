"""What a run records besides samples: its blocks, how their processes started, named intervals, peak
memory, throughput, stages that were repeated alone, how a server did under many boards, the network
between samples (both ends' clocks, the link's rate), and the choices of `splitwatt run`.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set

from splitwatt.profiler.records.fields import MAX_CLOCK_S, clock, field, record
from splitwatt.profiler.records.sample import (
    BACKEND,
    BLOCK,
    CONFIG,
    FAILED,
    OK,
    SESSION,
)
from splitwatt.profiler.records.samples import Samples

# Names of windows.
IDLE = "idle"
WARMUP = "warmup"
INFERENCES = "inferences"
PIPELINED = "pipelined"
# When the frames of boards are due.
POISSON, FIXED = "poisson", "fixed"
# What follows CONFIG.BACKEND in the id of a block that repeats single stages.
STAGES_SUFFIX = ".stages"
# What follows a block's id where it runs again, before a number.
_AGAIN = ".again"
# Why a block of local computing has no offset: it is nothing odd.
NO_SERVER = "no server in local computing"
BEFORE, DURING, AFTER = "before", "during", "after"
_WHEN = field("before, during or after the block's samples", choices=(BEFORE, DURING, AFTER))
_AT = clock("when, on the board's monotonic clock")
_WHY_NOT = field("why there is no figure")


@record("an entry of `blocks`")
class Block(NamedTuple):
    """A block of a run: one process, one configuration, one backend."""

    id: str = field("names the block, such as LC1.cpu.0")
    config: str = CONFIG
    backend: str = field("what runs the board's parts")
    repeat: int = field("which of their blocks it is, from 0", most=10**6)
    again: int = field(
        "0, or n for the n-th repetition of a block that throttled or lost records",
        0,
        most=1000,
    )

    @property
    def repeats_stages(self) -> bool:
        """Whether it repeats single stages, for their joules, instead of running images."""
        return self.id.endswith(STAGES_SUFFIX)


@record("a line of windows.jsonl")
class Window(NamedTuple):
    """A named interval of a block."""

    name: str = field("what the interval holds: idle, warmup, inferences or pipelined")
    config: str = CONFIG
    backend: str = BACKEND
    block: str = BLOCK
    start_s: float = clock("start on the board's monotonic clock")
    end_s: float = clock("end on the board's monotonic clock")
    session: Optional[int] = SESSION


@record("a line of stages.jsonl")
class StageBlock(NamedTuple):
    """One stage that was repeated alone."""

    config: str = CONFIG
    backend: str = BACKEND
    block: str = field("the block that repeats stages, such as LC1.cpu.stages")
    stage: str = field("SLOT.STAGE: what was repeated, alone")
    start_s: Optional[float] = clock("start on the board's monotonic clock")
    end_s: Optional[float] = clock("end on the board's monotonic clock")
    repetitions: Optional[int] = field("how often it ran from start to end")
    images: int = field("number of images, on which it ran in turn")
    status: str = field("ok or failed", choices=(OK, FAILED))
    reason: Optional[str] = field("why it failed")
    session: Optional[int] = SESSION


@record("a line of memory.jsonl")
class Memory(NamedTuple):
    """Peak memory of a block's process."""

    config: str = CONFIG
    backend: str = BACKEND
    block: str = BLOCK
    process_peak_bytes: Optional[int] = field("largest resident memory of its process")
    board_peak_bytes: Optional[int] = field(
        "largest memory in use on the board, background included; null with the server on the "
        "same machine"
    )
    source: str = field("where the figures come from")
    gpu_process_peak_bytes: Optional[int] = field(
        "largest GPU memory of its process, sampled while it ran", None
    )
    gpu_peak_bytes: Optional[int] = field(
        "largest GPU memory in use on the board, background included; null with the server on the "
        "same machine",
        None,
    )


@record("a line of starts.jsonl")
class Start(NamedTuple):
    """The start of a block's process."""

    config: str = CONFIG
    backend: str = BACKEND
    block: str = BLOCK
    cuda_init_s: Optional[float] = field(
        "making the GPU's context, before anything else; null where the backend needs none"
    )
    open_s: float = field("checking the bundles' files and opening the engines")
    server_load_s: Optional[float] = field(
        "until the server had loaded the models; null in local computing"
    )
    first_inference_s: Optional[float] = field(
        "total_s of the warm-up's first inference; null where it failed, and without a warm-up"
    )
    warmups: int = field("inferences of the warm-up, the first included")
    steady: Optional[bool] = field("whether the warm-up's rule was met; null without a rule")
    fallbacks: List[str] = field("parts that another backend runs by a recorded rule, and why")
    built: Optional[List[str]] = field(
        "parts that were built on the board: with which TensorRT, in which precision, and the "
        "bundle's where that is another",
        None,
    )


@record("a line of throughput.jsonl")
class Throughput(NamedTuple):
    """Throughput of one block."""

    config: str = CONFIG
    backend: str = BACKEND
    block: str = BLOCK
    pipelined: bool = field(
        "each image was prepared while the one before was sent and answered; false in local "
        "computing: one after the other"
    )
    images: int = field("images that got an answer")
    failed: int = field("images that got no answer")
    duration_s: float = field("from the first image file to the last answer")
    images_per_s: Optional[float] = field("images over duration; null without any")


@record("a line of boards.jsonl")
class Carried(NamedTuple):
    """A number of boards that was replayed against the server, in the order of trying.

    Every board's frames are due at times that were drawn before; a latency counts from then, also
    where the request could not be sent in time.
    """

    config: str = CONFIG
    block: str = BLOCK
    boards: int = field("boards that sent their frames", least=1)
    fps: float = field("frames per second of a board, on average", least=0)
    arrivals: str = field("when frames are due", choices=(POISSON, FIXED))
    deadline_s: float = field("the longest time from when a frame is due to its answer")
    seed: int = field("seed of the arrival times")
    duration_s: float = field("the time in which frames count, after a warm-up of a tenth of it")
    frames: int = field("frames that were due in that time")
    failed: int = field("of these, frames that the server refused or did not answer")
    late: int = field("of these, frames answered after the deadline, and those that failed")
    late_low: float = field("lower end of the 95 % interval of the share of late frames", most=1)
    late_high: float = field("upper end of the same", most=1)
    p50_s: Optional[float] = field("the median of the latencies of answered frames")
    p99_s: Optional[float] = field("the time that 99 % of them stay below")
    own_late_s: Optional[float] = field(
        "what 99 % of the frames were sent within after they were due and their board was free: the "
        "load generator's own lateness"
    )
    service_s: Optional[float] = field(
        "mean time of the server's stages for a frame, without queue"
    )
    processes: int = field("number of processes that simulated the boards", least=1)
    session: Optional[int] = SESSION


@record("a line of clock.jsonl")
class ClockEstimate(NamedTuple):
    """The server's clock against the board's."""

    block: str = BLOCK
    when: str = _WHEN
    monotonic_s: float = _AT
    offset_s: Optional[float] = field(
        "the server's monotonic clock less the board's", least=-MAX_CLOCK_S, most=MAX_CLOCK_S
    )
    uncertainty_s: Optional[float] = field("the largest possible error of the offset")
    exchanges: int = field("exchanges of times, of which the quickest counts")
    wall_s: float = clock("the board's wall clock then, since 1970")
    why_not: Optional[str] = _WHY_NOT
    session: Optional[int] = SESSION


@record("a line of links.jsonl")
class LinkRate(NamedTuple):
    """The rates of a measured link."""

    block: str = BLOCK
    when: str = _WHEN
    monotonic_s: float = _AT
    uplink_kbit_s: Optional[float] = field("measured rate of the uplink, framing included")
    downlink_kbit_s: Optional[float] = field("the same of the downlink")
    uplink_bytes: int = field("bytes that this was measured with, framing included")
    downlink_bytes: int = field("the same of the downlink")
    why_not: Optional[str] = _WHY_NOT


@record("`deployed`")
class Deployment(NamedTuple):
    """How frames came, of a run that `splitwatt run` wrote."""

    source: str = field("where frames came from, as it was named")
    deadline_s: Optional[float] = field(
        "the longest time from capture to answer; null: no deadline"
    )
    quality_of: str = field("what the policy's quality is", "")
    counts: Dict[str, int] = field("what became of all frames; empty until the end", {})


@record("a line of timeline.jsonl")
class Chosen(NamedTuple):
    """A frame that was taken, in the order of the answers."""

    config: str = CONFIG
    block: str = BLOCK
    frame: int = field("its number, counted at the source from 0")
    inference: int = field("the sample of its block")
    captured_monotonic_s: float = clock("its capture, on the board's monotonic clock")
    latency_s: float = field("from its capture to its answer, or to its failure")
    chosen: str = field("the configuration that was chosen for it; config is what answered")
    why: str = field("best, deadline, steady, server or late: docs/deploy.md")
    predicted_s: Optional[float] = field("the latency that was predicted from then on")
    rate_kbit_s: Optional[float] = field("the uplink's rate, as estimated then")
    quality: Optional[float] = field("of what answered, as the policy has it")
    hedged: bool = field("the local model answered in place of a server that was late")
    dropped: int = field("frames that were dropped before it, since the start")
    session: Optional[int] = SESSION


def replaced_blocks(document: Dict[str, Any], samples: Samples, least: int) -> Set[str]:
    """Blocks that a later one replaces: the board throttled in them, or records of them were lost.

    A block stops counting as soon as its repetition has all its inferences; an
    inference that failed counts as missing, unless its image was at fault.

    Args:
        document: run.json.
        samples: every sample once.
        least: number of inferences of a complete block.
    """
    counted = samples.where(lambda sample: not sample.warmup and sample.settled)
    counts = {block: len(own) for block, own in counted.by(lambda sample: sample.block).items()}
    whole = [row for row in document["blocks"] if counts.get(row["id"], 0) >= least]
    return earlier_blocks(whole)


def earlier_blocks(blocks: Sequence[Dict[str, Any]]) -> Set[str]:
    """The ids of the blocks that ran before those of these blocks that ran again."""
    return {again_id(row["id"], again) for row in blocks for again in range(row.get("again") or 0)}


def again_id(block: str, again: int) -> str:
    """The id of the n-th repetition of a block; for 0 the block's own id."""
    first = block.split(_AGAIN)[0]
    return "%s%s%d" % (first, _AGAIN, again) if again else first


def throttled_blocks(samples: Samples) -> Set[str]:
    """Blocks in which an inference that counts was throttled."""
    hot = samples.where(lambda sample: sample.throttled and not sample.warmup)
    return set(hot.by(lambda sample: sample.block))
