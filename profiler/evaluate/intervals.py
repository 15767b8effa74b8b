"""Intervals: how uncertain a figure is, given its images."""

import math
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

_Z = 1.959963984540054  # of 95 %
_RESAMPLES = 1000
_GROUPS = 20
# Student's t of 95 % at _GROUPS - 1 degrees of freedom.
_T = 2.093024054408263

Figure = Dict[str, Any]


def share(hits: int, count: int) -> Figure:
    """A percentage with Wilson's interval (Wilson 1927), which holds for few images and for 0 and 100 %."""
    p, z2 = hits / count, _Z * _Z
    middle = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(p * (1 - p) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return _figure(100 * p, count, 100 * low, 100 * high, "95 % Wilson")


def mean(values: Sequence[float]) -> Figure:
    """A mean with the percentile bootstrap's interval; a single value has no interval."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return {"value": float(array.mean()), "n": len(array)}
    means = bootstrap(len(array), lambda weights: weights @ array / len(array))
    return resampled(float(array.mean()), len(array), means, "the mean")


def bootstrap(count: int, statistic: Callable[[np.ndarray], Any]) -> np.ndarray:
    """A statistic over resampled images.

    Args:
        count: of images.
        statistic: takes how often each image was drawn, int (count,).
    """
    random = np.random.RandomState(2025)
    draws = (random.multinomial(count, np.full(count, 1 / count)) for _ in range(_RESAMPLES))
    return np.array([statistic(draw) for draw in draws])


def resampled(value: float, count: int, values: np.ndarray, what: str) -> Figure:
    """A figure with the percentiles of its values over resampled images."""
    low, high = np.percentile(values, [2.5, 97.5])
    return _figure(value, count, low, high, "95 % bootstrap of " + what)


def jackknife(value: float, count: int, without: Callable[[List[int]], Optional[float]]) -> Figure:
    """A figure with the delete-a-group jackknife's interval, where resampling would be too slow.

    Args:
        value: over all images.
        count: of images.
        without: the figure without the images at these places; None: undefined without them.
    """
    if count < 2 * _GROUPS:
        return {"value": value, "n": count}
    groups = np.array_split(np.random.RandomState(2025).permutation(count), _GROUPS)
    values = [without(group.tolist()) for group in groups]
    if None in values:
        return {"value": value, "n": count}
    parts = np.array(values)
    error = math.sqrt((_GROUPS - 1) / _GROUPS * float(((parts - parts.mean()) ** 2).sum()))
    low, high = max(0.0, value - _T * error), min(100.0, value + _T * error)
    return _figure(value, count, low, high, "95 %% jackknife of %d groups" % _GROUPS)


def _figure(value: float, count: int, low: float, high: float, interval: str) -> Figure:
    ends = {"low": float(low), "high": float(high)}
    return {"value": value, "n": count, **ends, "interval": interval}
