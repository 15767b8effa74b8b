"""Progress of an export on standard error, with the time left: a bar on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from splitwatt.device_configs.cli import time_left

_LINE_EVERY_S = 10.0


class Progress:
    """Counts weighted steps; a context manager.

    Args:
        total: the weight of all steps.
    """

    def __init__(self, total: float) -> None:
        self._total = total
        self._done = 0.0
        self._start = time.monotonic()
        self._printed = 0.0
        self._bar: Any = None
        self._task: Any = None

    def step(self, title: str, weight: float = 1.0) -> None:
        """A step begins; the one before it is done."""
        if self._bar is not None:
            self._bar.update(self._task, description=title, completed=self._done)
        else:
            now = time.monotonic()
            if now - self._printed >= _LINE_EVERY_S:
                self._printed = now
                left = time_left(self._done, self._total, now - self._start)
                self.note(f"{title:<48} {left}".rstrip())
        self._done += weight

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
                from rich.progress import Progress as Bar
            except ImportError:
                return self
            self._bar = Bar(
                TextColumn("{task.description:<48}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
