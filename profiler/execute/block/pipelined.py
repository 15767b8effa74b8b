"""Throughput: each image is prepared on the board while the one before it is sent and answered.

Its time is recorded by itself: an image in a pipeline shares the processor with the next one, so
what it takes there is no latency.
"""

import queue
import threading
import time
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.execute.block.system import LocalSystem, SplitSystem

# After so many images in a row without an answer the rest is not tried.
GIVE_UP_AFTER = 3


class Flow(NamedTuple):
    """How many images got an answer and how many did not, in what time (s)."""

    pipelined: bool
    images: int
    failed: int
    duration_s: float

    def to_json(self) -> Dict[str, Any]:
        """As throughput.jsonl has it, without the block."""
        row: Dict[str, Any] = dict(self._asdict())
        row["images_per_s"] = self.images / self.duration_s if self.images else None
        return row


def flow(system: Union[LocalSystem, SplitSystem], paths: Sequence[str]) -> Flow:
    """Run images through a system as fast as they go: one ahead where there is a server to wait
    for, one after the other in local computing.
    """
    if isinstance(system, SplitSystem):
        return _Pipeline(system).run(paths)
    start = time.perf_counter()
    outcomes = _Outcomes(len(paths))
    for path in paths:
        if outcomes.given_up():
            break
        try:
            system.run(path)
            outcomes.add(True)
        except (SplitwattError, MemoryError):
            outcomes.add(False)
    return outcomes.flow(False, time.perf_counter() - start)


class _Outcomes:
    """Counts answers; what was not tried counts as failed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._good = self._bad_in_a_row = 0

    def add(self, good: bool) -> None:
        self._good += good
        self._bad_in_a_row = 0 if good else self._bad_in_a_row + 1

    def given_up(self) -> bool:
        return self._bad_in_a_row >= GIVE_UP_AFTER

    def flow(self, pipelined: bool, duration_s: float) -> Flow:
        return Flow(pipelined, self._good, self._count - self._good, duration_s)


# An image's request with its model, or what became of the image: True when all of it is sent,
# False when it could not be prepared.
_Item = Union[Tuple[str, Any], bool, None]


class _Pipeline:
    """Two stages with one request between them: this thread prepares, another one asks."""

    def __init__(self, system: SplitSystem) -> None:
        self._system = system
        self._queue: "queue.Queue[_Item]" = queue.Queue(maxsize=1)
        self._error: Optional[BaseException] = None

    def run(self, paths: Sequence[str]) -> Flow:
        self._outcomes = _Outcomes(len(paths))
        thread = threading.Thread(target=self._ask, daemon=True)
        start = time.perf_counter()
        thread.start()
        try:
            for path in paths:
                if self._outcomes.given_up() or self._error is not None:
                    break
                self._prepare(path)
        finally:
            self._queue.put(None)
            thread.join()
        if self._error is not None:
            raise self._error
        return self._outcomes.flow(True, time.perf_counter() - start)

    def _prepare(self, path: str) -> None:
        try:
            for model, request in self._system.prepare(path):
                self._queue.put((model, request))
        except (SplitwattError, MemoryError):
            self._queue.put(False)
        else:
            self._queue.put(True)

    def _ask(self) -> None:
        """Ask for each request; what follows one that failed is of the same image."""
        good = True
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, bool):
                self._outcomes.add(good and item)
                good = True
            elif good and self._error is None:
                try:
                    self._system.ask(*item)
                except (SplitwattError, MemoryError):
                    good = False
                except BaseException as error:  # raised by the thread that prepares
                    self._error = error
