"""Statistics of the times of many samples: quantiles, their bounds, and outliers.

Plain Python, for boards too. Intervals and bounds come from order statistics and the binomial
distribution, so they hold for a distribution of any shape; they do assume independent samples.
"""

import math
from typing import NamedTuple, Optional, Sequence, Tuple

from splitwatt.energy.joules.confidence import quantile_of_sorted
from splitwatt.profiler.records.fields import field, record

LEVEL = 0.95
# MLPerf's load generator, early stopping: bounds hold with this confidence.
BOUND_CONFIDENCE = 0.99
# Tukey: a value further than this many interquartile ranges outside the quartiles is "far out". It
# stays in every figure: a rule cannot know whether it was a fault.
FENCE = 3.0
_LEAST_FOR_FENCES = 8
_NEGLIGIBLE = 1e-18


@record("what the times of a configuration say")
class Spread(NamedTuple):
    """The times of one configuration."""

    samples: int = field("the samples of a configuration that count")
    p50_s: float = field("their median")
    p90_s: float = field("the time that 90 % of them stay below")
    p99_s: float = field("the time that 99 % of them stay below")
    p50_low_s: Optional[float] = field(
        "lower end of the median's 95 % interval, an order statistic; null of fewer than 6"
    )
    p50_high_s: Optional[float] = field("upper end of the same")
    p50_relative_width: Optional[float] = field("half the interval's width over the median")
    p90_bound_s: Optional[float] = field(
        "what the true p90 stays below with 99 % confidence, by MLPerf's early stopping; null of "
        "fewer than 64"
    )
    p99_bound_s: Optional[float] = field("the same of p99; null of fewer than 662")
    outliers: Optional[int] = field(
        "further than three interquartile ranges outside the quartiles (Tukey's far out); they "
        "count; null of fewer than 8"
    )


def spread(values: Sequence[float]) -> Optional[Spread]:
    """Quantiles of `values`, the median's interval and the upper bounds; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    low, high = interval(ordered, 0.5, LEVEL) or (None, None)
    first, middle, third = (quantile_of_sorted(ordered, p) for p in (0.25, 0.5, 0.75))
    reach = FENCE * (third - first)
    outliers = sum(not first - reach <= value <= third + reach for value in ordered)
    return Spread(
        len(ordered), middle, quantile_of_sorted(ordered, 0.9), quantile_of_sorted(ordered, 0.99),
        low, high, relative_width(ordered),
        bound(ordered, 0.9, BOUND_CONFIDENCE), bound(ordered, 0.99, BOUND_CONFIDENCE),
        outliers if len(ordered) >= _LEAST_FOR_FENCES else None,
    )  # fmt: skip


def quantile(values: Sequence[float], p: float) -> float:
    """The p-quantile, between neighbours on a straight line (NumPy's default)."""
    return quantile_of_sorted(sorted(values), p)


def relative_width(values: Sequence[float], level: float = LEVEL) -> Optional[float]:
    """Half the width of the median's interval over the median; None where there is no interval."""
    ordered = sorted(values)
    ends = interval(ordered, 0.5, level)
    if ends is None or quantile_of_sorted(ordered, 0.5) <= 0:
        return None
    return (ends[1] - ends[0]) / (2 * quantile_of_sorted(ordered, 0.5))


def interval(ordered: Sequence[float], p: float, level: float) -> Optional[Tuple[float, float]]:
    """Two of the ordered values that enclose the p-quantile with at least that confidence; None
    where there are too few values.
    """
    n, tail = len(ordered), (1 - level) / 2
    # The number of values below the quantile is seldom less than `low` or more than `high`.
    low = _last_below(n, p, tail)
    high = n - 1 - _last_below(n, 1 - p, tail)
    if low < 0 or high >= n:
        return None
    return ordered[low], ordered[high]


def bound(ordered: Sequence[float], p: float, confidence: float) -> Optional[float]:
    """What the p-quantile stays below with that confidence, by MLPerf's early stopping.

    The t-th largest of n values, t being the largest number such that t or fewer of n values lie
    above the true quantile with a probability below 1 - confidence. None where n is too small for
    t = 1: 64 values bound p90 and 662 bound p99 at 99 %.
    """
    t = _last_below(len(ordered), 1 - p, 1 - confidence)
    return ordered[len(ordered) - t] if t >= 1 else None


def _last_below(n: int, p: float, tail: float) -> int:
    """The largest k with P(X <= k) < `tail` for X binomial (n, p); -1 where even P(X = 0) is not.

    Probabilities are summed upwards from where they begin to matter.
    """
    if n < 1:
        return -1
    spread_k = 9.0 * math.sqrt(n * p * (1 - p)) + 10
    k = max(0, int(n * p - spread_k))
    term = math.exp(_log_probability(n, p, k))
    total, odds = 0.0, p / (1 - p)
    while k <= n:
        total += term
        if total >= tail:
            return k - 1
        term *= odds * (n - k) / (k + 1)
        k += 1
        if term < _NEGLIGIBLE and k > n * p:
            break
    return n - 1


def _log_probability(n: int, p: float, k: int) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(p) + (n - k) * math.log1p(-p)
