"""The energy of rails over windows, gross and net of idle power, with what a reader needs to judge it."""

from bisect import bisect_left, bisect_right
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.energy.joules import simpson as integrate
from splitwatt.energy.rails.rail import COUNTER, INSTANT, Rail, add_up, standing_still
from splitwatt.energy.trace.files import Trace
from splitwatt.energy.trace.readings import Readings, usable_readings

# A window with fewer distinct readings than this is refused.
LEAST_READINGS = 10
# Where a larger part of a window than this was not measured, it is not known what ran in it.
MOST_UNMEASURED = 0.01
# Simpson's rule is not used where it is further from the trapezoid than this many half-widths of the
# interval: almost equal times, or a long hole, make its weights arbitrarily large.
_TOO_FAR = 3.0

# The name of windows in which nothing runs.
IDLE = "idle"

Segments = List[Tuple[List[float], List[float]]]


class RailEnergy(NamedTuple):
    """One rail over one window.

    `joules` is by `method`: Simpson's rule (the trapezoid where the samples' times do not allow
    it), or the rectangle for an energy counter, which is exact for it; None where the window is
    `refused` (why, and `enough_s`, the duration that would be enough). `interval_joules` is the
    95 % interval of what happened between samples; `edge_joules` of it is what a sensor that
    averages may have taken from before the window. `joules_rectangle` is there for sensors that
    average. `covered_s` leaves out the gaps: nothing is interpolated across them. `effective_hz`
    counts distinct readings a second, `sampled_hz` samples a second.
    """

    label: str
    driver: str
    kind: str
    method: str
    window_s: Tuple[float, float]
    duration_s: float
    covered_s: float
    gap_s: float
    gaps: int
    readings: int
    effective_hz: float
    sampled_hz: Optional[float]
    period_s: Optional[float]
    largest_gap_s: Optional[float]
    excluded: Dict[str, int]
    joules: Optional[float] = None
    interval_joules: Optional[Tuple[float, float]] = None
    edge_joules: float = 0.0
    joules_simpson: Optional[float] = None
    joules_trapezoid: Optional[float] = None
    joules_rectangle: Optional[float] = None
    mean_watts: Optional[float] = None
    refused: Optional[str] = None
    enough_s: Optional[float] = None

    def refuse(self, why: str, enough_s: Optional[float] = None) -> "RailEnergy":
        """The same without joules."""
        kept = {name: getattr(self, name) for name in self._fields[: self._fields.index("joules")]}
        return RailEnergy(refused=why, enough_s=enough_s, mean_watts=self.mean_watts, **kept)


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


def rail_energy(
    readings: Readings, rail: Rail, start_s: float, end_s: float, feeder_moved: bool = False
) -> RailEnergy:
    """The energy of one rail between two moments of the trace's clock (s).

    An energy counter that did not move is 0 J only if `feeder_moved`: the counter of the rail that
    feeds it moved, then or in the window that this one is a piece of. Else it is refused.
    """
    counter = rail.kind == COUNTER
    pieces = _pieces(readings.segments, rail, start_s, end_s)
    counted = pieces
    if readings.counted is not readings.segments:
        counted = _pieces(readings.counted, rail, start_s, end_s)
    distinct = _count_distinct(readings, rail, start_s, end_s, feeder_moved)
    duration = end_s - start_s
    covered = sum(t[-1] - t[0] for t, _ in pieces)
    energy = RailEnergy(
        label=rail.label,
        driver=rail.driver,
        kind=rail.kind,
        method="rectangle" if counter else "simpson",
        window_s=(start_s, end_s),
        duration_s=duration,
        covered_s=covered,
        gap_s=max(0.0, duration - covered),
        gaps=sum(1 for a, b in readings.gaps if a < end_s and b > start_s),
        readings=distinct,
        effective_hz=distinct / duration if duration > 0 else 0.0,
        sampled_hz=readings.sampled_hz,
        period_s=readings.period_s,
        largest_gap_s=max((b - a for t, _ in counted for a, b in zip(t, t[1:])), default=None),
        excluded=dict(readings.excluded),
    )
    if distinct < LEAST_READINGS or not pieces:
        if counter and not distinct and pieces:
            return energy.refuse("%s: the counter did not move" % rail.label)
        return _too_few(energy, readings, rail)
    simpson = sum(integrate.simpson(t, w) for t, w in pieces)
    trapezoid = sum(integrate.trapezoid(t, w) for t, w in pieces)
    rectangle = sum(integrate.rectangle(t, w) for t, w in pieces)
    if counter:
        # Only the readings that the window's edges cut through are uncertain.
        cut = sum(w[1] * (t[1] - t[0]) + w[-1] * (t[-1] - t[-2]) for t, w in pieces)
        joules, low, high = rectangle, rectangle - cut, rectangle + cut
    else:
        middle = sum(integrate.trapezoid(t, w) for t, w in counted)
        error = sum(integrate.error(t, w) for t, w in counted)
        joules = simpson
        if abs(simpson - trapezoid) > _TOO_FAR * error + 1e-9 * abs(trapezoid):
            joules, energy = trapezoid, energy._replace(method="trapezoid")
        low, high = min(joules, middle - error), max(joules, middle + error)
    edge = _edge_joules(readings, rail, start_s, end_s)
    return energy._replace(
        joules=joules,
        interval_joules=(low - edge, high + edge),
        edge_joules=edge,
        joules_simpson=simpson,
        joules_trapezoid=trapezoid,
        joules_rectangle=rectangle if rail.kind != INSTANT else None,
        mean_watts=joules / covered,
    )


def _edge_joules(readings: Readings, rail: Rail, start_s: float, end_s: float) -> float:
    """How far a sensor that averages may be off, J: what it shows at the window's beginning is
    partly of before, and what it shows after the end is missing.

    For a sensor that averages over T the integral is off by T / 2 times the difference between the
    power before the window and at its end. That difference is the readings' spread around both
    edges; a reading may also be a period old.
    """
    span = rail.averaged_over_s
    if not span:
        return 0.0
    near = [
        watts
        for times, column in readings.segments
        for edge in (start_s, end_s)
        for watts in column[bisect_left(times, edge - span) : bisect_right(times, edge + span)]
    ]
    spread = max(near) - min(near) if near else 0.0
    return (span / 2 + (rail.period_s or 0.0)) * spread


def _pieces(segments: Segments, rail: Rail, start_s: float, end_s: float) -> Segments:
    pieces = []
    for times, watts in segments:
        low, high = max(start_s, times[0]), min(end_s, times[-1])
        if len(times) >= 2 and low < high:
            pieces.append(integrate.cut(times, watts, low, high, averages=rail.kind == COUNTER))
    return pieces


def _count_distinct(
    readings: Readings, rail: Rail, start_s: float, end_s: float, feeder_moved: bool
) -> int:
    inside = [
        (watts, bisect_left(times, start_s), bisect_right(times, end_s))
        for times, watts in readings.counted
    ]
    count = sum(high - low for _, low, high in inside)
    if rail.kind != COUNTER:
        return count
    moved = sum(1 for watts, low, high in inside for value in watts[low:high] if value > 0)
    return moved or (count if feeder_moved else 0)


def unmeasured(energy: RailEnergy) -> Optional[str]:
    """Why the joules that were measured are not the window's; None where they are."""
    if energy.gap_s <= MOST_UNMEASURED * energy.duration_s:
        return None
    return "%s: %.3g s of %.3g s were not measured" % (
        energy.label, energy.gap_s, energy.duration_s
    )  # fmt: skip


def _too_few(energy: RailEnergy, readings: Readings, rail: Rail) -> RailEnergy:
    """Refused, with the seconds in which `LEAST_READINGS` would have come, where that is known."""
    distinct, duration = energy.readings, energy.duration_s
    period = readings.period_s or rail.period_s
    if distinct >= 2 and duration > 0:
        period = max(period or 0.0, duration / distinct)
    elif period is None and readings.sampled_hz:
        period = 1.0 / readings.sampled_hz
    text = "%s has %d distinct reading%s in %.3g s, and %d are needed" % (
        rail.label, distinct, "" if distinct == 1 else "s", duration, LEAST_READINGS
    )  # fmt: skip
    if period is None:
        return energy.refuse(text)
    enough = period * (LEAST_READINGS + 1)
    return energy.refuse(text + ": %.3g s would be enough" % enough, enough)


def readings_of(trace: Trace) -> Dict[str, Readings]:
    """The usable readings of every rail of a trace, to be integrated over many windows."""
    return {
        rail.label: usable_readings(trace.times, column, rail, trace.period_s.get(rail.label))
        for rail, column in zip(trace.rails, trace.columns)
    }


def trace_energy(
    trace: Trace,
    start_s: Optional[float] = None,
    end_s: Optional[float] = None,
    readings: Optional[Dict[str, Readings]] = None,
) -> Dict[str, RailEnergy]:
    """The energy of every rail of a trace between two moments (None: where the trace ends).

    Args:
        readings: from `readings_of`, where the caller has them.
    """
    readings = readings or readings_of(trace)
    begin = min(trace.times, default=0.0) if start_s is None else start_s
    end = max(trace.times, default=0.0) if end_s is None else end_s
    moved = {
        rail.label
        for rail in trace.rails
        if rail.kind == COUNTER
        and _count_distinct(readings[rail.label], rail, begin, end, feeder_moved=False)
    }
    still = standing_still(trace.rails, moved)
    return {
        r.label: rail_energy(readings[r.label], r, begin, end, r.label not in still)
        for r in trace.rails
    }


def total_joules(total: Tuple[str, ...], rails: Dict[str, RailEnergy]) -> Optional[float]:
    """The board's joules: those of the rails that make its total; None where one is missing."""
    return add_up(total, {label: energy.joules for label, energy in rails.items()})


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
        rails: Dict[str, RailEnergy] = {}
        net: Dict[str, Optional[float]] = {}
        measured = trace_energy(trace, window.start_s, window.end_s, readings)
        for label, energy in measured.items():
            why = unmeasured(energy)
            if why is not None and energy.refused is None:
                energy = energy.refuse(why)
            rails[label] = energy
            joules, watts = energy.joules, idle[label]
            net[label] = None
            if joules is not None and watts is not None:
                net[label] = joules - watts * energy.covered_s
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
