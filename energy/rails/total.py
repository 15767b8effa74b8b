"""The rails whose sum is the board's total: data in the target's YAML, never a guess."""

import fnmatch
from typing import AbstractSet, Dict, List, Mapping, Optional, Sequence, Tuple

from splitwatt.device_configs.targets import Power
from splitwatt.energy.rails.rail import COUNTER, Rail

Line = Tuple[str, ...]

# Two counters that may be one meter are one where their joules differ by less than this.
_SAME_PART, _SAME_JOULES = 0.01, 0.2


def total_lines(power: Power, labels: Sequence[str]) -> Tuple[Line, ...]:
    """The lines of the target's `total` whose rails are all among `labels`, patterns resolved.

    A label in a line may be a pattern (`package-*`). One that ends in `?` may be missing; it keeps
    its `?`, because it may also turn out to measure nothing.
    """
    lines = []
    for line in power.total:
        chosen: List[str] = []
        for wanted in line:
            suffix = "?" if wanted.endswith("?") else ""
            fits = [label for label in labels if fnmatch.fnmatchcase(label, wanted.rstrip("?"))]
            if not fits and not suffix:
                break
            chosen.extend(label + suffix for label in fits)
        else:
            lines.append(tuple(chosen))
    return tuple(lines)


def choose_total(
    lines: Sequence[Line], rails: Sequence[Rail], joules: Mapping[str, Optional[float]]
) -> Line:
    """The labels whose sum is the board's total: () where the target's data names none.

    It is the first line whose counters all count: a counter that does not move while others of its
    driver move measures nothing (many machines have a `psys` that is not wired). Of two counters that are
    one meter (see `Rail.same_as`) only the first is added.

    Args:
        joules: of each counter so far; all 0 or None where nothing is known yet.
    """
    still = standing_still(rails, {label for label, value in joules.items() if value})
    if len(still) == sum(rail.kind == COUNTER for rail in rails):
        still = set()  # nothing has moved yet
    first: Line = ()
    for line in lines:
        labels = tuple(entry.rstrip("?") for entry in line)
        first = first or labels
        if any(entry in still for entry in line):
            continue
        kept = [label for label in labels if label not in still]
        if kept:
            return tuple(label for label in kept if not _repeats(label, kept, rails, joules))
    return first


def standing_still(rails: Sequence[Rail], moved: AbstractSet[str]) -> AbstractSet[str]:
    """The counters that measure nothing: they did not move, and neither did the rail that feeds them.

    A part that does not move while its whole does (graphics that nobody uses) has used 0 J.
    """
    return {
        rail.label
        for rail in rails
        if rail.kind == COUNTER
        and rail.label not in moved
        and not any(fnmatch.fnmatchcase(label, rail.part_of or "") for label in moved)
    }


def _repeats(
    label: str, kept: Sequence[str], rails: Sequence[Rail], joules: Mapping[str, Optional[float]]
) -> bool:
    other = next(rail.same_as for rail in rails if rail.label == label)
    own, others = joules.get(label), joules.get(other or "")
    if other not in kept or not own or not others:
        return False
    return abs(own - others) <= _SAME_JOULES + _SAME_PART * max(own, others)


def add_up(total: Sequence[str], values: Dict[str, Optional[float]]) -> Optional[float]:
    """The sum of `values` over the labels of a total; None if one of them is missing."""
    parts = [values.get(label) for label in total]
    if not parts or any(part is None for part in parts):
        return None
    return sum(part for part in parts if part is not None)
