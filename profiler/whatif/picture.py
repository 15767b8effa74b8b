"""Latency against link rate, drawn with characters."""

import math
from typing import List, Sequence

from splitwatt.profiler.analyse.rates import Case
from splitwatt.profiler.records.run import group_of

_WIDTH, _HEIGHT = 64, 16
_LOW_KBIT_S, _HIGH_KBIT_S = 10.0, 100000.0
_MARKS = "LSO*+x#@" + "ABCDEFGHIJKMNPQRTUVWXYZ"


def picture(shown: Sequence[Case], speed: float) -> str:
    """Lines of the best of each group at each rate; both axes are logarithmic."""
    groups: List[str] = []
    for case in shown:
        if group_of(case.config) not in groups:
            groups.append(group_of(case.config))
    rates = [
        _LOW_KBIT_S * (_HIGH_KBIT_S / _LOW_KBIT_S) ** (x / (_WIDTH - 1)) for x in range(_WIDTH)
    ]
    lines = {
        group: [
            min(c.median_s(rate, speed) for c in shown if group_of(c.config) == group)
            for rate in rates
        ]
        for group in groups
    }
    values = [value for line in lines.values() for value in line]
    low, high = math.log(min(values)), math.log(max(values))
    high = high if high > low else low + 1.0
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for mark, group in zip(_marks(groups), groups):
        for x, value in enumerate(lines[group]):
            y = round((high - math.log(value)) / (high - low) * (_HEIGHT - 1))
            grid[y][x] = mark
    rows = []
    for y, row in enumerate(grid):
        seconds = math.exp(high - (high - low) * y / (_HEIGHT - 1))
        label = "%9.3g s" % seconds if y % 5 == 0 or y == _HEIGHT - 1 else " " * 11
        rows.append("%s |%s" % (label, "".join(row).rstrip()))
    rows.append(" " * 12 + "+" + "-" * _WIDTH)
    rows.append(" " * 13 + _axis())
    told = ", ".join("%s the best of %s" % pair for pair in zip(_marks(groups), groups))
    rows.append(" " * 13 + told)
    return "\n".join(rows)


def _axis() -> str:
    decades = round(math.log10(_HIGH_KBIT_S / _LOW_KBIT_S))
    words = ["10 kbit/s", "100", "1 Mbit/s", "10", "100"]
    text = ""
    for n, word in enumerate(words[: decades + 1]):
        at = round(n * (_WIDTH - 1) / decades)
        text = text.ljust(min(at, _WIDTH - len(word))) + word
    return text


def _marks(groups: Sequence[str]) -> List[str]:
    """A letter a group: its first, where that is free."""
    found: List[str] = []
    for group in groups:
        own = group[:1].upper() or "?"
        found.append(own if own not in found else next((m for m in _MARKS if m not in found), "?"))
    return found
