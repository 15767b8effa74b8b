"""Quantiles, the median's interval and upper bounds by order statistics in whole numbers, which round
nothing. For the audit alone: reports use `splitwatt.profiler.analyse.statistics`.
"""

import math
from typing import Dict, List, Optional, Sequence


def summary(values: Sequence[float]) -> Dict[str, Optional[float]]:
    """The figures of a summary's row by their names in `splitwatt.profiler.analyse.statistics.Spread`."""
    ordered = sorted(values)
    n, middle = len(ordered), quantile(ordered, 0.5)
    found: Dict[str, Optional[float]] = {
        "p50_s": middle, "p90_s": quantile(ordered, 0.9), "p99_s": quantile(ordered, 0.99),
        "p50_low_s": None, "p50_high_s": None, "p50_relative_width": None,
        "p90_bound_s": None, "p99_bound_s": None,
    }  # fmt: skip
    # 95 %: the median lies below one end with a probability under a fortieth, above the other so too.
    low = _seldom(n, 1, 2, 40)
    if low >= 0:
        ends = ordered[low], ordered[n - 1 - low]
        found.update(p50_low_s=ends[0], p50_high_s=ends[1])
        if middle > 0:
            found["p50_relative_width"] = (ends[1] - ends[0]) / (2 * middle)
    for name, of in (("p90_bound_s", 10), ("p99_bound_s", 100)):
        above = _seldom(n, 1, of, 100)
        if above >= 1:
            found[name] = ordered[n - above]
    found["outliers"] = None
    if n >= 8:
        quarters = quantile(ordered, 0.25), quantile(ordered, 0.75)
        reach = 3 * (quarters[1] - quarters[0])
        inside = [v for v in ordered if quarters[0] - reach <= v <= quarters[1] + reach]
        found["outliers"] = n - len(inside)
    return found


def quantile(ordered: List[float], p: float) -> float:
    """The p-quantile of values in order, on a straight line between neighbours."""
    at = p * (len(ordered) - 1)
    low = int(math.floor(at))
    high = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (at - low) * (high - ordered[low])


def _seldom(n: int, part: int, of: int, once_in: int) -> int:
    """The largest k so that k or fewer of n values fall where each falls with the probability
    part/of, less than once in `once_in` times; -1 where not even none does so seldom.
    """
    ways, total, all_ways = (of - part) ** n, 0, of**n
    for k in range(n):
        total += ways
        if total * once_in >= all_ways:
            return k - 1
        ways = ways * (n - k) * part // ((k + 1) * (of - part))
    return n - 1
