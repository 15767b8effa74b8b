"""Writes a trace as it is made: rows at the end of the CSV, what is known of them in a JSON."""

import json
import os
import time
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.files import storage_error, write_atomic
from splitwatt.energy.rails.rail import Rail
from splitwatt.energy.trace.files import FORMAT, metadata_path

# Rows are kept back at most this many, and events counted beyond this many.
_MOST_ROWS = 256
_MOST_EVENTS = 1000


def rail_records(rails: List[Rail]) -> List[Dict[str, Any]]:
    """Rails as a trace's metadata has them."""
    return [dict(rail._asdict()) for rail in rails]


class TraceWriter(object):
    """An open trace. A killed writer leaves all rows but those of the last half second.

    Args:
        path: the CSV; it must not exist yet.
        labels: the rails, in the order of the values of a row.
        about: the metadata (`rails`, `total`, ...).
    """

    def __init__(self, path: str, labels: List[str], about: Dict[str, Any]) -> None:
        self._path = path
        self._about = dict(about, format=FORMAT, events=[], events_not_listed=0, stats=None)
        self._rows: List[str] = []
        self._events_written = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            self._handle = os.open(path, flags, 0o644)
        except FileExistsError:
            raise SensorError("the trace %s exists already" % path, "name another file")
        except OSError as error:
            raise storage_error(path, error)
        self._write(",".join(["t_s"] + labels) + "\n")
        self._describe()

    def row(self, at_s: float, watts: List[Optional[float]]) -> None:
        """One sample; an empty cell for a reading that failed."""
        self._rows.append(
            "%.6f,%s\n" % (at_s, ",".join(["" if w is None else "%.7g" % w for w in watts]))
        )
        if len(self._rows) >= _MOST_ROWS:
            self.flush()

    def event(self, what: str, details: Dict[str, Any]) -> None:
        """Note something that happened, for readers of the trace."""
        if len(self._about["events"]) < _MOST_EVENTS:
            self._about["events"].append(dict(details, what=what, at_s=time.monotonic()))
        else:
            self._about["events_not_listed"] += 1

    def flush(self) -> None:
        """Write the rows and events that were kept back."""
        if self._rows:
            self._write("".join(self._rows))
            self._rows = []
        if len(self._about["events"]) > self._events_written:
            self._events_written = len(self._about["events"])
            self._describe_quickly()

    def close(self, stats: Dict[str, Any]) -> None:
        """Write what is left, and what the sampler did and cost."""
        self.flush()
        os.close(self._handle)
        self._about["stats"] = stats
        self._describe()

    def _write(self, text: str) -> None:
        data = text.encode("utf-8")
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError as error:
            raise storage_error(self._path, error)

    def _describe_quickly(self) -> None:
        """Like `_describe`, without waiting for the disk: an SD card would hold up the sampling."""
        beside = metadata_path(self._path)
        try:
            with open(beside + ".new", "w", encoding="utf-8") as stream:
                json.dump(self._about, stream, indent=1)
            os.replace(beside + ".new", beside)
        except OSError as error:
            raise storage_error(beside, error)

    def _describe(self) -> None:
        write_atomic(metadata_path(self._path), json.dumps(self._about, indent=1) + "\n")
