"""What is told of a rail's energy over a window, with everything a referee would ask for."""

from bisect import bisect_left, bisect_right
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.energy.joules import simpson as integrate
from splitwatt.energy.rails.rail import COUNTER, INSTANT, Rail
from splitwatt.energy.rails.total import add_up
from splitwatt.energy.trace.files import Trace
from splitwatt.energy.trace.readings import Readings, sound_readings

# A window with fewer distinct readings than this is refused.
LEAST_READINGS = 10
# Where a larger part of a window than this was not measured, nobody knows what ran in it.
MOST_UNMEASURED = 0.01

Segments = List[Tuple[List[float], List[float]]]


class RailEnergy(NamedTuple):
    """One rail over one window.

    `joules` is by `method`: Simpson's rule, or the rectangle for an energy counter, which is
    exact for it; None where the window is `refused` (why, and `enough_s`, the duration that
    would be enough). `interval_joules` is the 95 % interval of what happened between samples.
    `joules_rectangle` is there for sensors that average. `covered_s` leaves out the gaps:
    nothing is invented for them. `effective_hz` counts distinct readings a second,
    `sampled_hz` samples a second.
    """

    label: str
    driver: str
    kind: str
    joules: Optional[float]
    method: str
    interval_joules: Optional[Tuple[float, float]]
    joules_simpson: Optional[float]
    joules_trapezoid: Optional[float]
    joules_rectangle: Optional[float]
    mean_watts: Optional[float]
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
    refused: Optional[str]
    enough_s: Optional[float]


def rail_energy(
    readings: Readings, rail: Rail, start_s: float, end_s: float, driver_moved: bool = False
) -> RailEnergy:
    """The energy of one rail between two moments of the trace's clock (s).

    An energy counter that stood still is 0 J only if `driver_moved`: another counter of its driver
    moved, then or in the window that this one is a piece of. Else it is refused.
    """
    pieces = _pieces(readings.segments, rail, start_s, end_s)
    counted = pieces
    if readings.counted is not readings.segments:
        counted = _pieces(readings.counted, rail, start_s, end_s)
    distinct = _count_distinct(readings, rail, start_s, end_s, driver_moved)
    duration = end_s - start_s
    covered = sum(t[-1] - t[0] for t, _ in pieces)
    shared: Dict[str, Any] = {
        "label": rail.label,
        "driver": rail.driver,
        "kind": rail.kind,
        "method": "rectangle" if rail.kind == COUNTER else "simpson",
        "window_s": (start_s, end_s),
        "duration_s": duration,
        "covered_s": covered,
        "gap_s": max(0.0, duration - covered),
        "gaps": sum(1 for a, b in readings.gaps if a < end_s and b > start_s),
        "readings": distinct,
        "effective_hz": distinct / duration if duration > 0 else 0.0,
        "sampled_hz": readings.sampled_hz,
        "period_s": readings.period_s,
        "largest_gap_s": max((b - a for t, _ in counted for a, b in zip(t, t[1:])), default=None),
        "excluded": dict(readings.excluded),
    }
    if distinct < LEAST_READINGS or not pieces:
        still = rail.kind == COUNTER and not distinct and bool(pieces)
        enough = None if still else _enough(readings, rail, distinct, duration)
        refused = _refusal(rail, distinct, duration, enough)
        return RailEnergy(
            joules=None,
            interval_joules=None,
            joules_simpson=None,
            joules_trapezoid=None,
            joules_rectangle=None,
            mean_watts=None,
            refused="%s: the counter stood still" % rail.label if still else refused,
            enough_s=enough,
            **shared,
        )
    simpson = sum(integrate.simpson(t, w) for t, w in pieces)
    rectangle = sum(integrate.rectangle(t, w) for t, w in pieces)
    bounds = [integrate.interval(t, w) for t, w in counted]
    joules = rectangle if rail.kind == COUNTER else simpson
    low = min(joules, sum(b[0] for b in bounds))
    high = max(joules, sum(b[1] for b in bounds))
    if rail.kind == COUNTER:
        # Only the readings that the window's edges cut through are uncertain.
        cut = sum(w[1] * (t[1] - t[0]) + w[-1] * (t[-1] - t[-2]) for t, w in pieces)
        low, high = joules - cut, joules + cut
    return RailEnergy(
        joules=joules,
        interval_joules=(low, high),
        joules_simpson=simpson,
        joules_trapezoid=sum(integrate.trapezoid(t, w) for t, w in pieces),
        joules_rectangle=rectangle if rail.kind != INSTANT else None,
        mean_watts=joules / covered,
        refused=None,
        enough_s=None,
        **shared,
    )


def _pieces(segments: Segments, rail: Rail, start_s: float, end_s: float) -> Segments:
    pieces = []
    for times, watts in segments:
        low, high = max(start_s, times[0]), min(end_s, times[-1])
        if len(times) >= 2 and low < high:
            pieces.append(integrate.cut(times, watts, low, high, averages=rail.kind == COUNTER))
    return pieces


def _count_distinct(
    readings: Readings, rail: Rail, start_s: float, end_s: float, driver_moved: bool
) -> int:
    inside = [
        (watts, bisect_left(times, start_s), bisect_right(times, end_s))
        for times, watts in readings.counted
    ]
    count = sum(high - low for _, low, high in inside)
    if rail.kind != COUNTER:
        return count
    moved = sum(1 for watts, low, high in inside for value in watts[low:high] if value > 0)
    return moved or (count if driver_moved else 0)


def unmeasured(energy: RailEnergy) -> Optional[str]:
    """Why the joules of what was measured are not the window's; None where they are."""
    if energy.gap_s <= MOST_UNMEASURED * energy.duration_s:
        return None
    return "%s: %.3g s of %.3g s were not measured" % (
        energy.label, energy.gap_s, energy.duration_s
    )  # fmt: skip


def _enough(readings: Readings, rail: Rail, distinct: int, duration: float) -> Optional[float]:
    """The seconds in which `LEAST_READINGS` would have come; None: there is no telling."""
    period = readings.period_s or rail.period_s
    if distinct >= 2 and duration > 0:
        period = max(period or 0.0, duration / distinct)
    elif period is None and readings.sampled_hz:
        period = 1.0 / readings.sampled_hz
    return None if period is None else period * (LEAST_READINGS + 1)


def _refusal(rail: Rail, distinct: int, duration: float, enough: Optional[float]) -> str:
    text = "%s has %d distinct reading%s in %.3g s, and %d are needed" % (
        rail.label,
        distinct,
        "" if distinct == 1 else "s",
        duration,
        LEAST_READINGS,
    )
    return text if enough is None else text + ": %.3g s would be enough" % enough


def trace_energy(
    trace: Trace, start_s: Optional[float] = None, end_s: Optional[float] = None
) -> Dict[str, RailEnergy]:
    """The energy of every rail of a trace between two moments (None: where the trace ends)."""
    return energies(trace, readings_of(trace), start_s, end_s)


def readings_of(trace: Trace) -> Dict[str, Readings]:
    """The sound readings of every rail of a trace, to be integrated over many windows."""
    return {
        rail.label: sound_readings(trace.times, column, rail, trace.period_s.get(rail.label))
        for rail, column in zip(trace.rails, trace.columns)
    }


def energies(
    trace: Trace,
    readings: Dict[str, Readings],
    start_s: Optional[float] = None,
    end_s: Optional[float] = None,
) -> Dict[str, RailEnergy]:
    """Like `trace_energy`, with the readings found before."""
    begin = min(trace.times, default=0.0) if start_s is None else start_s
    end = max(trace.times, default=0.0) if end_s is None else end_s
    moved = {
        rail.driver
        for rail in trace.rails
        if rail.kind == COUNTER
        and _count_distinct(readings[rail.label], rail, begin, end, driver_moved=False)
    }
    return {
        r.label: rail_energy(readings[r.label], r, begin, end, r.driver in moved)
        for r in trace.rails
    }


def total_joules(total: Tuple[str, ...], rails: Dict[str, RailEnergy]) -> Optional[float]:
    """The board's joules: those of the rails that make its total; None where one is missing."""
    return add_up(total, {label: energy.joules for label, energy in rails.items()})
