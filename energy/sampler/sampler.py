"""Starts and stops the sampler's process; what the rest of a program sees of it."""

import contextlib
import json
import os
import select
import subprocess
import time
from typing import Any, Dict, Optional

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import SensorError, SplitwattError, UsageError
from splitwatt.device_configs.targets import spelling

# A sampler is ready after it has started Python and probed the sensors.
_READY_S = 20.0
# A sampler whose sensor blocks is given this long to end, then it is killed.
_END_S = 3.0


class Sampler(object):
    """A process of its own that samples the rails of a target until `stop`.

    Args:
        target: the target's name or file; None: found out from `sysfs`.
        sysfs: the root of the tree that stands for /sys.
        trace: the CSV to write; None: no trace.
        latest: a file for the newest reading (see `splitwatt.energy.sampler.latest`); None: none.
        hz: samples a second; None: twice the rate at which the sensor changes, which is looked at
            before starting.
        driver, options: as for `splitwatt.energy.rails.opening.open_rails`.

    Attributes:
        trace, latest: as given; they may be set until `start`.
        about: after `start`, what is sampled: `rails`, `total`, `hz`, `probed_period_s`, ...
        stats: after `stop`, what the sampler did and what it cost; None if it had to be killed.
    """

    def __init__(
        self,
        target: Optional[str] = None,
        sysfs: str = "/sys",
        trace: Optional[str] = None,
        latest: Optional[str] = None,
        hz: Optional[float] = None,
        driver: Optional[str] = None,
        options: Optional[Dict[str, Any]] = None,
    ) -> None:
        if hz is not None and not 0 < hz <= 10000:
            raise UsageError("a sampling rate of %g Hz is not possible" % hz, "ask for 1 to 1000")
        self._spec = {
            "target": spelling(target) if target else None,
            "sysfs": sysfs,
            "hz": hz,
            "driver": driver,
            "options": options,
        }
        self.trace = trace
        self.latest = latest
        self._process: Optional[subprocess.Popen] = None
        self._buffer = b""
        self.about: Dict[str, Any] = {}
        self.stats: Optional[Dict[str, Any]] = None

    def start(self) -> None:
        """Start it and wait until it samples.

        Raises:
            UsageError: an unknown target or driver.
            SensorError: no sensor, or the process did not come up.
        """
        if self._process is not None:
            raise SensorError("the sampler runs already", "make another one")
        spec = dict(self._spec, trace=self.trace, latest=self.latest)
        self._process = subprocess.Popen(
            module_command("energy.sampler.process", json.dumps(spec)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        answer = self._answer(_READY_S)
        if answer is None or "ready" not in answer:
            self._kill()
            if answer is not None and "error" in answer:
                raise _told(answer)
            raise SensorError("the sampler did not start", "run: splitwatt energy read")
        self.about = answer["ready"]

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> Optional[Dict[str, Any]]:
        """End it; returns its `stats` (None if it hung in a sensor and was killed).

        Raises:
            SensorError: it ended by itself before: the trace stops there.
        """
        if self._process is None:
            return self.stats
        gone = self._process.poll() is not None
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except OSError:
            pass  # it is gone
        answer = self._answer(_END_S)
        self._kill()
        if answer is not None and "stats" in answer:
            self.stats = answer["stats"]
        elif answer is not None and "error" in answer:
            raise _told(answer)
        elif gone:
            raise SensorError("the sampler ended by itself: its trace is not complete")
        return self.stats

    def _answer(self, seconds: float) -> Optional[Dict[str, Any]]:
        """The next line that the sampler tells, as JSON; None if it tells none in time."""
        process = self._process
        if process is None or process.stdout is None:
            return None
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return None
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line.decode("utf-8"))  # type: ignore[no-any-return]

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            # It may hang in the kernel; it holds nothing of ours.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1.0)
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass  # closed by its other end

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()


def _told(answer: Dict[str, Any]) -> SplitwattError:
    """The error that the process ended with, as one of this process."""
    kind = UsageError if answer["exit_code"] == UsageError.exit_code else SensorError
    return kind(answer["error"], answer["remedy"])
