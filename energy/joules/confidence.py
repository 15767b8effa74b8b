"""Confidence intervals by the bootstrap, in plain Python."""

import math
import random
from typing import NamedTuple, Optional, Sequence, Tuple

# With fewer repetitions than this an interval would be a pretence.
LEAST_REPETITIONS = 5
_TAIL, _SEED = 0.025, 2025


class Mean(NamedTuple):
    """A mean, the standard deviation of one value (None with one), the 95 % interval of the mean
    (None with fewer than five values), and how many values there were.
    """

    mean: float
    deviation: Optional[float]
    interval: Optional[Tuple[float, float]]
    repetitions: int


def bootstrap_mean(values: Sequence[float], resamples: int = 2000) -> Optional[Mean]:
    """The mean of `values` and its 95 % interval (percentiles of resampled means); None of no values.

    Percentiles of a small sample's resampled means are too narrow by sqrt(n / (n - 1)): the
    interval is widened by that.
    """
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Mean(mean, None, None, 1)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    if n < LEAST_REPETITIONS:
        return Mean(mean, deviation, None, n)
    choices = random.Random(_SEED).choices
    means = sorted(math.fsum(choices(values, k=n)) / n for _ in range(resamples))
    widen = math.sqrt(n / (n - 1.0))
    low = mean + (quantile_of_sorted(means, _TAIL) - mean) * widen
    high = mean + (quantile_of_sorted(means, 1 - _TAIL) - mean) * widen
    return Mean(mean, deviation, (low, high), n)


def quantile_of_sorted(ordered: Sequence[float], part: float) -> float:
    """Of sorted values, at a share from 0 to 1, linear between its neighbours."""
    at = part * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
