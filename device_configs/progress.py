"""Progress on standard error with the time left: a bar if there is a terminal and rich, else lines."""

import sys
import time
from typing import Any

from splitwatt.device_configs.cli import time_left
from splitwatt.device_configs.printable import printable

_LINE_EVERY_S = 10.0


class Progress(object):
    """Counts what is done; a context manager.

    Args:
        total: the total count, or the total weight of all steps.
        unit: what is counted, as "samples"; "" if steps have weights.
    """

    def __init__(self, total: float, unit: str = "") -> None:
        self._total, self._unit = total, unit
        self._done = self._begun = 0.0
        self._title = "starting"
        self._start = time.monotonic()
        self._printed = float("-inf")
        self._bar: Any = None
        self._task: Any = None

    def begin(self, title: str, weight: float = 0.0) -> None:
        """Begin a step, which ends when the next one begins.

        Args:
            title: its name.
            weight: its share of the total; 0 if `advance` counts instead.
        """
        self._done += self._begun
        self._title, self._begun = title, weight
        self._show(not weight)

    def advance(self, count: float = 1) -> None:
        """Add to what is done."""
        self._done += count
        self._show(self._done >= self._total)

    def extend(self, count: float) -> None:
        """Add to the total (or subtract, if negative)."""
        self._total += count

    def note(self, text: str) -> None:
        """Print a line that stays."""
        text = printable(text)
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _show(self, now: bool) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=printable(self._title),
                completed=self._done,
                total=self._total,
            )
        elif now or time.monotonic() - self._printed >= _LINE_EVERY_S:
            self._printed = time.monotonic()
            count = "%4d of %d %s, " % (self._done, self._total, self._unit) if self._unit else ""
            left = time_left(self._done, self._total, self._printed - self._start)
            self.note(("%s%-16s %s" % (count, self._title, left)).rstrip())

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            try:
                from rich import progress
                from rich.console import Console
            except ImportError:
                return self
            columns = [
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
            ]
            if self._unit:
                columns.append(progress.MofNCompleteColumn())
            columns += [progress.TimeRemainingColumn(), progress.TextColumn("left")]
            self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
