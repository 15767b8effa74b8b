"""Stage times without gaps between stages, so that their sum is the whole time."""

import time
from typing import Dict


class Laps:
    """A stopwatch whose laps are stages: each begins where the last one ended.

    Attributes:
        stages: stage -> seconds on the monotonic clock, in the order they ran.
    """

    def __init__(self) -> None:
        self.stages: Dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap (or the start) to `stage`."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + (now - self._last)
        self._last = now
