"""One number of a report, with its interval and its sources; lists of rows and sources for readers."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_NUMBERED = re.compile(r"(.*\D)(\d+)(†?)$")
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


def ranges(labels: Iterable[str]) -> str:
    """Labels with consecutive numbers as ranges: `LC 1-4, 7, SC 1`."""
    words: list[str] = []
    name, last = "", 0
    for label in unique(labels):
        match = _NUMBERED.match(label)
        if not match:
            name = ""
            words.append(label)
        elif match.group(1) == name and int(match.group(2)) == last + 1:
            last += 1
            words[-1] = words[-1].removesuffix(f"-{last - 1}") + f"-{last}"
        else:
            same = match.group(1) == name
            name, last = match.group(1), int(match.group(2))
            words.append(str(last) if same else f"{name}{last}")
    return ", ".join(words)


def by_source(pairs: Iterable[tuple[str, str]]) -> str:
    """(row's label, source) pairs as `measured (LC 1-3), measured+simulated (SC 1)`.

    If all rows have one source, only the source is named. Pairs without a source are left out.
    """
    rows: dict[str, list[str]] = {}
    for label, source in pairs:
        if source:
            rows.setdefault(source, []).append(label)
    if len(rows) <= 1:
        return "".join(rows)
    return ", ".join(f"{source} ({ranges(labels)})" for source, labels in rows.items())


def unique(items: Iterable[str]) -> list[str]:
    """The items without repetitions, in the order of their first one."""
    return list(dict.fromkeys(items))
