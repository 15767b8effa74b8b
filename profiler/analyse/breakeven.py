"""The link rate, board speed or server speed at which two configurations take the same time, with
its interval.

Over each of the three a configuration takes `fixed + slope / x` seconds, so all three are one search.
"""

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.profiler.analyse.rates import LEVEL, Case, group_of, resample_scale, resampled

RATE, BOARD, SERVER = "rate_kbit_s", "board_speed", "server_speed"
# Each axis: the values that are searched. Speeds are multiples of the run's own machine.
AXES: Dict[str, Tuple[float, float]] = {RATE: (1e-3, 1e9), BOARD: (1e-4, 1e4), SERVER: (1e-4, 1e4)}
HIGHEST_KBIT_S = AXES[RATE][1]
# Halvings of an axis, in logarithms: to 1e-12 of the value, and of each resample's to 3e-5.
_STEPS, _STEPS_OF_RESAMPLES = 45, 20


class Setting(NamedTuple):
    """What a break-even is computed at; the value of its own axis does not matter."""

    rate_kbit_s: float = 1.0
    server_speed: float = 1.0
    board_speed: float = 1.0


class BreakEven(NamedTuple):
    """Two configurations and the value between them.

    Attributes:
        fast, other: above the value, `fast` is the faster one.
        backend: of both.
        axis: the quantity of `value`: "rate_kbit_s", "board_speed" or "server_speed".
        setting: the values of the other two.
        value: where both have the same median latency; None where one of them is the faster one
            everywhere.
        low, high: its 95 % bootstrap interval; None where it is open to that side.
        certain: the share of resamples that have such a value.
        sentence: what it means.
    """

    fast: str
    other: str
    backend: str
    axis: str
    setting: Setting
    value: Optional[float]
    low: Optional[float]
    high: Optional[float]
    certain: float
    sentence: str

    def to_json(self) -> Dict[str, object]:
        """The same as one flat object; the setting's value of the axis itself is null."""
        document: Dict[str, object] = dict(self._asdict())
        document.update(self.setting._asdict())
        del document["setting"]
        document[self.axis] = None
        return document


class Curve(NamedTuple):
    """The time of a configuration at x on an axis: `fixed_s + slope / x`, one array entry per
    sample."""

    name: str
    fixed_s: np.ndarray
    slope: np.ndarray


def _curve(case: Case, setting: Setting, axis: str) -> Curve:
    """Each part of the time belongs to one axis: that of the searched axis is the slope, the others
    are fixed."""
    parts = {RATE: case.bits / 1000, SERVER: case.server_s, BOARD: case.board_s}
    fixed = case.rest_s + sum(
        parts[name] / value for name, value in setting._asdict().items() if name != axis
    )
    return Curve(case.config, fixed, parts[axis])


def break_even(one: Case, two: Case, setting: Setting, axis: str = RATE) -> BreakEven:
    """The value of an axis at which the medians of two configurations are the same.

    Both latencies fall along the axis; the one with the larger slope falls further, so that it
    is the faster one above the value, if there is one.
    """
    more, less = _curve(one, setting, axis), _curve(two, setting, axis)
    if np.median(more.slope) < np.median(less.slope):
        more, less = less, more
    all_more, all_less = (np.arange(len(c.fixed_s))[None, :] for c in (more, less))
    lowest, highest = AXES[axis]
    whole = _values(more, less, all_more, all_less, axis, _STEPS)[0]
    values = _values(
        more, less, resampled(len(more.fixed_s)), resampled(len(less.fixed_s)), axis,
        _STEPS_OF_RESAMPLES,
    )  # fmt: skip
    inside = (values > lowest) & (values < highest)
    # Quantiles that are values themselves: nothing lies between a value and a missing one.
    ends_at = [round((len(values) - 1) * part) for part in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    low, high = np.sort(values)[ends_at]
    if lowest < whole < highest:
        # The resamples' values are coarser: each end is compared with a whole that is as coarse.
        coarse = _values(more, less, all_more, all_less, axis, _STEPS_OF_RESAMPLES)[0]
        scale = resample_scale(len(more.fixed_s), len(less.fixed_s))
        low, high = (
            whole * (end / coarse) ** scale if lowest < end < highest else end
            for end in (low, high)
        )
    ends = [float(v) if lowest < v < highest else None for v in (whole, low, high)]
    return BreakEven(
        more.name, less.name, one.backend, axis, setting, ends[0], ends[1], ends[2],
        float(np.mean(inside)), _sentence(more.name, less.name, float(whole), axis, setting),
    )  # fmt: skip


def pairs(all_cases: Sequence[Case], server_speed: float = 1.0) -> List[Tuple[Case, Case]]:
    """The default pairs: the best of each group with each other, and
    every split configuration with the fastest local one.
    """
    local = [case for case in all_cases if not case.split]
    split = [case for case in all_cases if case.split]
    fastest = min(local, key=lambda c: c.median_s(HIGHEST_KBIT_S, server_speed)) if local else None
    chosen = [(case, fastest) for case in split if fastest is not None]
    groups: List[str] = []
    for case in split:
        if group_of(case.config) not in groups:
            groups.append(group_of(case.config))
    best = [
        min((c for c in split if group_of(c.config) == g), key=lambda c: float(np.median(c.bits)))
        for g in groups
    ]
    chosen += [(a, b) for i, a in enumerate(best) for b in best[i + 1 :]]
    return [(a, b) for a, b in chosen if b is not None]


def _values(
    more: Curve, less: Curve, more_at: np.ndarray, less_at: np.ndarray, axis: str, steps: int
) -> np.ndarray:
    """The value of each resample, by bisection; an end of the axis if none breaks even."""
    more_s, less_s = _medians(more, more_at), _medians(less, less_at)

    def gap(log: np.ndarray) -> np.ndarray:
        """Seconds that `more` takes longer, of each resample at its own value."""
        value = np.exp(log)[:, None]
        longer: np.ndarray = more_s(value) - less_s(value)
        return longer

    lowest, highest = AXES[axis]
    low, high = (np.full(len(more_at), np.log(end)) for end in (lowest, highest))
    never = gap(high) >= 0
    always = gap(low) <= 0
    for _ in range(steps):
        middle = (low + high) / 2
        slower = gap(middle) > 0
        low, high = np.where(slower, middle, low), np.where(slower, high, middle)
    values = np.exp(high)
    values[never] = highest
    values[always & ~never] = lowest
    return np.asarray(values)


def _medians(curve: Curve, at: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that returns the median seconds of each resample at its own value."""
    fixed, slope = curve.fixed_s[at], curve.slope[at]
    if not slope.any():  # as of local computing over the rate: one median for every value
        constant = np.median(fixed, axis=1)
        return lambda value: constant
    count = fixed.shape[1]
    middle = [(count - 1) // 2, count // 2]
    times = np.empty_like(fixed)

    def medians(value: np.ndarray) -> np.ndarray:
        # In place: np.median would copy a thousand resamples twice at each of twenty steps.
        np.add(np.divide(slope, value, out=times), fixed, out=times)
        times.partition(middle, axis=1)
        return np.asarray(times[:, middle].mean(axis=1))

    return medians


def _sentence(more: str, less: str, value: float, axis: str, setting: Setting) -> str:
    everywhere, between = _WORDS[axis]
    at = "" if axis == RATE else " at %.4g kbit/s" % setting.rate_kbit_s
    lowest, highest = AXES[axis]
    if value >= highest:
        return "%s is slower than %s %s%s" % (more, less, everywhere, at)
    if value <= lowest:
        return "%s is faster than %s %s%s" % (more, less, everywhere, at)
    # A board is read from its slow end: there the one with less work on it wins.
    one, two = (less, more) if axis == BOARD else (more, less)
    return "%s is faster than %s %s%s" % (one, two, between % value, at)


_WORDS = {
    RATE: ("at any rate", "from %.4g kbit/s on"),
    BOARD: ("on a board of any speed", "on boards slower than %.3g times the run's"),
    SERVER: ("with a server of any speed", "with servers faster than %.3g times the run's"),
}
