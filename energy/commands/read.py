"""One reading of every rail, as text and as JSON."""

import time
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.energy.rail_set import RailSet
from splitwatt.energy.rails.rail import COUNTER
from splitwatt.energy.rails.total import add_up, standing_still

# An energy counter becomes a power over this time, s; number of tries while no counter moves.
_COUNTED_S = 0.1
_TRIES = 3
_STILL = "the counter does not move"


def read_once(rails: RailSet) -> Dict[str, Any]:
    """One reading as JSON: {"rails": [{"name", "watts", "total", ...}], "total_watts", ...}.

    `watts` is None where the reading failed or is flagged (`flag` says why). `total` is true for a
    rail that measures the whole board; where several make the total they are `total_of`.
    """
    values, flags, counted = _watts(rails)
    total = rails.total_of(counted)
    volts = rails.volts()
    by_label = {rail.label: value for rail, value in zip(rails.rails, values)}
    rows = []
    for rail, value, volt, flag in zip(rails.rails, values, volts, flags):
        rows.append(
            {
                "name": rail.label,
                "watts": value,
                "total": total == (rail.label,),
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
        "total_of": list(total),
        "total_watts": add_up(total, by_label),
        "tried": [dict(t._asdict()) for t in rails.tried],
    }


_Readings = Tuple[List[Optional[float]], List[Optional[str]], Dict[str, Optional[float]]]


def _watts(rails: RailSet) -> _Readings:
    """Each rail's watts, why they are None, and the joules that each counter counted."""
    counters = [rail.label for rail in rails.rails if rail.kind == COUNTER]
    first, start = rails.read(), time.monotonic()
    second, passed_s = first, 0.0
    counted: Dict[str, Optional[float]] = {}
    for _ in range(_TRIES if counters else 0):
        time.sleep(_COUNTED_S)
        second, passed_s = rails.read(), time.monotonic() - start
        counted = {
            rail.label: None if a is None or b is None else b - a
            for rail, a, b in zip(rails.rails, first, second)
            if rail.kind == COUNTER
        }
        moved = {label for label, joules in counted.items() if joules}
        drivers = {rail.driver for rail in rails.rails if rail.kind == COUNTER}
        if drivers == {rail.driver for rail in rails.rails if rail.label in moved}:
            break
    # That a counter has not moved is no power of 0 W, it is no reading.
    still = standing_still(rails.rails, {label for label, joules in counted.items() if joules})
    values: List[Optional[float]] = []
    flags: List[Optional[str]] = []
    for rail, reading in zip(rails.rails, second):
        if rail.kind == COUNTER:
            joules = counted[rail.label]
            reading = None if joules is None else joules / passed_s
        why = rail.unusable(reading)
        if why in ("negative", "absurd"):
            why = "%s: %.3f W" % (why, reading or 0.0)
        if why is None and rail.label in still:
            why = _STILL
        values.append(None if why else reading)
        flags.append(why)
    return values, flags, counted
