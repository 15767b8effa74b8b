"""Progress of a run on the terminal: rich where it is, plain lines elsewhere."""

import sys
import time
from typing import Any, Optional, TextIO

from splitwatt.device_configs.cli import time_left
from splitwatt.device_configs.printable import printable

_LINE_EVERY_S = 10.0


class Progress:
    """Counts samples; a context manager. This one prints plain lines.

    Args:
        total: how many samples there are to run.
        stream: where to print; standard error when None.
    """

    def __init__(self, total: int, stream: Optional[TextIO] = None) -> None:
        self._total = total
        self._done = 0
        self._stream = stream or sys.stderr
        self._start = time.monotonic()
        self._printed = float("-inf")

    def block(self, title: str) -> None:
        """A block begins."""
        self._title = title
        self._print()

    def advance(self, count: int = 1) -> None:
        """So many samples more are done."""
        self._done += count
        if time.monotonic() - self._printed > _LINE_EVERY_S or self._done == self._total:
            self._print()

    def extend(self, count: int) -> None:
        """So many samples more (or fewer) are to be run than was foreseen."""
        self._total += count

    def note(self, text: str) -> None:
        """A line for people that stays."""
        print(printable(text), file=self._stream, flush=True)

    def _print(self) -> None:
        self._printed = time.monotonic()
        left = time_left(self._done, self._total, self._printed - self._start)
        self.note("%4d of %d samples, %-16s %s" % (self._done, self._total, self._title, left))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: Any) -> None:
        pass


class _RichProgress(Progress):
    """A bar that stays on one line."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:<16}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("starting", total=total)

    def block(self, title: str) -> None:
        self._bar.update(self._task, description=printable(title))

    def advance(self, count: int = 1) -> None:
        self._bar.update(self._task, advance=count)

    def extend(self, count: int) -> None:
        super().extend(count)
        self._bar.update(self._task, total=self._total)

    def note(self, text: str) -> None:
        self._bar.console.print(printable(text), markup=False, highlight=False)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()


def open_progress(total: int) -> Progress:
    """A bar on a terminal, plain lines where standard error goes elsewhere or rich is missing."""
    if sys.stderr.isatty():
        try:
            return _RichProgress(total)
        except ImportError:
            pass
    return Progress(total)
