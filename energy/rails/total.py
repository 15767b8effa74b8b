"""What the board's total is made of: data in the target's YAML, never a guess."""

import fnmatch
from typing import Dict, List, Optional, Sequence, Tuple

from splitwatt.device_configs.targets import Power


def total_of(power: Power, labels: Sequence[str]) -> Tuple[str, ...]:
    """The labels whose sum is the board's total: () where the target's data tells none.

    The first line of the target's `total` whose rails are all among `labels` counts; a label there
    may be a pattern (`package-*`) and may be missing if it ends in `?`.
    """
    for line in power.total:
        chosen: List[str] = []
        for wanted in line:
            fits = [label for label in labels if fnmatch.fnmatchcase(label, wanted.rstrip("?"))]
            if not fits and not wanted.endswith("?"):
                break
            chosen.extend(label for label in fits if label not in chosen)
        else:
            return tuple(chosen)
    return ()


def add_up(total: Sequence[str], values: Dict[str, Optional[float]]) -> Optional[float]:
    """The sum of `values` over the labels of a total; None if one of them is missing."""
    parts = [values.get(label) for label in total]
    if not parts or any(part is None for part in parts):
        return None
    return sum(part for part in parts if part is not None)
