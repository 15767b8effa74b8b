"""How much a figure changed between two sides: effect, interval, and how likely chance is."""
# board: no

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from splitwatt.reports.metrics.stats import LEVEL, MIN_SAMPLES, RESAMPLES, SEED

# So many blocks (processes) on each side, and the interval covers what differs between them.
MIN_BLOCKS = 3
# Numbers drawn at once; keeps long runs within memory.
_CHUNK = 2_000_000

METHOD = (
    f"{LEVEL:.0%} percentile bootstrap interval of the change of medians ({RESAMPLES} times, seed "
    f"{SEED}): blocks are resampled, then samples in them, where both sides have {MIN_BLOCKS} "
    "blocks or more; samples alone otherwise, which leaves out what differs from one start of a "
    f"process to the next; none below {MIN_SAMPLES} samples"
)


@dataclass(frozen=True)
class Change:
    """From a to b in percent of a: the effect, its interval, its p-value (None: not known).

    `blocks`: blocks were resampled as well.
    """

    percent: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    blocks: bool = False

    @property
    def shown(self) -> bool | None:
        """Is it shown not to be chance? None where that cannot be told."""
        return None if self.p is None else self.p < 1 - LEVEL


Blocks = Sequence[Sequence[float]]


def of_medians(a: Blocks, b: Blocks) -> Change | None:
    """The change of the median from a to b, samples given block by block; None without a change.

    There is none where a side has no sample, or a's median is 0.
    """
    all_a, all_b = (np.array([value for block in s for value in block], float) for s in (a, b))
    if not len(all_a) or not len(all_b) or not np.median(all_a):
        return None
    percent = 100 * (float(np.median(all_b)) / float(np.median(all_a)) - 1)
    if min(len(all_a), len(all_b)) < MIN_SAMPLES:
        return Change(percent)
    two_stage = min(len(a), len(b)) >= MIN_BLOCKS
    dice = np.random.default_rng(SEED)
    pooled = (a, b) if two_stage else ([all_a.tolist()], [all_b.tolist()])
    sides = [_medians(side, dice) for side in pooled]
    ratios = sides[1] / sides[0]
    low, high = 100 * (np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - 1)
    spread = float(np.std(np.log(ratios)))
    p = _p(math.log1p(percent / 100) / spread) if spread else float(percent == 0)
    return Change(percent, float(low), float(high), p, two_stage)


def of_values(
    a: float, b: float, errors: tuple[float | None, float | None] = (None, None)
) -> Change | None:
    """The change of one number; `errors` are half the widths of both sides' intervals, if any."""
    if not a:
        return None
    percent = 100 * (b / a - 1)
    if errors[0] is None or errors[1] is None:
        return Change(percent)
    # Independent errors of a ratio, to first order.
    half = 100 * abs(b / a) * math.hypot(errors[0] / a, errors[1] / b if b else 0.0)
    p = _p(percent / half * stats.norm.ppf((1 + LEVEL) / 2)) if half else float(b == a)
    return Change(percent, percent - half, percent + half, p)


def _medians(blocks: Blocks, dice: np.random.Generator) -> np.ndarray:
    """Medians of resampled samples; several blocks are resampled themselves first."""
    size = min(len(block) for block in blocks)
    count = len(blocks)
    rows = max(1, _CHUNK // (size * count))
    found = []
    for start in range(0, RESAMPLES, rows):
        n = min(rows, RESAMPLES - start)
        chosen = dice.integers(0, count, (n, count))
        places = dice.random((n, count, size))
        drawn = np.empty((n, count, size))
        for i, block in enumerate(blocks):
            values = np.asarray(block, float)
            mask = chosen == i
            drawn[mask] = values[(places[mask] * len(values)).astype(int)]
        found.append(np.median(drawn.reshape(n, -1), axis=1))
    return np.concatenate(found)


def _p(z: float) -> float:
    """Two-sided, of a standard normal deviate."""
    return float(2 * stats.norm.sf(abs(z)))


def holm(changes: Sequence[Change | None]) -> list[Change | None]:
    """The same changes with Holm's adjustment of their p-values for being many."""
    order = sorted(
        (i for i, c in enumerate(changes) if c is not None and c.p is not None),
        key=lambda i: _known(changes[i]),
    )
    adjusted = list(changes)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * _known(changes[i])))
        found = changes[i]
        if found is not None:
            adjusted[i] = replace(found, p=highest)
    return adjusted


def _known(change: Change | None) -> float:
    return change.p if change is not None and change.p is not None else 1.0
