"""How much a figure changed between two runs: an exact rank test of blocks, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
from scipy import stats

from splitwatt.reports.metrics.metric import Block
from splitwatt.reports.metrics.stats import LEVEL

METHOD = (
    "exact rank test (Mann-Whitney) of blocks, two-sided: a block is one process, and its value is "
    "the median over its images after each image's own level is taken out. The interval is the "
    "test's inversion (Hodges-Lehmann). p and interval are corrected for the number of rows "
    f"(Bonferroni), so that {LEVEL:.0%} of comparisons of equal runs flag no row at all"
)
# No experiment needs more blocks than this; the search for a sufficient number ends there.
_MOST_BLOCKS = 200


@dataclass(frozen=True)
class Change:
    """From a to b in percent of a, with the interval and p-value corrected for `rows` rows.

    `low`, `high` and `p` are None if nothing can be tested. `blocks`: how many each side has;
    `wanted`: how many are enough.
    """

    percent: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    blocks: tuple[int, int] = (1, 1)
    wanted: int | None = None

    @property
    def shown(self) -> bool | None:
        """Is the change more than chance? None without a verdict."""
        return None if self.p is None else self.p < 1 - LEVEL


def of_blocks(percent: float, a: Sequence[Block], b: Sequence[Block], rows: int = 1) -> Change:
    """Test whether the blocks of `b` differ from those of `a`.

    Args:
        percent: the change of the printed figures; the interval always contains it.
        a, b: the blocks of each side; values above 0.
        rows: how many rows are tested together.
    """
    a, b = _paired(a, b)
    sides = len(a), len(b)
    if not all(sides) or any(value <= 0 for block in (*a, *b) for _, value in block):
        return Change(percent, blocks=sides)
    tail = _tail(*sides)
    # How many differences between blocks may be beyond an end of the interval.
    beyond = sum(1 for p in tail if rows * p < 1 - LEVEL)
    if not beyond:
        return Change(percent, blocks=sides, wanted=enough(rows))
    scores = _scores([*a, *b])
    differences = np.sort(np.subtract.outer(scores[sides[0] :], scores[: sides[0]]).ravel())
    rank = int(min((differences <= 0).sum(), (differences >= 0).sum()))
    centre = float(np.median(differences))
    p = min(1.0, rows * float(tail[rank]) if rank < len(tail) else 1.0)
    low, high = (100 * math.expm1(d) for d in (differences[beyond - 1], differences[-beyond]))
    if centre * percent < 0 or (percent == 0 and centre):
        p = 1.0  # the printed figures and the test point to different sides: nothing is shown
    return Change(percent, min(low, percent), max(high, percent), p, sides)


def enough(rows: int) -> int:
    """How many blocks on each side let the test flag one of `rows` rows."""
    return next(n for n in range(1, _MOST_BLOCKS) if 2 * rows / math.comb(2 * n, n) < 1 - LEVEL)


def of_intervals(
    a: float, b: float, errors: tuple[float | None, float | None], rows: int = 1
) -> Change | None:
    """The change of a figure whose file states its interval; `errors` are half their widths.

    None where a is 0. Without intervals there is no test.
    """
    if not a:
        return None
    percent = 100 * (b / a - 1)
    if errors[0] is None or errors[1] is None:
        return Change(percent)
    # Independent errors of a ratio, to first order; the files' intervals are of the level LEVEL.
    half = 100 * abs(b / a) * math.hypot(errors[0] / a, errors[1] / b if b else 0.0)
    if not half:
        return Change(percent, percent, percent, float(b == a))
    spread = half / float(stats.norm.ppf((1 + LEVEL) / 2))
    wide = spread * float(stats.norm.isf((1 - LEVEL) / rows / 2))
    p = min(1.0, rows * 2 * float(stats.norm.sf(abs(percent) / spread)))
    return Change(percent, percent - wide, percent + wide, p)


def _paired(a: Sequence[Block], b: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """The blocks with the images that both sides have; if they share none, without names."""
    images = [{image for block in side for image, _ in block} for side in (a, b)]
    shared = images[0] & images[1]
    if shared:
        kept = [
            [[pair for pair in block if pair[0] in shared] for block in side] for side in (a, b)
        ]
    else:
        kept = [[[("", value) for _, value in block] for block in side] for side in (a, b)]
    ours, theirs = ([block for block in side if block] for side in kept)
    return list(ours), list(theirs)


def _scores(blocks: Sequence[Block]) -> np.ndarray:
    """A number for each block: how far its images are above their own level, as a logarithm."""
    levels: dict[str, list[float]] = {}
    for block in blocks:
        for image, value in block:
            levels.setdefault(image, []).append(math.log(value))
    level = {image: float(np.median(values)) for image, values in levels.items()}
    return np.array(
        [float(np.median([math.log(value) - level[image] for image, value in b])) for b in blocks]
    )


@lru_cache(maxsize=64)
def _tail(n: int, m: int) -> tuple[float, ...]:
    """P(at most k of the n x m differences point one way), two-sided, for k up to half of them.

    Counted exactly, as scipy.stats.mannwhitneyu(method="exact") does.
    """
    ways = [1] + [0] * (n * m)  # of choosing ranks with a given sum: a Gaussian binomial
    for i in range(1, n + 1):
        for k in range(n * m, m + i - 1, -1):
            ways[k] -= ways[k - m - i]
        for k in range(i, n * m + 1):
            ways[k] += ways[k - i]
    whole = math.comb(n + m, n)
    return tuple(min(1.0, 2 * w / whole) for w in accumulate(ways[: n * m // 2 + 1]))
