"""How long a block warms up, and how many inferences it runs: a fixed count, or until it is enough.

Both rules decide from recorded times alone, so a run that was killed resumes to the same decision.
"""

from typing import Dict, List, Optional

from splitwatt.profiler.analyse.statistics import quantile, relative_width
from splitwatt.profiler.config.config import Until, WarmupUntil

# The interval is computed again after this many more values.
_GROWTH = 0.05


class WarmUp:
    """Says whether a block is warm.

    Windows run the same images: medians of `windows` in a row lie within a bound of each other.

    Args:
        least: inferences in any case; without a rule (`until`), all.
        images: how many images the run has.

    Attributes:
        steady: whether the rule was met; None without a rule.
    """

    def __init__(self, least: int, until: Optional[WarmupUntil], images: int) -> None:
        self.steady: Optional[bool] = None if until is None else False
        self._least = least
        self._until = until
        self._times: List[Optional[float]] = []
        # A window is a whole number of rounds of the images; of many images the first few are run.
        self.images = images
        if until is not None:
            self.images = min(images, until.window)
            self._window = -(-until.window // self.images) * self.images

    def add(self, total_s: Optional[float]) -> None:
        """Record the time of an inference; None if it failed."""
        self._times.append(total_s)

    def over(self) -> bool:
        """Whether the block may begin."""
        done, until = len(self._times), self._until
        if until is None or done < self._least:
            return done >= self._least
        if done % self._window == 0:
            medians = self._medians(until.windows)
            if medians is not None:
                self.steady = max(medians) <= (1 + until.within) * min(medians)
            if self.steady or not any(self._times[-self._window :]):
                return True
        return done >= max(self._least, until.max_inferences)

    def _medians(self, windows: int) -> Optional[List[float]]:
        if len(self._times) < windows * self._window:
            return None
        medians = []
        for n in range(windows, 0, -1):
            end = len(self._times) - (n - 1) * self._window
            known = [t for t in self._times[end - self._window : end] if t is not None]
            if not known:
                return None
            medians.append(quantile(known, 0.5))
        return medians


class Repetition:
    """Says which inferences of a block are still to be run.

    With a rule, a block runs whole rounds of the images until the median's interval is narrow
    enough, or a limit is met.

    Args:
        least: inferences in any case; without a rule (`until`), all.
        images: how many images the run has.
        done: inference -> its seconds, None where it failed; of what was recorded before.

    Attributes:
        over: whether the block is through.
        width: the median's relative half-width when it was last looked at.
    """

    def __init__(
        self,
        least: int,
        until: Optional[Until],
        images: int,
        done: Optional[Dict[int, Optional[float]]] = None,
    ) -> None:
        self.over = False
        self.width: Optional[float] = None
        self._until = until
        self._round = max(1, min(images, least))
        self._target = least if until is None else self._whole(least)
        self._times: Dict[int, Optional[float]] = dict(done or {})

    def add(self, inference: int, total_s: Optional[float]) -> None:
        """Record the time of an inference; None if it failed."""
        self._times[inference] = total_s

    def due(self) -> List[int]:
        """The next inferences to run, in order; none when the block is through."""
        while not self.over:
            missing = [k for k in range(self._target) if k not in self._times]
            if missing:
                return missing
            self.over = self._enough()
            if not self.over:
                step = max(self._round, int(_GROWTH * self._target))
                self._target = self._whole(self._target + step)
        return []

    def expected(self) -> int:
        """How many inferences the block will have in the end, as far as can be foreseen."""
        until, width = self._until, self.width
        if self.over or until is None or not until.relative_width or width is None:
            return self._target
        times = (width / until.relative_width) ** 2
        return max(self._target, min(until.max_inferences, int(times * len(self._times))))

    def _whole(self, count: int) -> int:
        whole = -(-count // self._round) * self._round
        return whole if self._until is None else max(1, min(whole, self._until.max_inferences))

    def _enough(self) -> bool:
        until = self._until
        known = [t for t in (self._times[k] for k in range(self._target)) if t is not None]
        if until is None or not known:
            return True
        self.width = relative_width(known, until.level)
        if until.relative_width and self.width is not None and self.width <= until.relative_width:
            return True
        if until.max_s is not None and sum(known) >= until.max_s:
            return True
        return self._target >= until.max_inferences
