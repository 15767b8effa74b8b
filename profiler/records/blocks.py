"""What a run records of whole blocks: how they started, their throughput, which were run again."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set

from splitwatt.profiler.records.sample import Sample

# The window of a block's throughput.
PIPELINED = "pipelined"


class Start(NamedTuple):
    """The start of a block's process; the fields are described in `FIELDS`."""

    config: str
    backend: str
    block: str
    cuda_init_s: Optional[float]
    open_s: float
    server_load_s: Optional[float]
    first_inference_s: Optional[float]
    warmups: int
    steady: Optional[bool]
    fallbacks: List[str]
    built: Optional[List[str]] = None


class Throughput(NamedTuple):
    """What a block got through in a time; the fields are described in `FIELDS`."""

    config: str
    backend: str
    block: str
    pipelined: bool
    images: int
    failed: int
    duration_s: float
    images_per_s: Optional[float]


def replaced_blocks(document: Dict[str, Any], samples: Sequence[Sample], least: int) -> Set[str]:
    """Blocks that the board throttled in and that a later one stands for.

    A block that was run again counts no longer as soon as the later one has all its inferences; one
    that failed, but for its image, is none.

    Args:
        document: run.json.
        samples: every sample once.
        least: inferences of a block.
    """
    counts: Dict[str, int] = {}
    for sample in samples:
        if not sample.warmup and (sample.ok or sample.failed_by == "image"):
            counts[sample.block] = counts.get(sample.block, 0) + 1
    later = [row for row in document["blocks"] if row.get("again")]
    whole = [row for row in later if counts.get(row["id"], 0) >= least]
    return {_earlier(row["id"], again) for row in whole for again in range(row["again"])}


def again_id(block: str, again: int) -> str:
    """The id of a block that is run again."""
    return "%s.again%d" % (block.split(".again")[0], again)


def throttled_blocks(samples: Sequence[Sample]) -> Set[str]:
    """Blocks in which an inference that counts was throttled."""
    return {sample.block for sample in samples if sample.throttled and not sample.warmup}


def _earlier(block: str, again: int) -> str:
    return again_id(block, again) if again else block.split(".again")[0]
