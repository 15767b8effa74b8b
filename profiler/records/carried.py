"""What `splitwatt profile --boards` records: how a server did under the requests of so many boards."""

from typing import NamedTuple, Optional

from splitwatt.profiler.records.fields import field, record
from splitwatt.profiler.records.sample import BLOCK, CONFIG, SESSION

POISSON, FIXED = "poisson", "fixed"


@record("a line of boards.jsonl")
class Carried(NamedTuple):
    """A number of boards that was replayed against the server, in the order of trying.

    Every board's frames are due at times that were drawn before; a latency counts from then, also
    where the request could not be sent in time.
    """

    config: str = CONFIG
    block: str = BLOCK
    boards: int = field("boards that sent their frames", least=1)
    fps: float = field("frames of a board in a second, on average", least=0)
    arrivals: str = field("when frames are due", choices=(POISSON, FIXED))
    deadline_s: float = field("from a frame's being due to its answer")
    seed: int = field("of the arrivals")
    duration_s: float = field("the time that counts, after a warm-up of a tenth of it")
    frames: int = field("frames that were due in that time")
    failed: int = field("of them: refused by the server, or without an answer")
    late: int = field("of them: answered after the deadline; those that failed count here too")
    late_low: float = field("lower end of the 95 % interval of the share of late frames", most=1)
    late_high: float = field("upper end of the same", most=1)
    p50_s: Optional[float] = field("the median of the latencies of answered frames")
    p99_s: Optional[float] = field("what 99 % of these stay below")
    own_late_s: Optional[float] = field(
        "what 99 % of the frames were sent within after they were due and their board was free: the "
        "load generator's own lateness"
    )
    service_s: Optional[float] = field(
        "mean time of the server's stages for a frame, without queue"
    )
    processes: int = field("processes that the boards were in", least=1)
    session: Optional[int] = SESSION
