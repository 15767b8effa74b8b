"""Intervals from random draws, recomputed with the same recipe and seed by other code than the product's.

Source: docs/formats.md, the intervals of accuracy.json.
"""

import math
from typing import Callable, Optional, Sequence, Tuple

import numpy as np

Ends = Tuple[float, float]
# A figure of some of the images: how often each one counts.
Weighted = Callable[[np.ndarray], float]

_SEED, _DRAWS, _GROUPS = 2025, 1000, 20
_T = 2.093024054408263  # Student's, of 95 % at 19 degrees of freedom
_BOOTSTRAP, _JACKKNIFE = "95 % bootstrap", "95 % jackknife of 20 groups"


def ends(interval: str, value: float, count: int, of: Weighted) -> Optional[Ends]:
    """The ends of a figure's interval; None where it is of a kind that is not known here.

    Args:
        interval: what it is called.
        value: the figure of all images.
        count: of images.
        of: the figure of some of them.
    """
    if interval.startswith(_BOOTSTRAP):
        return _bootstrap(count, of)
    return _jackknife(value, count, of) if interval == _JACKKNIFE else None


def _bootstrap(count: int, of: Weighted) -> Ends:
    """The 2.5th and 97.5th of a hundred parts of 1000 draws with replacement; a draw that does not
    define the figure is left out."""
    draw = np.random.RandomState(_SEED).multinomial
    even = np.full(count, 1 / count)
    drawn = [of(draw(count, even)) for _ in range(_DRAWS)]
    ordered = sorted(value for value in drawn if math.isfinite(value))
    return _at(ordered, 0.025), _at(ordered, 0.975)


def _jackknife(value: float, count: int, of: Weighted) -> Ends:
    """20 groups of a random order, each left out once."""
    order = np.random.RandomState(_SEED).permutation(count)
    found = []
    for group in np.array_split(order, _GROUPS):
        weights = np.ones(count, int)
        weights[group] = 0
        found.append(of(weights))
    middle = math.fsum(found) / _GROUPS
    spread = math.fsum((one - middle) ** 2 for one in found)
    half = _T * math.sqrt(spread * (_GROUPS - 1) / _GROUPS)
    return max(0.0, value - half), min(100.0, value + half)


def _at(ordered: Sequence[float], part: float) -> float:
    """Between the two values that lie there, in proportion."""
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mean_of(values: Sequence[float]) -> Weighted:
    """The mean of a value of each image."""
    array = np.array(values, np.float64)
    return lambda weights: float((array * weights).sum()) / int(weights.sum())


def miou_of(images: Sequence[Sequence[Sequence[int]]]) -> Weighted:
    """Mean intersection over union, in percent, of rows [truth, found, pixels] of each image; NaN
    where no pixel has a true class."""
    rows = [(place, *row) for place, own in enumerate(images) for row in own]
    if not rows:
        return lambda weights: math.nan
    place, truth, found, pixels = (np.array(column, int) for column in zip(*rows))
    kinds = 1 + int(max(truth.max(), found.max()))

    def figure(weights: np.ndarray) -> float:
        count = (weights[place] * pixels).astype(float)
        of_truth, of_found, hits = (
            np.bincount(kind, weights=own, minlength=kinds)
            for kind, own in ((truth, count), (found, count), (truth, count * (truth == found)))
        )
        either = of_truth + of_found - hits
        known = either > 0
        if not known.any():
            return math.nan
        return 100.0 * math.fsum(hits[known] / either[known]) / int(known.sum())

    return figure
