"""Stage times, taken where the work is done: they add up because nothing lies between them."""

import time
from typing import Dict


class Laps:
    """A stopwatch whose laps are stages: each begins where the one before ended.

    Attributes:
        stages: stage -> seconds on the monotonic clock, in the order they ran.
    """

    def __init__(self) -> None:
        self.stages: Dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What ran since the last lap (or the start) was `stage`; a repeated stage adds up."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + (now - self._last)
        self._last = now
