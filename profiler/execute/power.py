"""A block's power traces, where board or server has a sensor and they are two machines."""

import json
import os
import time
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.files import write_atomic
from splitwatt.energy.monitor import EnergyMonitor, open_for
from splitwatt.energy.rail_set import NoSensorError, Tried
from splitwatt.energy.trace.files import metadata_path
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.execute.remote_power import RemotePower, sampled_rails
from splitwatt.profiler.records.blocks import IDLE, Block, Window
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import WINDOWS_FILE
from splitwatt.profiler.records.traces import (
    AGAIN_SUFFIX,
    POWER_FOLDER,
    SERVER_SUFFIX,
    TraceFacts,
)

# Before and after each block nothing runs for so long, to know what the board uses then; longer
# where the sensor is so slow that fewer readings than this would come, s.
IDLE_S = 2.0
_READINGS = 12
_LONGEST_IDLE_S = 20.0


class BlockPower:
    """Samples the board's rails, and has the server sample its own, while a block runs.

    A context manager, which records the idle time before and after the block. The trace is
    `power/BLOCK.csv`; a block that was resumed has `BLOCK~2.csv`, ... next to it; the server's has
    `.server` after its name. Without a sensor it does nothing.

    Args:
        folder: of the run.
        block: what runs.
        target: the board's target, whose rails are looked for.
        session: of the run, which traces and windows state.
        sampling: for `splitwatt.energy.monitor.open_for`, such as the only driver to use.
        server: the block's server; None for a block that uses none.
        timeout_s: of one request to it.

    Attributes:
        why_not: why there is no trace, a sentence a driver; empty where there is one.
    """

    def __init__(
        self,
        folder: RunFolder,
        block: Block,
        target: str,
        session: int = 0,
        sampling: Optional[Dict[str, Any]] = None,
        server: Optional[Endpoint] = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.why_not: List[str] = []
        self._folder, self._block, self._session = folder, block, session
        self._target, self._sampling = target, sampling or {}
        self._path = _free(folder.path, block.id)
        self._monitor: Optional[EnergyMonitor] = None
        self._server: Optional[RemotePower] = None
        if server is not None:
            self._server = RemotePower(server, timeout_s, _of_server(self._path), session)

    @property
    def sampled(self) -> bool:
        """Whether either end is sampled now."""
        return bool(self._about())

    @property
    def server_why_not(self) -> List[str]:
        """The same of the server's; empty where there is one or no server."""
        return [] if self._server is None else self._server.why_not

    def __enter__(self) -> "BlockPower":
        try:
            monitor = open_for(self._target, trace_path=self._path, **self._sampling)
            monitor.start()
            self._monitor = monitor
        except NoSensorError as no:
            self.why_not = [_sentence(tried) for tried in no.tried]
        except SensorError as error:
            self.why_not = [str(error)]
        if self._server is not None:
            self._server.begin()
        self._idle()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._idle()
        finally:
            if self._monitor is not None:
                self._stop(self._monitor)
            if self._server is not None:
                self._server.end()

    def _idle(self) -> None:
        about = self._about()
        if not about:
            return
        start, block = time.monotonic(), self._block
        time.sleep(max([IDLE_S] + [_enough_s(one) for one in about]))
        ends = start, time.monotonic(), self._session
        window = Window(IDLE, block.config, block.backend, block.id, *ends)
        self._folder.append(WINDOWS_FILE, window)

    def _about(self) -> List[TraceFacts]:
        """What is sampled, of each end that is."""
        own = None if self._monitor is None else sampled_rails(self._monitor.about)
        both = [own, None if self._server is None else self._server.about]
        return [about for about in both if about is not None]

    def _stop(self, monitor: EnergyMonitor) -> None:
        try:
            monitor.stop()
        except SensorError as sensor:  # the trace says how far it goes
            self.why_not = [str(sensor)]
        _say_session(monitor.trace_path, self._session)


def _say_session(trace: str, session: int) -> None:
    """Put the run's session into a trace's metadata, which the sampler has written."""
    path = metadata_path(trace)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            about = json.load(stream)
        write_atomic(path, json.dumps(dict(about, session=session), indent=1) + "\n")


def _enough_s(about: TraceFacts) -> float:
    """The seconds in which the slowest rail gives enough readings, 0 where that is unknown."""
    probed = about.probed_period_s or {}
    periods = [probed.get(rail.label) or rail.period_s or 0.0 for rail in about.rails]
    return min(_LONGEST_IDLE_S, _READINGS * max(periods, default=0.0))


def _sentence(tried: Tried) -> str:
    return "%s: %s%s" % (tried.driver, tried.reason, "; %s" % tried.remedy if tried.remedy else "")


def _free(run: str, block: str) -> str:
    folder = os.path.join(run, POWER_FOLDER)
    path, count = os.path.join(folder, block + ".csv"), 1
    while os.path.exists(path) or os.path.exists(_of_server(path)):
        count += 1
        path = os.path.join(folder, "%s%s%d.csv" % (block, AGAIN_SUFFIX, count))
    return path


def _of_server(path: str) -> str:
    return path[: -len(".csv")] + SERVER_SUFFIX + ".csv"
