"""One number of a report, with its interval and its sources."""
# board: no

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KIB = 1024
MIB = 1024 * 1024

# Where a number may come from; several of them where a number is made of several.
SOURCES = {
    "measured": "timed or counted on the machines of this run",
    "quota": "the board was this machine under a CPU quota, a stand-in for a slower board",
    "simulated": "the link's time, computed from bytes and rate: nothing was slowed down",
    "published": "a figure of the paper, not of this run",
    "estimated": "computed from the model's graph or from other figures, not observed",
    "assumed": "the paper does not define it: our assumption, footnoted",
    "generated": "made by untrained (random) weights or a made-up power sensor: the figure means nothing",
}


@dataclass(frozen=True)
class Value:
    """A number, in the unit of its column, or the reason why it is missing.

    `low` and `high` are the ends of its interval (None: no interval), `n` the samples behind it,
    `sources` keys of SOURCES in the order of SOURCES. A value of None is never a zero: it was not
    measured and prints as "-", or no such value exists and it prints as `word`: "never" or "always".
    """

    value: float | None
    sources: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    n: int | None = None
    why: str | None = None
    word: str | None = None

    @property
    def shown_instead(self) -> str:
        """What prints where there is no number."""
        return self.word or "-"

    @property
    def source(self) -> str:
        """The sources as one word for a CSV cell: `measured+simulated`; empty for no value."""
        return "+".join(self.sources) if self.value is not None else ""

    def to_json(self) -> dict[str, Any]:
        """The value as JSON, without the fields that say nothing."""
        document: dict[str, Any] = {"value": self.value}
        for name in ("low", "high", "n", "why", "word"):
            if getattr(self, name) is not None:
                document[name] = getattr(self, name)
        if self.value is not None:
            document["sources"] = list(self.sources)
        return document


NOT_FINITE = "its record holds no finite number"


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Source names without repetitions, in the order of SOURCES; KeyError for an unknown one."""
    given = set(names)
    unknown = given - set(SOURCES)
    if unknown:
        raise KeyError(f"no such source: {sorted(unknown)}")
    return tuple(name for name in SOURCES if name in given)


def missing(why: str, word: str | None = None) -> Value:
    """A value that was not measured, or (with a `word`: "never", "always") does not exist, and why."""
    return Value(None, why=why, word=word)


def exact(
    value: float | None, *sources: str, why: str = "not recorded", n: int | None = None
) -> Value:
    """A number without an interval; None, NaN and infinity become a missing value with a reason."""
    if value is None:
        return missing(why)
    if not math.isfinite(value):
        return missing(NOT_FINITE)
    return Value(float(value), ordered(sources), n=n)
