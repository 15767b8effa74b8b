"""What a block's process tells the runner: one JSON document a line, and not a line a sample."""

import json
import sys
import time
from typing import Any, Dict

# Samples are told together: a line wakes the runner, which has a bar to draw.
EVERY_S = 0.25


class Teller:
    """Counts samples and tells them now and then."""

    def __init__(self) -> None:
        self._done = 0
        self._told = time.monotonic()

    def done(self) -> None:
        """A sample more is recorded."""
        self._done += 1
        if time.monotonic() - self._told > EVERY_S:
            self.flush()

    def more(self, count: int) -> None:
        """So many samples more than was foreseen are to come."""
        self.flush()
        if count:
            tell({"more": count})

    def flush(self) -> None:
        """Tell what has not been told."""
        self._told = time.monotonic()
        if self._done:
            tell({"done": self._done})
            self._done = 0


def tell(document: Dict[str, Any]) -> None:
    """Write a line that the runner reads."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
