"""Programs that another program started end with this process, however this one ends."""

import contextlib
import subprocess
import sys
import time
from typing import Any

import psutil

from splitwatt.device_configs.child import module_command

_GRACE_S = 5.0


class Watchdog:
    """A small process that outlives this one just long enough; a context manager."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._process = subprocess.Popen(
            module_command("profiler.server.cluster.watchdog"),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None  # for the type checker
        self._input = self._process.stdin

    def guard_children(self) -> None:
        """Have all processes that this one has started so far end with it."""
        for child in psutil.Process().children(recursive=True):
            if child.pid not in self._known | {self._process.pid}:
                self._known.add(child.pid)
                self._input.write(b"%d\n" % child.pid)
        self._input.flush()

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *error: Any) -> None:
        """End what is still there."""
        self._input.close()
        self._process.wait()


def main() -> None:
    """Read process ids until the process that writes them ends; then end theirs."""
    processes = []
    for line in sys.stdin:
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(int(line)))  # knows it by its start, too
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in filter(_runs, processes):
            with contextlib.suppress(psutil.Error):
                end(process)
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until and any(map(_runs, processes)):
            time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()
