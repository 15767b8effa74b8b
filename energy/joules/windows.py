"""The energy of named windows of a trace, gross and net of idle power."""

from typing import Dict, List, NamedTuple, Optional, Sequence

from splitwatt.energy.joules.per_rail import (
    RailEnergy,
    readings_of,
    total_joules,
    trace_energy,
    unmeasured,
)
from splitwatt.energy.rails.total import add_up
from splitwatt.energy.trace.files import Trace
from splitwatt.energy.trace.readings import Readings

# The name of windows in which nothing runs.
IDLE = "idle"


class Window(NamedTuple):
    """A named interval of the monotonic clock, seconds."""

    name: str
    start_s: float
    end_s: float


class WindowEnergy(NamedTuple):
    """The energy of one window: each rail's, the board's total (None: refused or not measured),
    both less what the idle board would have used in that time (None: no idle window), and each
    rail's idle power, W.
    """

    window: Window
    rails: Dict[str, RailEnergy]
    total_joules: Optional[float]
    net_joules: Dict[str, Optional[float]]
    total_net_joules: Optional[float]
    idle_watts: Dict[str, Optional[float]]


def window_energies(
    trace: Trace, windows: Sequence[Window], readings: Optional[Dict[str, Readings]] = None
) -> List[WindowEnergy]:
    """The energy of each window of a trace, gross and net of its `idle` windows' mean power.

    A rail of which more than a hundredth of a window was not measured has no joules in it.

    Args:
        readings: from `readings_of`, where the caller has them.
    """
    readings = readings or readings_of(trace)
    idle = _idle_watts(trace, readings, [window for window in windows if window.name == IDLE])
    results = []
    for window in windows:
        rails, net = {}, {}
        measured = trace_energy(trace, window.start_s, window.end_s, readings)
        for label, energy in measured.items():
            why = unmeasured(energy)
            if why is not None and energy.refused is None:
                energy = energy.refuse(why)
            rails[label] = energy
            joules, watts = energy.joules, idle[label]
            known = joules is not None and watts is not None
            net[label] = joules - watts * energy.covered_s if known else None  # type: ignore[operator]
        gross, total_net = total_joules(trace.total, rails), add_up(trace.total, net)
        results.append(WindowEnergy(window, rails, gross, net, total_net, idle))
    return results


def _idle_watts(
    trace: Trace, readings: Dict[str, Readings], idle: Sequence[Window]
) -> Dict[str, Optional[float]]:
    """Each rail's mean power over idle windows, W (None: refused in all of them).

    What a sensor that averages over many of its readings shows first is still of the work before:
    that much is left out, where enough readings remain.
    """
    lag_s = max([rail.averages_s or 0.0 for rail in trace.rails], default=0.0)
    known: Dict[str, List[float]] = {rail.label: [] for rail in trace.rails}
    for _, start_s, end_s in idle:
        whole = late = trace_energy(trace, start_s, end_s, readings)
        if lag_s < end_s - start_s:
            late = trace_energy(trace, start_s + lag_s, end_s, readings)
        for label, watts in known.items():
            mean = (whole if late[label].refused else late)[label].mean_watts
            if mean is not None:
                watts.append(mean)
    return {label: sum(watts) / len(watts) if watts else None for label, watts in known.items()}
