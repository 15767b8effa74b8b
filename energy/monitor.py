"""Joules of named parts of a program: `with EnergyMonitor("nano") as m: m.begin("encode") ...`."""

import os
import shutil
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.joules.summary import (
    RailEnergy,
    energies,
    readings_of,
    total_joules,
    unmeasured,
)
from splitwatt.energy.rails.opening import NoSensorError, Tried, open_rails
from splitwatt.energy.sampler.sampler import Sampler
from splitwatt.energy.trace.files import Trace, read_trace

# The name of windows in which nothing runs.
IDLE = "idle"


class Window(NamedTuple):
    """A named interval of the monotonic clock, seconds."""

    name: str
    start_s: float
    end_s: float


class WindowEnergy(NamedTuple):
    """The energy of one window: each rail's, the board's total (None: refused or not measured),
    and both less what the idle board would have used meanwhile (None: no idle window).
    """

    window: Window
    rails: Dict[str, RailEnergy]
    total_joules: Optional[float]
    net_joules: Dict[str, Optional[float]]
    total_net_joules: Optional[float]


class EnergyMonitor(object):
    """Samples a target's rails while it is open and tells the joules of windows afterwards.

        with EnergyMonitor("nano") as monitor:
            monitor.idle(2.0)
            monitor.begin("encode")
            ...
            monitor.end("encode")
            monitor.idle(2.0)
        for energy in monitor.results():
            print(energy.window.name, energy.total_joules)

    Args:
        trace_path: where the trace is kept; None: it is thrown away after `close`.
        **sampling: as for `splitwatt.energy.sampler.sampler.Sampler`.

    Attributes:
        windows: the windows that were ended, in the order of their ends.
        trace_path: where the trace is, after `start`.
        about, stats: the sampler's (see `splitwatt.energy.sampler.sampler.Sampler`).
    """

    def __init__(
        self,
        target: Optional[str] = None,
        sysfs: str = "/sys",
        trace_path: Optional[str] = None,
        **sampling: Any,
    ) -> None:
        self._folder: Optional[str] = None
        self.trace_path = trace_path or ""
        self._sampler = Sampler(target, sysfs, **sampling)
        self._open: List[Tuple[str, float]] = []
        self._trace: Optional[Trace] = None
        self.windows: List[Window] = []

    @property
    def about(self) -> Dict[str, Any]:
        """What is sampled."""
        return self._sampler.about

    @property
    def stats(self) -> Optional[Dict[str, Any]]:
        """What the sampler did, after `stop`."""
        return self._sampler.stats

    def __enter__(self) -> "EnergyMonitor":
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Start the sampler; returns when it samples. Raises SensorError if it cannot."""
        try:
            if not self.trace_path:
                self._folder = tempfile.mkdtemp(prefix="splitwatt-")
                self.trace_path = os.path.join(self._folder, "trace.csv")
            self._sampler.trace = self.trace_path
            self._sampler.start()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Stop the sampler; the trace is complete then."""
        self._sampler.stop()

    def begin(self, name: str) -> None:
        """A window begins. Windows nest, and a name may come again."""
        self._open.append((name, time.monotonic()))

    def end(self, name: str) -> None:
        """The innermost open window of that name ends.

        Raises:
            SensorError: none is open.
        """
        now = time.monotonic()
        opened = self._open
        for i in range(len(opened) - 1, -1, -1):
            if opened[i][0] == name:
                self.windows.append(Window(name, opened.pop(i)[1], now))
                return
        raise SensorError("the window '%s' was not begun" % name, "call begin('%s') first" % name)

    def idle(self, seconds: float) -> None:
        """Do nothing for so long, to know what the board uses then. Do so before and after."""
        self.begin(IDLE)
        time.sleep(seconds)
        self.end(IDLE)

    def trace(self) -> Trace:
        """The trace, after `stop`."""
        if self._trace is None:
            self._trace = read_trace(self.trace_path)
        return self._trace

    def results(self) -> List[WindowEnergy]:
        """The energy of every window, after `stop`. A refused one says why in its rails."""
        return window_energies(self.trace(), self.windows)

    def close(self) -> None:
        """Throw the trace away if nobody asked to keep it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def window_energies(trace: Trace, windows: List[Window]) -> List[WindowEnergy]:
    """The energy of each window of a trace, gross and net of its `idle` windows' mean power.

    A rail of which more than a hundredth of a window was not measured has no joules in it.
    """
    readings = readings_of(trace)
    found = [(w, energies(trace, readings, w.start_s, w.end_s)) for w in windows]
    idle = idle_watts([rails for window, rails in found if window.name == IDLE])
    results = []
    for window, measured in found:
        rails = {label: _of_all(energy) for label, energy in measured.items()}
        net = {
            label: _less(energy.joules, idle.get(label), energy.covered_s)
            for label, energy in rails.items()
        }
        gross = total_joules(trace.total, rails)
        parts = [net.get(label) for label in trace.total]
        total_net = None if not parts or None in parts else sum(parts)  # type: ignore[arg-type]
        results.append(WindowEnergy(window, rails, gross, net, total_net))
    return results


def _of_all(energy: RailEnergy) -> RailEnergy:
    """Refused where the joules of what was measured are not those of the window."""
    why = unmeasured(energy)
    if energy.refused is not None or why is None:
        return energy
    return energy._replace(
        joules=None,
        interval_joules=None,
        joules_simpson=None,
        joules_trapezoid=None,
        joules_rectangle=None,
        refused=why,
    )


def idle_watts(idle: List[Dict[str, RailEnergy]]) -> Dict[str, Optional[float]]:
    """Each rail's mean power over the idle windows, W (None: refused in all of them)."""
    labels = sorted({label for rails in idle for label in rails})
    means: Dict[str, Optional[float]] = {}
    for label in labels:
        watts = [rails[label].mean_watts for rails in idle if label in rails]
        known = [w for w in watts if w is not None]
        means[label] = sum(known) / len(known) if known else None
    return means


def _less(joules: Optional[float], watts: Optional[float], seconds: float) -> Optional[float]:
    return None if joules is None or watts is None else joules - watts * seconds


class Opened(NamedTuple):
    """What `open_for` found: a monitor ready to start, or None; and each driver that said no,
    with its reason and the command that would help.
    """

    monitor: Optional[EnergyMonitor]
    why_not: List[Tried]


def open_for(
    target: Optional[str], sysfs: str = "/sys", trace_path: Optional[str] = None, **sampling: Any
) -> Opened:
    """A monitor for a block of the profiler, or None with the reasons where there is no sensor.

    Nothing is started: use the monitor as a context manager. No sensor is no error here; a rail
    that the target does not know is one.

    Raises:
        SensorError: a sensor is there, but not the target's.
    """
    try:
        with open_rails(target, sysfs, sampling.get("driver"), sampling.get("options")) as found:
            tried = list(found.tried)
    except NoSensorError as no:
        return Opened(None, no.tried)
    return Opened(EnergyMonitor(target, sysfs, trace_path, **sampling), tried)
