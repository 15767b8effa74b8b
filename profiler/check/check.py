"""A named check of a run."""

from typing import List, NamedTuple, Optional

from splitwatt.profiler.records.sample import Sample

# A check names at most this many faults and counts the rest.
_SHOWN = 3


class Check(NamedTuple):
    """A named check.

    Attributes:
        name: what holds where it is met.
        met: whether it is; None where the run gives nothing to check.
        said: what was looked at, or what is wrong.
    """

    name: str
    met: Optional[bool]
    said: str


def verdict(name: str, wrong: List[str], looked_at: str) -> Check:
    """A check that is met where nothing is wrong."""
    if not wrong:
        return Check(name, True, looked_at)
    more = "; and %d more" % (len(wrong) - _SHOWN) if len(wrong) > _SHOWN else ""
    return Check(name, False, "; ".join(wrong[:_SHOWN]) + more)


def nothing(name: str, why: str) -> Check:
    """A check for which the run gives nothing."""
    return Check(name, None, why)


def place(sample: Sample) -> str:
    """A sample, for sentences."""
    kind = "warm-up" if sample.warmup else "inference"
    return "%s %s %s" % (sample.block, kind, sample.inference)
