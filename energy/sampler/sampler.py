"""Starts and stops the sampler's process; what the rest of a program sees of it."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, TypeVar

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import SensorError, SplitwattError, UsageError
from splitwatt.device_configs.targets import spelling
from splitwatt.energy.rails.rail import COUNTER, Line, Rail, choose_total

_T = TypeVar("_T", bound="Sampler")

# A sampler is ready after it has started Python and probed the sensors.
_READY_S = 20.0
# A sampler whose sensor blocks is given this long to end, then it is killed.
_END_S = 3.0
# A reading older than this, and than ten sampling periods, is not the power of now, s.
_OLD_S = 1.0


class Latest(NamedTuple):
    """The newest reading (monotonic s), what the sampler counted so far, its CPU seconds, and
    each rail's watts, volts and joules since the start (None: not known).
    """

    t_s: float
    wall_minus_monotonic_s: float
    samples: int
    lost: int
    failed: int
    cpu_s: float
    watts: List[Optional[float]]
    volts: List[Optional[float]]
    joules: List[Optional[float]]

    def of(self, about: Dict[str, Any], what: str) -> Dict[str, Optional[float]]:
        """`watts`, `volts` or `joules` by the rails' labels.

        Args:
            about: what is sampled, `Sampler.about`.
        """
        return dict(zip([rail["label"] for rail in about["rails"]], getattr(self, what)))

    def total(self, about: Dict[str, Any]) -> Line:
        """The labels that make the board's total, as far as the counters have counted."""
        rails = [Rail(**rail) for rail in about["rails"]]
        joules = self.of(about, "joules")
        counted = {r.label: joules[r.label] for r in rails if r.kind == COUNTER}
        return choose_total([tuple(line) for line in about["total_lines"]], rails, counted)

    def without_power(self) -> "Latest":
        """Without the watts and volts, where they are too old; what was counted stays."""
        nothing: List[Optional[float]] = [None] * len(self.watts)
        return self._replace(watts=nothing, volts=list(nothing))


class Sampler(object):
    """A separate process that samples the rails of a target until `stop`.

    Args:
        target: the target's name or file; None: detected from `sysfs`.
        sysfs: the folder to use instead of /sys.
        trace: the CSV to write; None: no trace.
        every_s: how often `latest` is to change, s; None: it stays None.
        hz: samples a second; None: twice the rate at which the sensor changes, which is measured
            before starting.
        driver, options: as for `splitwatt.energy.rail_set.open_rails`.

    Attributes:
        trace_path: the trace, as given; "": none.
        about: after `start`, what is sampled: `rails`, `total`, `hz`, `probed_period_s`, ...
        stats: after `stop`, what the sampler did and what it cost; None if it had to be killed.
    """

    def __init__(
        self,
        target: Optional[str] = None,
        sysfs: str = "/sys",
        trace: Optional[str] = None,
        every_s: Optional[float] = None,
        hz: Optional[float] = None,
        driver: Optional[str] = None,
        options: Optional[Dict[str, Any]] = None,
    ) -> None:
        if hz is not None and not 0 < hz <= 10000:
            raise UsageError("a sampling rate of %g Hz is not possible" % hz, "ask for 1 to 1000")
        self._spec = {
            "target": spelling(target) if target else None,
            "sysfs": sysfs,
            "every_s": every_s,
            "hz": hz,
            "driver": driver,
            "options": options,
        }
        self.trace_path = trace or ""
        self._latest: Optional[Latest] = None
        self._process: Optional[subprocess.Popen] = None
        # What the process prints besides its readings; None after its end.
        self._answers: "queue.Queue[Optional[Dict[str, Any]]]" = queue.Queue()
        self._reader: Optional[threading.Thread] = None
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
        spec = dict(self._spec, trace=self.trace_path)
        self._process = subprocess.Popen(
            module_command("energy.sampler.process", json.dumps(spec)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.daemon = True
        self._reader.start()
        answer = self._answer(_READY_S)
        if answer is None or "ready" not in answer:
            self._kill()
            if answer is not None and "error" in answer:
                raise _error_of(answer)
            raise SensorError("the sampler did not start", "run: splitwatt energy read")
        self.about = answer["ready"]

    @property
    def latest(self) -> Optional[Latest]:
        """The newest reading; None before the first. Its power is None where it is too old."""
        latest = self._latest
        if latest is None or time.monotonic() - latest.t_s <= max(_OLD_S, 10.0 / self.about["hz"]):
            return latest
        return latest.without_power()

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
        with contextlib.suppress(OSError):  # it is gone
            if self._process.stdin is not None:
                self._process.stdin.close()
        answer = self._answer(_END_S)
        self._kill()
        if answer is not None and "stats" in answer:
            self.stats = answer["stats"]
        elif answer is not None and "error" in answer:
            raise _error_of(answer)
        elif gone:
            raise SensorError(
                "the sampler ended by itself: its trace is not complete", "measure again"
            )
        return self.stats

    def _read(self, pipe: Any) -> None:
        """In a thread: take what the process prints, so that its pipe never fills."""
        for line in iter(pipe.readline, b""):
            document = json.loads(line.decode("utf-8"))
            if "latest" in document:
                self._latest = Latest(**document["latest"])
            else:
                self._answers.put(document)
        self._answers.put(None)

    def _answer(self, seconds: float) -> Optional[Dict[str, Any]]:
        """The next line that the process prints besides its readings; None if nothing comes in time."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None

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
        pipes = [process.stdin]
        if self._reader is not None:
            self._reader.join(1.0)
            # A process that hangs in the kernel keeps its end open, and the reader waits for it.
            pipes += [] if self._reader.is_alive() else [process.stdout]
        for pipe in pipes:
            with contextlib.suppress(OSError):  # closed by its other end
                if pipe is not None:
                    pipe.close()

    def __enter__(self: _T) -> _T:
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()


def _error_of(answer: Dict[str, Any]) -> SplitwattError:
    """The error that the process ended with, as one of this process."""
    kind = UsageError if answer["exit_code"] == UsageError.exit_code else SensorError
    return kind(answer["error"], answer["remedy"])
