"""Which samples of a trace count: unusable ones and repeats left out, missing time kept as gaps.

Repeats are dropped by the sensor's period, known or probed, and never because two values are equal:
a constant load gives equal values too. Where nothing is known of the sensor (a CSV from elsewhere)
its samples are integrated as they are; but if their changes keep to a grid they are counted by it,
so that a sensor that repeats itself is detected.
"""

import math
from typing import AbstractSet, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from splitwatt.energy.rails.rail import COUNTER, Rail

# A hole of more than this many sampling intervals (or sensor periods) is a gap: nothing is
# interpolated across it. In a shorter one, the neighbours replace one or two lost readings.
_BRIDGED = 3.5
# Where no row says that a reading failed, the hole must also be longer than this to be a gap, s: a
# busy machine samples late without having lost anything.
_LATE_S = 0.1
# So many intervals on either side of a hole say how fast the trace is there.
_AROUND = 5
# A period is detected only from this many changes of value, from enough of them that chance would put
# them on a grid less than once in a million times, and with this many samples a period.
_CHANGES = 6
_CHANCE = 1e-6
_SAMPLES_PER_PERIOD = 4.0
_LOOK_AT = 400
_LEVELS = 4


class Readings(NamedTuple):
    """The usable readings of a rail, in segments of (times, watts) without a gap inside, as they are
    integrated and, in `counted`, without any repeat; the gaps between them (start, end); how many
    samples were left out and why (`failed`, `negative`, `absurd`, `clock`); the sensor's period
    (s); how often it was sampled (Hz).
    """

    segments: List[Tuple[List[float], List[float]]]
    counted: List[Tuple[List[float], List[float]]]
    gaps: List[Tuple[float, float]]
    excluded: Dict[str, int]
    period_s: Optional[float]
    sampled_hz: Optional[float]


def usable_readings(
    times: Sequence[float],
    column: Sequence[Optional[float]],
    rail: Rail,
    period_s: Optional[float] = None,
) -> Readings:
    """The readings of one rail of a trace that are integrated.

    Args:
        times: seconds, as recorded.
        column: watts, None where the read failed.
        period_s: how often the sensor changes, known or probed; None: not known.
    """
    excluded = {"failed": 0, "negative": 0, "absurd": 0, "clock": 0}
    kept_t: List[float] = []
    kept_w: List[float] = []
    missing_before: Set[int] = set()
    last: Optional[float] = None
    broken = False
    for at, value in zip(times, column):
        late = last is not None and at <= last
        reason = "clock" if late else rail.unusable(value)
        if reason is not None:
            excluded[reason] += 1
            broken = True
            continue
        if broken:
            missing_before.add(len(kept_t))
        kept_t.append(at)
        kept_w.append(value)  # type: ignore[arg-type]
        last, broken = at, False
    step = _median_step(times)
    if rail.kind == COUNTER:
        # Every sample adds up: none is a repeat, and one after a gap covers the gap.
        by, period_s, holes = None, None, []
    else:
        by = estimate_period(kept_t, kept_w) or period_s
        holes = holes_of(kept_t, missing_before, max(step or 0.0, by or 0.0))
    segments: List[Tuple[List[float], List[float]]] = []
    gaps: List[Tuple[float, float]] = []
    begin = 0
    for i in holes:
        segments.append((kept_t[begin:i], kept_w[begin:i]))
        gaps.append((kept_t[i - 1], kept_t[i]))
        begin = i
    segments.append((kept_t[begin:], kept_w[begin:]))
    segments = [s for s in segments if s[0]]
    counted = segments
    if by is not None and step is not None:
        counted = [distinct(t, w, by, step) for t, w in segments]
    return Readings(
        segments=segments if period_s is None else counted,
        counted=counted,
        gaps=gaps,
        excluded=excluded,
        period_s=by,
        sampled_hz=1.0 / step if step else None,
    )


def holes_of(
    times: Sequence[float], failed: AbstractSet[int] = frozenset(), step_s: Optional[float] = None
) -> List[int]:
    """The places before which time is missing: rows that failed, or rows that are not there.

    Args:
        failed: the places before which a row failed.
        step_s: how often there should be a reading, s; None: as often as most are.
    """
    longest = _BRIDGED * ((_median_step(times) if step_s is None else step_s) or 0.0)
    holes = []
    for i in range(1, len(times)):
        hole = times[i] - times[i - 1]
        if hole <= longest:
            continue
        # A trace may change its rate: what counts is the rate on both sides of the hole.
        local = max(
            _median_step(times[max(0, i - 1 - _AROUND) : i]) or 0.0,
            _median_step(times[i : i + 1 + _AROUND]) or 0.0,
        )
        if i in failed or hole > max(_LATE_S, _BRIDGED * local):
            holes.append(i)
    return holes


def _median_step(times: Sequence[float]) -> Optional[float]:
    steps = sorted(b - a for a, b in zip(times, times[1:]) if b > a)
    return steps[len(steps) // 2] if steps else None


def distinct(
    times: Sequence[float], watts: Sequence[float], period_s: float, step_s: float
) -> Tuple[List[float], List[float]]:
    """The samples that are separate readings: the value changed, or a period has passed."""
    if not times:
        return [], []
    kept_t, kept_w = [times[0]], [watts[0]]
    updated = times[0]  # when the sensor is thought to have changed last
    for at, value in zip(times, watts):
        if value != kept_w[-1]:
            updated = at
        elif at >= updated + period_s + step_s:
            # It has changed in the meantime, to the same value.
            updated += period_s * int((at - step_s - updated) / period_s)
        else:
            continue
        if at > kept_t[-1]:
            kept_t.append(at)
            kept_w.append(value)
    # The last sample ends what is known: without it the trace would end up to a period early.
    if times[-1] > kept_t[-1]:
        kept_t.append(times[-1])
        kept_w.append(watts[-1])
    return kept_t, kept_w


def estimate_period(times: Sequence[float], watts: Sequence[float]) -> Optional[float]:
    """How often a sensor changes that was sampled faster than that, in seconds; None: not visible.

    Its changes of value must be on a grid, to within one sampling interval, all the time. A load
    that switches does not keep to a grid for long, and a constant load has no changes: for both of
    them this is None.
    """
    step = _median_step(times[:20000])
    changes: List[float] = []
    values = set()
    for i in range(1, len(times)):
        if watts[i] != watts[i - 1]:
            changes.append(times[i])
            values.add(watts[i])
            if len(changes) >= _LOOK_AT:
                break
    if step is None or len(changes) < _CHANGES:
        return None
    between = sorted(b - a for a, b in zip(changes, changes[1:]))
    period = between[len(between) // 10]
    if period < _SAMPLES_PER_PERIOD * step:
        return None
    by_chance = _tolerance(period, step) / period
    if by_chance >= 1 or len(changes) < 2 + math.log(_CHANCE) / math.log(by_chance):
        return None
    counts: List[int] = []
    for _ in range(5):
        counts = [max(1, int(round((b - a) / period))) for a, b in zip(changes, changes[1:])]
        period = (changes[-1] - changes[0]) / sum(counts)
    if len(values) < _LEVELS:
        return None  # a load that switches between few levels as regularly looks the same
    return period if _on_grid(changes, counts, period, step) else None


def _on_grid(changes: List[float], counts: List[int], period: float, step: float) -> bool:
    """Whether nine in ten changes are seen within a sampling interval after a grid's line."""
    at, offsets = 0, [0.0]
    for count, change in zip(counts, changes[1:]):
        at += count
        offsets.append(change - changes[0] - at * period)
    # The best line through the offsets takes out what is wrong with the period.
    n = len(offsets)
    mean_i, mean_o = (n - 1) / 2.0, sum(offsets) / n
    slope = sum((i - mean_i) * (o - mean_o) for i, o in enumerate(offsets))
    slope /= sum((i - mean_i) ** 2 for i in range(n))
    left = sorted(o - slope * i for i, o in enumerate(offsets))
    spread = left[int(0.95 * (n - 1))] - left[int(0.05 * (n - 1))]
    return spread <= _tolerance(period, step)


def _tolerance(period: float, step: float) -> float:
    """How far changes may be off a grid: a sampling interval, and the drift of the clocks, s."""
    return 1.3 * step + 0.03 * period
