"""Throughput: each image is prepared on the board while the one before it is sent and answered.

Its time is recorded separately: an image in a pipeline shares the processor with the next one, so
its time there is not a latency.
"""

import queue
import threading
import time
from typing import Any, Dict, List, Sequence

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.execute.block.system import System

# After this many images in a row without an answer, the rest is not tried.
GIVE_UP_AFTER = 3


def flow(system: System, paths: Sequence[str]) -> Dict[str, Any]:
    """Run images through a system as fast as they go: this thread prepares them, another one asks the
    server, with one request between the two. What is not tried counts as failed.

    Returns:
        A line of throughput.jsonl without its block.
    """
    # A model and its request; True after an image's last one, False where it could not be prepared.
    items: "queue.Queue[Any]" = queue.Queue(maxsize=1)
    answered: List[bool] = []
    errors: List[BaseException] = []

    def ask() -> None:
        good = True
        for item in iter(items.get, None):
            if isinstance(item, bool):
                answered.append(good and item)
                good = True
            elif good and not errors:
                try:
                    system.ask(*item)
                except (SplitwattError, MemoryError):
                    good = False
                except BaseException as error:  # raised by the thread that prepares
                    errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    start = time.perf_counter()
    thread.start()
    try:
        for path in paths:
            if errors or answered[-GIVE_UP_AFTER:] == [False] * GIVE_UP_AFTER:
                break
            try:
                for request in system.prepare(path):
                    items.put(request)
                items.put(True)
            except (SplitwattError, MemoryError):
                items.put(False)
    finally:
        items.put(None)
        thread.join()
    if errors:
        raise errors[0]
    good, duration_s = sum(answered), time.perf_counter() - start
    return {
        "pipelined": system.split,
        "images": good,
        "failed": len(paths) - good,
        "duration_s": duration_s,
        "images_per_s": good / duration_s if good else None,
    }
