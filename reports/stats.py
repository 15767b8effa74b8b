"""Medians and savings with their 95 % intervals."""
# board: no

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from reports.values import Value, missing, ordered

LEVEL = 0.95
RESAMPLES = 2000
SEED = 2025
# Below six samples even their whole range covers the median in less than 95 % of experiments
# (1 - 2 / 2**n), so no interval is stated.
MIN_SAMPLES = 6

METHOD = (
    f"95 % percentile bootstrap interval of the median over samples "
    f"({RESAMPLES} resamples, seed {SEED}; none below {MIN_SAMPLES} samples)"
)


def median(samples: Sequence[float], *sources: str, why: str = "no sample succeeded") -> Value:
    """The samples' median with its bootstrap interval; missing where there is no sample."""
    if not samples:
        return missing(why)
    centre, low, high = _median(tuple(samples))
    return Value(centre, ordered(sources), low, high, len(samples))


def saving(ours: Sequence[float], theirs: Sequence[float], *sources: str, why: str = "") -> Value:
    """What the median of `ours` saves against that of `theirs`, in percent; negative: it costs.

    Its interval resamples both sides independently of each other.
    """
    if not ours or not theirs:
        return missing(why or "one of the two was not measured")
    centre, low, high = _saving(tuple(ours), tuple(theirs))
    return Value(centre, ordered(sources), low, high, min(len(ours), len(theirs)))


Estimate = tuple[float, float | None, float | None]


@lru_cache(maxsize=None)
def _median(samples: tuple[float, ...]) -> Estimate:
    centre = float(np.median(samples))
    return (centre, *_interval((samples,), np.median))


@lru_cache(maxsize=None)
def _saving(ours: tuple[float, ...], theirs: tuple[float, ...]) -> Estimate:
    return (float(_percent_saved(ours, theirs)), *_interval((ours, theirs), _percent_saved))


def _percent_saved(ours: Any, theirs: Any, axis: int = -1) -> Any:
    saved = 100 * (1 - np.median(ours, axis=axis) / np.median(theirs, axis=axis))
    return saved


def _interval(
    data: tuple[tuple[float, ...], ...], statistic: object
) -> tuple[float | None, float | None]:
    if min(map(len, data)) < MIN_SAMPLES:
        return None, None
    result = stats.bootstrap(
        data,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
