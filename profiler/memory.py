"""Peak memory: of a process, and of the whole board with everything that runs on it."""

import threading
from typing import Any, Dict, Optional

PERIOD_S = 0.1
SOURCE_PROCESS = "VmHWM"
SOURCE_BOARD = "MemTotal - MemAvailable every %g s" % PERIOD_S


def process_peak_bytes(status: str = "/proc/self/status") -> Optional[int]:
    """The largest resident memory that this process has had (VmHWM); None where it is not told."""
    kilobytes = _read(status).get("VmHWM")
    return None if kilobytes is None else kilobytes * 1024


def board_used_bytes(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Memory in use on the whole board, MemTotal - MemAvailable; None where it is not told."""
    values = _read(meminfo)
    total, available = values.get("MemTotal"), values.get("MemAvailable")
    return None if total is None or available is None else (total - available) * 1024


class BoardMeter:
    """Samples the board's memory in a thread of its own, in another process than what is timed.

    Attributes:
        peak_bytes: the largest figure so far; None where the kernel does not tell.
    """

    def __init__(self, meminfo: str = "/proc/meminfo", period_s: float = PERIOD_S) -> None:
        self.peak_bytes: Optional[int] = None
        self._meminfo = meminfo
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "BoardMeter":
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        used = board_used_bytes(self._meminfo)
        if used is not None and (self.peak_bytes is None or used > self.peak_bytes):
            self.peak_bytes = used


def _read(path: str) -> Dict[str, int]:
    """The lines "Name:   1234 kB" of a file under /proc."""
    values = {}
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            for line in stream:
                words = line.split()
                if len(words) == 3 and words[2] == "kB" and words[1].isdigit():
                    values[words[0].rstrip(":")] = int(words[1])
    except OSError:
        return {}
    return values
