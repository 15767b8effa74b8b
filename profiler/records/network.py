"""What a run keeps of the network: both ends' clocks and the link's rate, between samples."""

from typing import NamedTuple, Optional

from splitwatt.profiler.records.fields import MAX_CLOCK_S, clock, field, record
from splitwatt.profiler.records.sample import BLOCK, SESSION

# Why a block of local computing has no offset: it is nothing odd.
NO_SERVER = "no server in local computing"
BEFORE, DURING, AFTER = "before", "during", "after"
_WHEN = field("before, during or after the block's samples", choices=(BEFORE, DURING, AFTER))
_AT = clock("when, on the board's monotonic clock")
_WHY_NOT = field("why there is no figure")


@record("a line of clock.jsonl")
class ClockEstimate(NamedTuple):
    """The server's clock against the board's."""

    block: str = BLOCK
    when: str = _WHEN
    monotonic_s: float = _AT
    offset_s: Optional[float] = field(
        "the server's monotonic clock less the board's", least=-MAX_CLOCK_S, most=MAX_CLOCK_S
    )
    uncertainty_s: Optional[float] = field("the most that the offset can be wrong by")
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
    uplink_kbit_s: Optional[float] = field("the rate that the uplink has, framing counted")
    downlink_kbit_s: Optional[float] = field("the same of the downlink")
    uplink_bytes: int = field("what that was measured with, framing counted")
    downlink_bytes: int = field("the same of the downlink")
    why_not: Optional[str] = _WHY_NOT
