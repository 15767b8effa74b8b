"""What a run keeps of the network: both ends' clocks and the link's rate, between samples."""

from typing import Dict, NamedTuple, Optional

from splitwatt.profiler.records.fields import SESSION, Field

CLOCK_FILE = "clock.jsonl"
LINKS_FILE = "links.jsonl"
# Why a block of local computing has no offset: it is nothing odd.
NO_SERVER = "no server in local computing"


class ClockEstimate(NamedTuple):
    """A line of clock.jsonl; the fields are described in `CLOCK_FIELDS`."""

    block: str
    when: str
    monotonic_s: float
    offset_s: Optional[float]
    uncertainty_s: Optional[float]
    exchanges: int
    wall_s: float
    why_not: Optional[str]
    session: Optional[int] = None


class LinkRate(NamedTuple):
    """A line of links.jsonl; the fields are described in `LINK_FIELDS`."""

    block: str
    when: str
    monotonic_s: float
    uplink_kbit_s: Optional[float]
    downlink_kbit_s: Optional[float]
    uplink_bytes: int
    downlink_bytes: int
    why_not: Optional[str]


_BLOCK = Field("text", "", "the block: one process, one configuration, one backend")
_WHEN = Field("text", "", "before, during or after the block's samples")
_AT = Field("number", "s", "when, on the board's monotonic clock")
_WHY_NOT = Field("text", "", "why there is no figure", True)

CLOCK_FIELDS: Dict[str, Field] = {
    "block": _BLOCK,
    "when": _WHEN,
    "monotonic_s": _AT,
    "offset_s": Field("number", "s", "the server's monotonic clock less the board's", True),
    "uncertainty_s": Field("number", "s", "the most that the offset can be wrong by", True),
    "exchanges": Field("integer", "", "exchanges of times, of which the quickest counts"),
    "wall_s": Field("number", "s", "the board's wall clock then, since 1970"),
    "why_not": _WHY_NOT,
    "session": SESSION,
}

LINK_FIELDS: Dict[str, Field] = {
    "block": _BLOCK,
    "when": _WHEN,
    "monotonic_s": _AT,
    "uplink_kbit_s": Field(
        "number", "kbit/s", "the rate that the uplink has, framing counted", True
    ),
    "downlink_kbit_s": Field("number", "kbit/s", "the same of the downlink", True),
    "uplink_bytes": Field("integer", "B", "what that was measured with, framing counted"),
    "downlink_bytes": Field("integer", "B", "the same of the downlink"),
    "why_not": _WHY_NOT,
}
