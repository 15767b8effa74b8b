"""How often does a sensor really change? It is read as fast as possible for a moment."""

import time
from typing import Dict, List, Optional, Tuple

from splitwatt.energy.rail_set import RailSet
from splitwatt.energy.rails.rail import COUNTER
from splitwatt.energy.trace.readings import estimate_period

# Between two reads of the probe, s: faster changes than every 4 ms are not seen.
_STEP_S = 0.001
_LONGEST_S = 4.0
_SHORTEST_S = 0.3
# A sensor changes, within the probe, about this often.
_CHANGES = 16
# Default sampling rates are in this range.
_FASTEST_HZ = 1000.0
_SLOWEST_HZ = 4.0
_UNKNOWN_HZ = 200.0
_COUNTER_HZ = 100.0


def probe_periods(rails: RailSet) -> Dict[str, Optional[float]]:
    """Each rail's period in seconds, None where it did not show (a constant load shows nothing).

    Takes about sixteen of the longest period that the target's YAML states, 0.3 to 4 s.
    """
    probed = [(i, rail) for i, rail in enumerate(rails.rails) if rail.kind != COUNTER]
    if not probed:
        return {}
    longest = max([rail.period_s or 0.0 for _, rail in probed])
    end = time.monotonic() + min(_LONGEST_S, max(_SHORTEST_S, _CHANGES * longest))
    rows: List[Tuple[float, List[Optional[float]]]] = []
    while time.monotonic() < end:
        rows.append((time.monotonic(), rails.read()))
        time.sleep(_STEP_S)
    periods: Dict[str, Optional[float]] = {}
    for i, rail in probed:
        read = [(at, watts[i]) for at, watts in rows if watts[i] is not None]
        periods[rail.label] = estimate_period([t for t, _ in read], [w for _, w in read])  # type: ignore[misc]
    return periods


def sampling_rate(rails: RailSet, probed: Dict[str, Optional[float]]) -> float:
    """Samples a second: twice the rate of the fastest sensor, as probed, else as known."""
    rates: List[float] = []
    for rail in rails.rails:
        period = probed.get(rail.label) or rail.period_s
        if rail.kind == COUNTER:
            rates.append(_COUNTER_HZ)  # nothing is lost between reads: it counts by itself
        elif period:
            rates.append(2.0 / period)
        else:
            rates.append(_UNKNOWN_HZ)
    return min(_FASTEST_HZ, max(_SLOWEST_HZ, max(rates)))
