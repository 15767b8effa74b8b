"""A block's power traces, where board or server has a sensor and they are two machines."""

import base64
import json
import os
import time
import zlib
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import SensorError, ServerError, SplitwattError
from splitwatt.device_configs.files import write_atomic
from splitwatt.energy.monitor import EnergyMonitor, open_for
from splitwatt.energy.rail_set import NoSensorError
from splitwatt.energy.trace.files import metadata_path
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.remote import ENERGY, Offset, Remote
from splitwatt.profiler.records.blocks import IDLE, Block, Window
from splitwatt.profiler.records.fields import check_text, parse, plain_text
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import WINDOWS_FILE
from splitwatt.profiler.records.traces import AGAIN_SUFFIX, POWER_FOLDER, SERVER_SUFFIX, TraceFacts

# Before and after each block nothing runs for this time, to measure what the idle board uses;
# longer
# where the sensor is so slow that fewer readings than this would come, s.
IDLE_S = 2.0
_READINGS = 12
_LONGEST_IDLE_S = 20.0
# Of a server's trace.
_LARGEST_BYTES = 512 << 20


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
        unless: why nothing is to be sampled; None: sample.

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
        unless: Optional[str] = None,
    ) -> None:
        self.why_not = [] if unless is None else [unless]
        self._folder, self._block, self._session = folder, block, session
        self._target, self._sampling = target, sampling or {}
        self._path = _free(folder.path, block.id)
        self._monitor: Optional[EnergyMonitor] = None
        self._server: Optional[RemotePower] = None
        if server is not None and unless is None:
            self._server = RemotePower(server, timeout_s, _of_server(self._path), session)

    @property
    def sampled(self) -> bool:
        """Whether either end is sampled now."""
        return bool(self._about())

    @property
    def server_why_not(self) -> List[str]:
        """The same of the server's; empty where there is one or no server."""
        return [] if self._server is None else self._server.why_not

    def reasons(self, known: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """run.json's `power`, with the reasons of this block added."""
        power = dict(known or {})
        for key, reasons in (("why_not", self.why_not), ("server_why_not", self.server_why_not)):
            before = power.get(key, [])
            power[key] = before + [plain_text(r) for r in reasons if plain_text(r) not in before]
        return power

    def __enter__(self) -> "BlockPower":
        if self.why_not:
            return self
        try:
            monitor = open_for(self._target, trace_path=self._path, **self._sampling)
            monitor.start()
            self._monitor = monitor
        except NoSensorError as error:
            self.why_not = [
                "%s: %s" % (no.driver, "; ".join(filter(None, (no.reason, no.remedy))))
                for no in error.tried
            ]
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
        """What is sampled at each end that has a sensor."""
        own = None if self._monitor is None else sampled_rails(self._monitor.about)
        both = [own, None if self._server is None else self._server.about]
        return [about for about in both if about is not None]

    def _stop(self, monitor: EnergyMonitor) -> None:
        try:
            monitor.stop()
        except SensorError as sensor:  # the trace says how far it goes
            self.why_not = [str(sensor)]
        path = metadata_path(monitor.trace_path)
        if os.path.exists(path):  # the sampler, which has written it, knows no sessions
            with open(path, encoding="utf-8") as stream:
                about = json.load(stream)
            write_atomic(path, json.dumps(dict(about, session=self._session), indent=1) + "\n")


class RemotePower:
    """The server's rails during one block; where it has none, `why_not` says why.

    The trace goes to the CSV file `path`. It is on the server's clock; its JSON has the clocks' offset
    under `clock`.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float, path: str, session: int) -> None:
        self.why_not: List[str] = []
        self.about: Optional[TraceFacts] = None
        self._path = path
        self._session = session
        self._remote = Remote(endpoint, timeout_s)
        self._trace = ""
        self._before: Optional[Offset] = None

    def begin(self) -> None:
        """Have the server sample from here on."""
        try:
            if ENERGY not in self._remote.offers():
                self.why_not = [
                    "the server does not sample power: start it with 'splitwatt serve --energy'"
                ]
                return
            begun = self._remote.begin_power()
            self._before = self._remote.offset()
            self._trace, self.about = str(begun.get("trace")), sampled_rails(begun.get("about"))
        except SplitwattError as error:
            self.why_not = [str(error)]
        finally:  # a network may drop a connection that is silent while the block runs
            self._remote.close()

    def end(self) -> None:
        """Fetch the trace and keep it."""
        try:
            if self.about is not None:
                after = self._remote.offset()
                self._keep(self._remote.end_power(self._trace), after)
        except SplitwattError as error:
            self.why_not = [str(error)]
        finally:
            self._remote.close()

    def _keep(self, ended: Dict[str, Any], after: Offset) -> None:
        about = ended.get("about")
        try:
            unpacker = zlib.decompressobj()
            packed = base64.b64decode(str(ended.get("csv")).encode("ascii"))
            text = unpacker.decompress(packed, _LARGEST_BYTES).decode("utf-8")
        except (ValueError, zlib.error) as error:
            raise ServerError("the server's trace cannot be read: %s" % error)
        if not isinstance(about, dict) or not text.startswith("t_s,") or unpacker.unconsumed_tail:
            raise ServerError("the server's trace is not a trace")
        offsets = [self._before, after] if self._before is not None else [after]
        about["clock"] = [dict(offset._asdict()) for offset in offsets]
        about["session"] = self._session
        check_text(about, "the server's trace", "about")
        parse(TraceFacts, about, "the server's trace")
        write_atomic(self._path, text)
        write_atomic(metadata_path(self._path), json.dumps(about, indent=1) + "\n")


def sampled_rails(about: Any) -> TraceFacts:
    """What a sampler says that it samples, when it begins.

    Raises:
        RunError: it is something else.
    """
    given = dict(about, format=1) if isinstance(about, dict) else about
    return parse(TraceFacts, given, "what the sampler says")


def _enough_s(about: TraceFacts) -> float:
    """The seconds in which the slowest rail gives enough readings, 0 where that is unknown."""
    probed = about.probed_period_s or {}
    periods = [probed.get(rail.label) or rail.period_s or 0.0 for rail in about.rails]
    return min(_LONGEST_IDLE_S, _READINGS * max(periods, default=0.0))


def _free(run: str, block: str) -> str:
    folder = os.path.join(run, POWER_FOLDER)
    path, count = os.path.join(folder, block + ".csv"), 1
    while os.path.exists(path) or os.path.exists(_of_server(path)):
        count += 1
        path = os.path.join(folder, "%s%s%d.csv" % (block, AGAIN_SUFFIX, count))
    return path


def _of_server(path: str) -> str:
    return path[: -len(".csv")] + SERVER_SUFFIX + ".csv"
