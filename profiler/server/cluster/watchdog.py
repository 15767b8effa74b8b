"""Programs that another program started end with this process, however this one ends."""

# board: no

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import psutil

_GRACE_S = 5.0
# Reads process ids until its input ends, which it does with the process that holds the other end.
_PROGRAM = """
import os, signal, sys, time
pids = [tuple(map(float, line.split())) for line in sys.stdin]
def alive(pid, started):
    try:
        with open("/proc/%d/stat" % pid) as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
    except OSError:
        return False
    return float(fields[19]) == started and fields[0] != "Z"
for number in (signal.SIGTERM, signal.SIGKILL):
    for pid, started in pids:
        if alive(int(pid), started):
            os.kill(int(pid), number)
    until = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < until and any(alive(int(p), s) for p, s in pids):
        time.sleep(0.05)
"""


class Watchdog:
    """A small process that outlives this one just long enough; a context manager."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _PROGRAM, str(_GRACE_S)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def guard_children(self) -> None:
        """All that this process has started so far is to end with it."""
        assert self._process.stdin is not None  # for the type checker
        for child in psutil.Process().children(recursive=True):
            if child.pid in self._known | {self._process.pid}:
                continue
            with contextlib.suppress(OSError, psutil.Error):
                with open("/proc/%d/stat" % child.pid, encoding="utf-8") as stream:
                    started = stream.read().rsplit(")", 1)[1].split()[19]
                self._process.stdin.write(b"%d %s\n" % (child.pid, started.encode()))
                self._known.add(child.pid)
        self._process.stdin.flush()

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *error: Any) -> None:
        """End what is still there."""
        assert self._process.stdin is not None  # for the type checker
        self._process.stdin.close()
        self._process.wait()
