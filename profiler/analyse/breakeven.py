"""The link rate at which two configurations take the same time, and how sure it is."""

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.profiler.analyse.rates import LEVEL, Case, group_of, resampled

LOWEST_KBIT_S, HIGHEST_KBIT_S = 1e-3, 1e9
_STEPS = 45


class BreakEven(NamedTuple):
    """Two configurations and the rate between them.

    Attributes:
        fast, other: above the rate, `fast` is the faster one.
        kbit_s: the rate; None where one of them is the faster one at every rate.
        low_kbit_s, high_kbit_s: its 95 % bootstrap interval; None where it is open to that side.
        certain: the part of resamples in which there is such a rate.
        sentence: what it means.
    """

    fast: str
    other: str
    backend: str
    speed: float
    kbit_s: Optional[float]
    low_kbit_s: Optional[float]
    high_kbit_s: Optional[float]
    certain: float
    sentence: str


class Curve(NamedTuple):
    """What a configuration takes at any rate: an array entry a sample."""

    name: str
    fixed_s: np.ndarray
    bits: np.ndarray


def break_even(one: Case, two: Case, speed: float) -> BreakEven:
    """The rate at which the medians of two configurations are the same, at a server speed."""
    return _between(_curve(one, speed), _curve(two, speed), one.backend, speed)


def rate_between(split: Sequence[Tuple[float, float]], local_s: Sequence[float]) -> BreakEven:
    """The link rate from which on a split configuration is faster than a local one, and how sure.

    Args:
        split: of each sample, the seconds as measured and the bits that the link is charged with.
        local_s: the seconds of each sample of the local one.
    """
    seconds, bits = np.array(split, dtype=float).T
    local = np.array(local_s, dtype=float)
    return _between(Curve("it", seconds, bits), Curve("the local one", local, 0.0 * local), "", 1.0)


def _curve(case: Case, speed: float) -> Curve:
    return Curve(case.config, case.rest_s + case.server_s / speed, case.bits)


def _between(one: Curve, two: Curve, backend: str, speed: float) -> BreakEven:
    """Both latencies fall with the rate; the one with more bits falls further, so that it is the
    faster one above the rate, if there is one.
    """
    more, less = (one, two) if np.median(one.bits) >= np.median(two.bits) else (two, one)
    all_more, all_less = (np.arange(len(c.fixed_s))[None, :] for c in (more, less))
    whole = _rates(more, less, all_more, all_less)[0]
    rates = _rates(more, less, resampled(len(more.fixed_s)), resampled(len(less.fixed_s)))
    inside = (rates > LOWEST_KBIT_S) & (rates < HIGHEST_KBIT_S)
    low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], **_as_they_are())
    return BreakEven(
        more.name, less.name, backend, speed, _closed(whole), _closed(low), _closed(high),
        float(np.mean(inside)), _sentence(more.name, less.name, float(whole)),
    )  # fmt: skip


def pairs(all_cases: Sequence[Case], speed: float) -> List[Tuple[Case, Case]]:
    """The default pairs: the best of each group with each other, and
    every split configuration with the fastest local one.
    """
    local = [case for case in all_cases if not case.split]
    split = [case for case in all_cases if case.split]
    fastest = min(local, key=lambda c: c.median_s(HIGHEST_KBIT_S, speed)) if local else None
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


def _rates(more: Curve, less: Curve, more_at: np.ndarray, less_at: np.ndarray) -> np.ndarray:
    """The rate of each resample, by halving; an end of the range where no rate breaks even."""
    more_s, less_s = _medians(more, more_at), _medians(less, less_at)

    def gap(log: np.ndarray) -> np.ndarray:
        """Seconds that `more` takes longer, of each resample at its own rate."""
        rate = 1000.0 * np.exp(log)[:, None]
        longer: np.ndarray = more_s(rate) - less_s(rate)
        return longer

    count = len(more_at)
    low = np.full(count, np.log(LOWEST_KBIT_S))
    high = np.full(count, np.log(HIGHEST_KBIT_S))
    never = gap(high) >= 0
    always = gap(low) <= 0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        slower = gap(middle) > 0
        low, high = np.where(slower, middle, low), np.where(slower, high, middle)
    rates = np.exp(high)
    rates[never] = HIGHEST_KBIT_S
    rates[always & ~never] = LOWEST_KBIT_S
    return np.asarray(rates)


def _medians(curve: Curve, at: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What gives the median seconds of each resample at its own bit/s."""
    fixed, bits = curve.fixed_s[at], curve.bits[at]
    if not bits.any():  # it sends nothing: one median for every rate
        local = np.median(fixed, axis=1)
        return lambda rate: local
    return lambda rate: np.median(fixed + bits / rate, axis=1)


def _as_they_are() -> dict:  # type: ignore[type-arg]
    """Quantiles among the values: between a rate and no rate there is nothing."""
    new = tuple(int(n) for n in np.__version__.split(".")[:2]) >= (1, 22)
    return {"method": "nearest"} if new else {"interpolation": "nearest"}


def _closed(rate: float) -> Optional[float]:
    return float(rate) if LOWEST_KBIT_S < rate < HIGHEST_KBIT_S else None


def _sentence(more: str, less: str, rate: float) -> str:
    if rate >= HIGHEST_KBIT_S:
        return "%s is slower than %s at any rate" % (more, less)
    if rate <= LOWEST_KBIT_S:
        return "%s is faster than %s at any rate" % (more, less)
    return "%s is faster than %s from %.4g kbit/s on" % (more, less, rate)
