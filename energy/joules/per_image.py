"""Joules per image of a block: one configuration, or one stage, repeated after warm-up.

A Nano's sensor changes every 54 ms: a single inference is shorter than that and cannot be measured.
So a block is: the same work over and over, for ten seconds or more, and its joules are divided by
the number of inferences, which is the same for every configuration that is compared.

Where a part of the block was not measured, joules are those of the rest, and they are divided by
the inferences of the rest: as many as its share of the time. A block of which more than a hundredth
was not measured is refused: it is not known what ran in that part.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.joules.confidence import bootstrap_mean
from splitwatt.energy.joules.windows import (
    IDLE,
    LEAST_READINGS,
    RailEnergy,
    Window,
    WindowEnergy,
    rail_energy,
    readings_of,
    window_energies,
)
from splitwatt.energy.rails.rail import Rail
from splitwatt.energy.trace.files import read_trace
from splitwatt.energy.trace.readings import Readings

# The shortest block of which anything is claimed, s.
LEAST_BLOCK_S = 10.0
# A block is cut into at most this many equal pieces, whose spread gives the interval.
_PIECES = 20
_FEWEST_PIECES = 5


class Repetitions(NamedTuple):
    """How often something ran, and from when to when on the monotonic clock (s)."""

    repetitions: int
    start_s: float
    end_s: float


def repeat(
    stage: Callable[[], Any], least_s: float = LEAST_BLOCK_S, warmup: int = 2
) -> Repetitions:
    """Run one stage over and over.

    Args:
        least_s: run it for at least this long, s.
        warmup: runs that do not count, before.
    """
    for _ in range(warmup):
        stage()
    count = 0
    start = now = time.monotonic()
    while now - start < least_s or not count:
        stage()
        count += 1
        now = time.monotonic()
    return Repetitions(count, start, now)


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
        {"duration_s", "inferences", "provenance", "rails": {label: FIGURES}, "total": FIGURES with
        the "rails" that are added up, or None, "events" (how many of each kind)}. FIGURES: "joules"
        (of what was measured), "joules_per_image", "net_joules_per_image" (None: no idle window),
        "interval_joules_per_image" (95 %, bootstrap over equal pieces of the block, around
        "joules_per_image", and what a sensor that averages may be off at the block's edges; None:
        too few readings), "joules_per_image_of_pieces", "idle_watts", "excluded", "gap_s",
        "refused". All joules are None where the block was refused or more than a hundredth of it
        was not measured, which "refused" then says.
    """
    if inferences < 1:
        raise SensorError("a block without inferences has no joules per image")
    trace = read_trace(trace_path)
    readings = readings_of(trace)
    windows = [Window("", start_s, end_s)] + [Window(IDLE, start, end) for start, end in idle]
    block = window_energies(trace, windows, readings)[0]
    parts = {
        rail.label: _part(block, readings[rail.label], rail, inferences) for rail in trace.rails
    }
    total = None
    if trace.total:
        total = _figures([parts[label] for label in trace.total])
        total["rails"] = list(trace.total)
    kinds = [str(event.get("what")) for event in trace.metadata.get("events", ())]
    return {
        "duration_s": end_s - start_s,
        "inferences": inferences,
        "provenance": trace.metadata.get("provenance"),
        "rails": {label: _figures([part]) for label, part in parts.items()},
        "total": total,
        "events": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


class _Part(NamedTuple):
    """One rail of a block: its energy, gross, net and edge joules per image, idle power, and joules
    per image of equal pieces.
    """

    energy: RailEnergy
    gross: Optional[float]
    net: Optional[float]
    edge: float
    idle_w: Optional[float]
    pieces: List[float]


def _part(block: WindowEnergy, readings: Readings, rail: Rail, inferences: int) -> _Part:
    energy, net = block.rails[rail.label], block.net_joules[rail.label]
    idle_w = block.idle_watts[rail.label]
    if energy.joules is None:
        return _Part(energy, None, None, 0.0, idle_w, [])
    images = inferences * energy.covered_s / energy.duration_s
    return _Part(
        energy,
        energy.joules / images,
        None if net is None else net / images,
        energy.edge_joules / images,
        idle_w,
        _pieces(readings, rail, energy, inferences),
    )


def _pieces(readings: Readings, rail: Rail, energy: RailEnergy, inferences: int) -> List[float]:
    """Joules per image of equal pieces of the block, each with enough readings; [] if too few."""
    count = min(_PIECES, inferences, energy.readings // (LEAST_READINGS + 1))
    if count < _FEWEST_PIECES:
        return []
    start, end = energy.window_s
    step = (end - start) / count
    per_image_s = (end - start) / inferences
    pieces = [
        rail_energy(readings, rail, start + i * step, start + (i + 1) * step, feeder_moved=True)
        for i in range(count)
    ]
    if any(piece.mean_watts is None for piece in pieces):
        return []
    return [piece.mean_watts * per_image_s for piece in pieces if piece.mean_watts is not None]


def _figures(parts: List[_Part]) -> Dict[str, Any]:
    """The figures of one rail, or of several that are added up."""
    # The slowest rail, and the one with the most gaps, limit the sum.
    limits = max((part.energy for part in parts), key=lambda e: (e.gap_s, -e.effective_hz))
    gross = _sum([part.gross for part in parts])
    counts = {len(part.pieces) for part in parts}
    pieces = [sum(row) for row in zip(*[part.pieces for part in parts])]
    pieces = pieces if len(counts) == 1 else []
    return {
        "joules": _sum([part.energy.joules for part in parts]),
        "joules_per_image": gross,
        "net_joules_per_image": _sum([part.net for part in parts]),
        "interval_joules_per_image": _interval(gross, pieces, sum(part.edge for part in parts)),
        "joules_per_image_of_pieces": pieces,
        "idle_watts": _sum([part.idle_w for part in parts]),
        "excluded": limits.excluded,
        "gap_s": limits.gap_s,
        "refused": next((part.energy.refused for part in parts if part.energy.refused), None),
    }


def _interval(value: Optional[float], pieces: List[float], edge: float) -> Optional[List[float]]:
    """How far the pieces' mean may be off, around the block's own value, and its edges' doubt.

    The pieces' edges cut through the samples at other places than the block's, so that their mean
    is not exactly the block's value.
    """
    mean = bootstrap_mean(pieces)
    if value is None or mean is None or mean.interval is None:
        return None
    return [value + min(0.0, mean.interval[0] - mean.mean) - edge,
            value + max(0.0, mean.interval[1] - mean.mean) + edge]  # fmt: skip


def _sum(values: List[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
