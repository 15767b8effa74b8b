"""What sampling itself draws: power with the sampler at work less power with it almost at rest."""

import time
from typing import Any, Dict, Optional

from splitwatt.energy.joules.summary import LEAST_READINGS, trace_energy
from splitwatt.energy.monitor import EnergyMonitor

# "Off" still has to read the sensor now and then: so often, and so many readings at least.
_OFF_HZ = 2.0


def sampler_power(
    sources: Dict[str, Any], seconds: float, hz: Optional[float] = None
) -> Dict[str, Any]:
    """The power change between sampler off and on, W, over `seconds` each.

    A power sensor cannot be read without reading it: "off" is two readings a second. An energy
    counter needs no more than that to be exact.

    Returns:
        {"on_watts", "off_watts", "change_watts": {label: W or None}, "off_hz", "seconds"}.
    """
    seconds = max(seconds, (LEAST_READINGS + 2) / _OFF_HZ)
    off = _mean_watts(sources, seconds, _OFF_HZ)
    on = _mean_watts(sources, seconds, hz)
    change: Dict[str, Optional[float]] = {}
    for label, watts in on.items():
        before = off.get(label)
        change[label] = None if watts is None or before is None else watts - before
    return {
        "on_watts": on,
        "off_watts": off,
        "change_watts": change,
        "off_hz": _OFF_HZ,
        "seconds": seconds,
    }


def _mean_watts(
    sources: Dict[str, Any], seconds: float, hz: Optional[float]
) -> Dict[str, Optional[float]]:
    monitor = EnergyMonitor(hz=hz, **sources)
    try:
        with monitor:
            time.sleep(seconds)
        return {label: energy.mean_watts for label, energy in trace_energy(monitor.trace()).items()}
    finally:
        monitor.close()
