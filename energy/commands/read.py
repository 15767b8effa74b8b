"""One reading of every rail, for people and for JSON."""

import time
from typing import Any, Dict, List, Optional

from splitwatt.energy.rails.opening import RailSet
from splitwatt.energy.rails.rail import COUNTER, Rail
from splitwatt.energy.rails.total import add_up

# An energy counter becomes a power over this time, s; one that stood still is asked so often.
_COUNTED_S = 0.1
_TRIES = 3


def read_once(rails: RailSet) -> Dict[str, Any]:
    """One reading as JSON: {"rails": [{"name", "watts", "total", ...}], "total_watts", ...}.

    `watts` is None where the reading failed or is flagged (`flag` says why). `total` is true for a
    rail that measures the whole board by itself; where several make the total they are `total_of`.
    """
    values, flags = _watts(rails)
    volts = rails.volts()
    by_label = {rail.label: value for rail, value in zip(rails.rails, values)}
    rows = []
    for rail, value, volt, flag in zip(rails.rails, values, volts, flags):
        rows.append(
            {
                "name": rail.label,
                "watts": value,
                "total": rails.total == (rail.label,),
                "volts": volt,
                "part_of": rail.part_of,
                "driver": rail.driver,
                "kind": rail.kind,
                "measures": rail.measures,
                "flag": flag,
            }
        )
    return {
        "target": rails.target,
        "provenance": rails.provenance,
        "driver": "+".join(sorted({rail.driver for rail in rails.rails})),
        "wall_s": time.time(),
        "rails": rows,
        "total_of": list(rails.total),
        "total_watts": add_up(rails.total, by_label),
        "tried": [dict(t._asdict()) for t in rails.tried],
    }


def _watts(rails: RailSet) -> Any:
    first, start = rails.read(), time.monotonic()
    if not any(rail.kind == COUNTER for rail in rails.rails):
        checked = [_checked(rail, value) for rail, value in zip(rails.rails, first)]
        return [c[0] for c in checked], [c[1] for c in checked]
    for _ in range(_TRIES):
        time.sleep(_COUNTED_S)
        second, now = rails.read(), time.monotonic()
        moved = {
            rail.driver
            for rail, a, b in zip(rails.rails, first, second)
            if rail.kind == COUNTER and a != b
        }
        if all(rail.driver in moved for rail in rails.rails if rail.kind == COUNTER):
            break
    values: List[Optional[float]] = []
    flags: List[Optional[str]] = []
    for rail, a, b in zip(rails.rails, first, second):
        if rail.kind != COUNTER:
            value, flag = _checked(rail, b)
        elif a is None or b is None:
            value, flag = None, "failed"
        elif rail.driver not in moved:
            # Not one counter of this driver moved: that is no power of 0 W, it is no reading.
            value, flag = None, "the counter stands still"
        else:
            value, flag = _checked(rail, (b - a) / (now - start))
        values.append(value)
        flags.append(flag)
    return values, flags


def _checked(rail: Rail, watts: Optional[float]) -> Any:
    if watts is None:
        return None, "failed"
    if watts < 0:
        return None, "negative: %.3f W" % watts
    if watts > rail.absurd_above_w:
        return None, "absurd: %.3f W" % watts
    return watts, None
