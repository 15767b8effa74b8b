"""Joules per image of a block: one configuration, or one stage, repeated after warm-up.

A Nano's sensor changes every 54 ms: a single inference is shorter than that and cannot be measured.
So a block is: the same work over and over, for ten seconds or more, and its joules are divided by
the number of inferences, which is the same for every configuration that is compared.
"""

import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from device_configs.errors import SensorError
from energy.confidence import bootstrap_mean
from energy.monitor import EnergyMonitor, Window, idle_watts
from energy.readings import Readings
from energy.summary import LEAST_READINGS, RailEnergy, energies, rail_energy, readings_of
from energy.total import add_up
from energy.traces import Trace, read_trace

# The shortest block of which anything is claimed, s.
LEAST_BLOCK_S = 10.0
# A block is cut into at most so many equal pieces, whose spread gives the interval.
_PIECES = 20
_FEWEST_PIECES = 5


def repeat_stage(
    monitor: EnergyMonitor,
    name: str,
    stage: Callable[[], Any],
    least_s: float = LEAST_BLOCK_S,
    warmup: int = 2,
    inferences: Optional[int] = None,
) -> int:
    """Run one stage over and over as the window `name`; returns how often it ran in it.

    Args:
        least_s: for at least so long, s.
        warmup: runs before the window begins.
        inferences: exactly so often instead.
    """
    for _ in range(warmup):
        stage()
    count = 0
    monitor.begin(name)
    start = time.monotonic()
    while count < inferences if inferences else time.monotonic() - start < least_s:
        stage()
        count += 1
    monitor.end(name)
    return count


def block_energy(
    trace_path: str,
    start_s: float,
    end_s: float,
    inferences: int,
    idle: Sequence[Tuple[float, float]] = (),
) -> Dict[str, Any]:
    """Gross and net joules per image of one block, per rail and in total, as JSON.

    Args:
        trace_path: the block's trace, a run's `power/<block>.csv`.
        start_s, end_s: the block without its warm-up, on the trace's clock.
        inferences: how many there were in it.
        idle: windows of that trace in which the board did nothing, before and after.

    Returns:
        {"duration_s", "inferences", "provenance", "rails": {label: FIGURES}, "total": FIGURES or
        None, "events", "failed_reads"}. FIGURES: "joules", "joules_per_image",
        "net_joules_per_image" (None: no idle window), "interval_joules_per_image" (95 %, bootstrap
        over equal pieces of the block; None: too few readings), "pieces", "idle_watts",
        "effective_hz", "largest_gap_s", "excluded", "gap_s", "refused". All joules are None where
        the block was refused.
    """
    if inferences < 1:
        raise SensorError("a block without inferences has no joules per image")
    trace = read_trace(trace_path)
    readings = readings_of(trace)
    found = energies(trace, readings, start_s, end_s)
    idle_w = idle_watts([energies(trace, readings, a, b) for a, b in idle])
    rails: Dict[str, Dict[str, Any]] = {}
    pieces: Dict[str, List[float]] = {}
    for rail in trace.rails:
        energy = found[rail.label]
        pieces[rail.label] = _pieces(readings[rail.label], rail, energy, inferences)
        rails[rail.label] = _figures(
            energy.joules, idle_w.get(rail.label), energy, inferences, pieces[rail.label]
        )
    return {
        "duration_s": end_s - start_s,
        "inferences": inferences,
        "provenance": trace.metadata.get("provenance"),
        "rails": rails,
        "total": _total(trace, found, idle_w, pieces, inferences),
        "events": len(trace.metadata.get("events", ())),
        "failed_reads": sum(e.excluded["failed"] for e in found.values()),
    }


def _pieces(readings: Readings, rail: Any, energy: RailEnergy, inferences: int) -> List[float]:
    """Joules per image of equal pieces of the block, each with enough readings; [] of too few."""
    count = min(_PIECES, inferences, energy.readings // (LEAST_READINGS + 1))
    if energy.joules is None or count < _FEWEST_PIECES or energy.gap_s > 0.01 * energy.duration_s:
        return []
    start, end = energy.window_s
    step = (end - start) / count
    per_piece = [
        rail_energy(readings, rail, start + i * step, start + (i + 1) * step).joules
        for i in range(count)
    ]
    if None in per_piece:
        return []
    return [j * count / inferences for j in per_piece if j is not None]


def _figures(
    joules: Optional[float],
    idle: Optional[float],
    energy: RailEnergy,
    inferences: int,
    pieces: List[float],
) -> Dict[str, Any]:
    mean = bootstrap_mean(pieces)
    net = None if joules is None or idle is None else joules - idle * energy.covered_s
    return {
        "joules": joules,
        "joules_per_image": None if joules is None else joules / inferences,
        "net_joules_per_image": None if net is None else net / inferences,
        "interval_joules_per_image": list(mean.interval) if mean and mean.interval else None,
        "pieces": len(pieces),
        "idle_watts": idle,
        "effective_hz": energy.effective_hz,
        "largest_gap_s": energy.largest_gap_s,
        "excluded": energy.excluded,
        "gap_s": energy.gap_s,
        "refused": energy.refused,
    }


def _total(
    trace: Trace,
    found: Dict[str, RailEnergy],
    idle: Dict[str, Optional[float]],
    pieces: Dict[str, List[float]],
    inferences: int,
) -> Optional[Dict[str, Any]]:
    """The board's figures: the sum over the rails that make its total; None where none does."""
    if not trace.total:
        return None
    parts = [found[label] for label in trace.total if label in found]
    if len(parts) != len(trace.total):
        return None
    columns = [pieces[label] for label in trace.total]
    even = len({len(column) for column in columns}) == 1
    figures = _figures(
        add_up(trace.total, {label: energy.joules for label, energy in found.items()}),
        add_up(trace.total, idle),
        # The slowest rail, and the one with the most gaps, limit the sum.
        max(parts, key=lambda e: (e.gap_s, -e.effective_hz)),
        inferences,
        [sum(row) for row in zip(*columns)] if even else [],
    )
    refused = [e.refused for e in parts if e.refused]
    return dict(figures, rails=list(trace.total), refused=refused[0] if refused else None)


def waiting(idle_w: Optional[float], seconds: float) -> Dict[str, Any]:
    """The energy of waiting for a simulated link: idle power x time, which nobody measured.

    It stands apart from local joules: {"joules", "seconds", "provenance": "estimated"}.
    """
    joules = None if idle_w is None else idle_w * seconds
    return {"joules": joules, "seconds": seconds, "provenance": "estimated"}


def clock_offset(sent_s: float, received_s: float, answered_s: float, back_s: float) -> float:
    """The other machine's clock minus ours, from one exchange: ours at sending, theirs at receiving
    and at answering, ours when the answer is back (all s). Take it from the exchange with the
    shortest round trip."""
    return ((received_s - sent_s) + (answered_s - back_s)) / 2


def shifted(windows: Sequence[Window], offset_s: float) -> List[Window]:
    """Windows of our clock on the other machine's: to take its joules for our intervals."""
    return [Window(w.name, w.start_s + offset_s, w.end_s + offset_s) for w in windows]
