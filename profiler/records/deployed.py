"""What `splitwatt run` records besides samples: what was chosen for each frame, and from what."""

from typing import Dict, NamedTuple, Optional

from splitwatt.profiler.records.fields import clock, field, record
from splitwatt.profiler.records.sample import BLOCK, CONFIG, SESSION


@record("`deployed`")
class Deployment(NamedTuple):
    """How frames came, of a run that `splitwatt run` wrote."""

    source: str = field("where frames came from, as it was named")
    deadline_s: Optional[float] = field("from capture to answer; null: none")
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
