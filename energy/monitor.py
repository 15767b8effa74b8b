"""Joules of named parts of a program: `with EnergyMonitor("nano") as m: m.begin("encode") ...`."""

import os
import shutil
import tempfile
import time
from typing import Any, List, Optional, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.joules.windows import IDLE, Window, WindowEnergy, window_energies
from splitwatt.energy.rail_set import open_rails
from splitwatt.energy.sampler.sampler import Sampler
from splitwatt.energy.trace.files import Trace, read_trace


class EnergyMonitor(Sampler):
    """Samples a target's rails while it is open and gives the joules of windows afterwards.

        with EnergyMonitor("nano") as monitor:
            monitor.idle(2.0)
            monitor.begin("encode")
            ...
            monitor.end("encode")
            monitor.idle(2.0)
        for energy in monitor.results():
            print(energy.window.name, energy.total_joules)

    Args:
        trace_path: where the trace is kept; None: `close` deletes it.
        **sampling: as for `splitwatt.energy.sampler.sampler.Sampler`.

    Attributes:
        windows: the windows that were ended, in the order of their ends.
        trace_path: where the trace is, after `start`.
    """

    def __init__(
        self,
        target: Optional[str] = None,
        sysfs: str = "/sys",
        trace_path: Optional[str] = None,
        **sampling: Any,
    ) -> None:
        super().__init__(target, sysfs, trace_path, **sampling)
        self._folder: Optional[str] = None
        self._open: List[Tuple[str, float]] = []
        self._trace: Optional[Trace] = None
        self.windows: List[Window] = []

    def start(self) -> None:
        """Start the sampler; returns when it samples. Raises SensorError if it cannot."""
        try:
            if not self.trace_path:
                self._folder = tempfile.mkdtemp(prefix="splitwatt-")
                self.trace_path = os.path.join(self._folder, "trace.csv")
            super().start()
        except BaseException:
            self.close()
            raise

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
        """Do nothing for some seconds, to measure the idle board's power. Do so before and after."""
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
        """Delete the trace unless it was given a path."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def open_for(
    target: Optional[str], sysfs: str = "/sys", trace_path: Optional[str] = None, **sampling: Any
) -> EnergyMonitor:
    """A monitor for a block of the profiler; nothing is started.

    Raises:
        NoSensorError: there is no sensor; its `tried` has the reason of each driver.
        SensorError: a sensor is there, but not the target's.
    """
    open_rails(target, sysfs, sampling.get("driver"), sampling.get("options")).close()
    return EnergyMonitor(target, sysfs, trace_path, **sampling)
