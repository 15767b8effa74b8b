"""A server's own power while a board's block runs: begun and ended by the board, then sent to it."""

import base64
import contextlib
import os
import tempfile
import threading
import uuid
import zlib
from contextlib import ExitStack
from typing import Any

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.monitor import EnergyMonitor, open_for
from splitwatt.energy.rail_set import NoSensorError
from splitwatt.energy.trace.files import metadata_path
from splitwatt.profiler.client.protocol import load_json

# The trace of a board that never comes back is ended after this time, s.
LONGEST_TRACE_S = 4 * 3600.0
_LARGEST_TRACE_BYTES = 128 << 20


class PowerRecorder:
    """Samples this machine's rails while a board's block runs; one trace at a time.

    Args:
        target: whose rails they are; None: detected.
        sysfs, driver: as for `splitwatt.energy.rail_set.open_rails`.

    Raises:
        SensorError: no sensor of this machine can be read: every driver's reason.
    """

    def __init__(self, target: str | None, sysfs: str = "/sys", driver: str | None = None) -> None:
        self._sources: dict[str, Any] = {"target": target, "sysfs": sysfs, "driver": driver}
        try:
            open_for(target, sysfs, driver=driver)
        except NoSensorError as no:
            remedies = [tried.remedy for tried in no.tried if tried.remedy]
            raise SensorError(no.message, remedies[0] if remedies else "leave out --energy")
        self._lock = threading.Lock()
        self._id = ""
        self._monitor: EnergyMonitor | None = None
        self._running = ExitStack()

    def begin(self) -> dict[str, Any]:
        """Sample from here on; what another board left running is thrown away."""
        with self._lock, ExitStack() as stack:
            self._throw_away()
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="splitwatt-"))
            monitor = EnergyMonitor(trace_path=os.path.join(folder, "trace.csv"), **self._sources)
            monitor.start()
            # A trace that is thrown away is not wanted any more: errors at its end are ignored.
            stack.enter_context(contextlib.suppress(SensorError))
            stack.callback(monitor.stop)
            ends = threading.Timer(LONGEST_TRACE_S, self.close)
            ends.daemon = True
            ends.start()
            stack.callback(ends.cancel)
            self._running = stack.pop_all()
            self._monitor, self._id = monitor, uuid.uuid4().hex
            return {"trace": self._id, "about": monitor.about}

    def end(self, trace: str) -> dict[str, Any]:
        """Stop, and the whole trace: its CSV (zlib, base64) and its metadata.

        Raises:
            SensorError: that trace is not running, or is too large.
        """
        with self._lock:
            if self._monitor is None or trace != self._id:
                raise SensorError("this trace was ended, or another board has begun one since")
            path = self._monitor.trace_path
            try:
                self._monitor.stop()
                if os.path.getsize(path) > _LARGEST_TRACE_BYTES:
                    raise SensorError("the trace is too large to be sent")
                with open(path, "rb") as stream:
                    packed = base64.b64encode(zlib.compress(stream.read(), 6)).decode("ascii")
                with open(metadata_path(path), "rb") as stream:
                    about = load_json(stream.read())
            finally:
                self._throw_away()
            return {"csv": packed, "about": about}

    def close(self) -> None:
        """End and throw away what is running."""
        with self._lock:
            self._throw_away()

    def _throw_away(self) -> None:
        self._monitor = None
        self._running.close()
