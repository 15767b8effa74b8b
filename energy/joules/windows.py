"""The energy of named windows of a trace, gross and net of idle power."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.energy.joules.per_rail import (
    RailEnergy,
    energies,
    readings_of,
    total_joules,
    unmeasured,
)
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
    and both less what the idle board would have used in that time (None: no idle window).
    """

    window: Window
    rails: Dict[str, RailEnergy]
    total_joules: Optional[float]
    net_joules: Dict[str, Optional[float]]
    total_net_joules: Optional[float]


def window_energies(trace: Trace, windows: List[Window]) -> List[WindowEnergy]:
    """The energy of each window of a trace, gross and net of its `idle` windows' mean power.

    A rail of which more than a hundredth of a window was not measured has no joules in it.
    """
    readings = readings_of(trace)
    measured = [(w, energies(trace, readings, w.start_s, w.end_s)) for w in windows]
    idle = idle_watts(trace, readings, [(w.start_s, w.end_s) for w in windows if w.name == IDLE])
    results = []
    for window, energy_of in measured:
        rails = {label: _of_all(energy) for label, energy in energy_of.items()}
        net = {
            label: _less(energy.joules, idle.get(label), energy.covered_s)
            for label, energy in rails.items()
        }
        gross = total_joules(trace.total, rails)
        parts = [net.get(label) for label in trace.total]
        total_net = None if not parts or None in parts else sum(parts)  # type: ignore[arg-type]
        results.append(WindowEnergy(window, rails, gross, net, total_net))
    return results


def _of_all(energy: RailEnergy) -> RailEnergy:
    """Refused if more than a hundredth of the window was not measured."""
    why = unmeasured(energy)
    return energy if energy.refused is not None or why is None else energy.refuse(why)


def idle_watts(
    trace: Trace, readings: Dict[str, Readings], idle: Sequence[Tuple[float, float]]
) -> Dict[str, Optional[float]]:
    """Each rail's mean power over idle windows (start, end), W (None: refused in all of them).

    What a sensor that averages over many of its readings shows first is still of the work before:
    that much is left out, where enough readings remain.
    """
    lag_s = max([rail.averages_s or 0.0 for rail in trace.rails], default=0.0)
    windows = []
    for start_s, end_s in idle:
        whole = energies(trace, readings, start_s, end_s)
        late = (
            energies(trace, readings, start_s + lag_s, end_s) if lag_s < end_s - start_s else whole
        )
        windows.append({k: whole[k] if late[k].refused else late[k] for k in whole})
    means: Dict[str, Optional[float]] = {}
    for rail in trace.rails:
        watts = [energy[rail.label].mean_watts for energy in windows]
        known = [w for w in watts if w is not None]
        means[rail.label] = sum(known) / len(known) if known else None
    return means


def _less(joules: Optional[float], watts: Optional[float], seconds: float) -> Optional[float]:
    return None if joules is None or watts is None else joules - watts * seconds


def shifted(windows: Sequence[Window], offset_s: float) -> List[Window]:
    """Windows of our clock on the other machine's: to take its joules for our intervals."""
    return [Window(w.name, w.start_s + offset_s, w.end_s + offset_s) for w in windows]
