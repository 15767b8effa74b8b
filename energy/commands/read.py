"""One reading of every rail, as text and as JSON."""

import time
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.energy.rail_set import RailSet
from splitwatt.energy.rails.rail import COUNTER, add_up, standing_still

# An energy counter becomes a power over this time, s; number of tries while no counter moves.
_COUNTED_S = 0.1
_TRIES = 3
_STILL = "the counter does not move"


def read_once(rails: RailSet) -> Dict[str, Any]:
    """One reading as JSON: {"rails": [{"name", "watts", "total", ...}], "total_watts", ...}.

    `watts` is None where the reading failed or is flagged (`flag` says why). `total` is true for a
    rail that measures the whole board; where several make the total they are `total_of`.
    """
    readings, passed_s, counted = _readings(rails)
    total = rails.total_of(counted)
    # That a counter has not moved is no power of 0 W, it is no reading.
    still = standing_still(rails.rails, {label for label, joules in counted.items() if joules})
    watts: Dict[str, Optional[float]] = {}
    rows = []
    for rail, reading, volts in zip(rails.rails, readings, rails.volts()):
        if rail.kind == COUNTER:
            joules = counted[rail.label]
            reading = None if joules is None else joules / passed_s
        flag = rail.unusable(reading)
        if flag in ("negative", "absurd"):
            flag = "%s: %.3f W" % (flag, reading or 0.0)
        if flag is None and rail.label in still:
            flag = _STILL
        watts[rail.label] = None if flag else reading
        rows.append(
            {
                "name": rail.label,
                "watts": watts[rail.label],
                "total": total == (rail.label,),
                "volts": volts,
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
        "total_of": list(total),
        "total_watts": add_up(total, watts),
        "tried": [dict(t._asdict()) for t in rails.tried],
    }


def _readings(
    rails: RailSet,
) -> Tuple[List[Optional[float]], float, Dict[str, Optional[float]]]:
    """The last readings, the seconds since the first, and the joules that each counter counted."""
    counters = [rail for rail in rails.rails if rail.kind == COUNTER]
    first, start = rails.read(), time.monotonic()
    last, passed_s = first, 0.0
    counted: Dict[str, Optional[float]] = {}
    for _ in range(_TRIES if counters else 0):
        time.sleep(_COUNTED_S)
        last, passed_s = rails.read(), time.monotonic() - start
        counted = {
            rail.label: None if a is None or b is None else b - a
            for rail, a, b in zip(rails.rails, first, last)
            if rail.kind == COUNTER
        }
        moved = {rail.driver for rail in counters if counted[rail.label]}
        if moved == {rail.driver for rail in counters}:
            break
    return last, passed_s, counted
