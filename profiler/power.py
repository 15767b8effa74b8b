"""A block's power trace, where the board has a sensor and the server is another machine."""

import os
from typing import Any, Callable, Dict, List, Optional

from device_configs.errors import SensorError
from energy.monitor import EnergyMonitor, open_for
from energy.opening import Tried
from profiler.records import POWER_FOLDER

# Before and after each block nothing runs for so long, to know what the board uses then; longer
# where the sensor is so slow that fewer readings than this would come, s.
IDLE_S = 2.0
_READINGS = 12
_LONGEST_IDLE_S = 20.0


class BlockPower:
    """Samples the board's rails while a block runs; without a sensor it does nothing.

    A context manager. The trace is `power/BLOCK.csv`; a block that was resumed has `BLOCK~2.csv`,
    ... beside it.

    Args:
        run: the run folder.
        block: the block's id.
        target: the board's target, whose rails are looked for.
        window: called with name, start and end of the idle windows before and after the block.
        sampling: for `energy.monitor.open_for`; tests name a driver.

    Attributes:
        why_not: why there is no trace, a sentence a driver; empty where there is one.
    """

    def __init__(
        self,
        run: str,
        block: str,
        target: str,
        window: Callable[[str, float, float], None],
        idle_s: float = IDLE_S,
        sampling: Optional[Dict[str, Any]] = None,
    ) -> None:
        self.why_not: List[str] = []
        self._window = window
        self._idle_s = idle_s
        self._monitor: Optional[EnergyMonitor] = None
        try:
            opened = open_for(target, trace_path=_free(run, block), **(sampling or {}))
            self._monitor = opened.monitor
            if opened.monitor is None:
                self.why_not = [_sentence(tried) for tried in opened.why_not]
        except SensorError as error:
            self.why_not = [str(error)]

    def __enter__(self) -> "BlockPower":
        if self._monitor is not None:
            try:
                self._monitor.start()
            except SensorError as error:
                self.why_not = [str(error)]
                self._monitor = None
        self._idle()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._monitor is not None:
            try:
                if error[0] is None:
                    self._idle()
            finally:
                self._stop(self._monitor)

    def _idle(self) -> None:
        if self._monitor is None:
            return
        self._monitor.idle(max(self._idle_s, _enough_s(self._monitor.about)))
        self._window(*self._monitor.windows[-1])

    def _stop(self, monitor: EnergyMonitor) -> None:
        try:
            monitor.stop()
        except SensorError as sensor:  # the trace says how far it goes
            self.why_not = [str(sensor)]


def _enough_s(about: Dict[str, Any]) -> float:
    """The seconds in which the slowest rail gives enough readings, 0 where nobody knows."""
    probed = about["probed_period_s"]
    periods = [probed.get(rail["label"]) or rail["period_s"] or 0.0 for rail in about["rails"]]
    return min(_LONGEST_IDLE_S, _READINGS * max(periods))


def _sentence(tried: Tried) -> str:
    return "%s: %s%s" % (tried.driver, tried.reason, "; %s" % tried.remedy if tried.remedy else "")


def _free(run: str, block: str) -> str:
    folder = os.path.join(run, POWER_FOLDER)
    path, count = os.path.join(folder, block + ".csv"), 1
    while os.path.exists(path):
        count += 1
        path = os.path.join(folder, "%s~%d.csv" % (block, count))
    return path
