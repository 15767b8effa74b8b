"""Trace files: a CSV with `t_s` and a column per rail in watts, and a JSON of the same name.

An empty cell is a reading that failed. `t_s` is the monotonic clock of the machine that wrote it.
The JSON (`X.csv` -> `X.json`) says what the rails are and how they were sampled; any other CSV with
a `t_s` column is read too, with nothing known about its rails. Lines that begin with # are skipped,
and so is a column without a name, as pandas writes one.
"""

import json
import os
import re
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.files import open_to_write, storage_error, write_atomic
from splitwatt.device_configs.input.small_files import open_regular, real_number
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.energy.rails.rail import (
    COUNTER,
    INSTANT,
    SHORTEST_PERIOD_S,
    Rail,
    choose_total,
)

FORMAT = 1
# Above this, a reading from a CSV of unknown origin is absurd, W.
_ABSURD_W = 5000.0
# A day of four rails at 1 kHz has 3.5 GB; no line of a trace comes near to this length.
_MOST_BYTES = 4 << 30
_MOST_LINE_BYTES = 1 << 16
_METADATA_BYTES = 16 << 20
_PLAIN = re.compile("[-+0-9.eE, ]*")
# A column whose name ends so holds another unit than watts.
_OTHER_UNIT = re.compile(
    r".*[\W_](?:[nu\u00b5\u03bcmkM]W|milliwatts?|microwatts?|[um]?J|[umk]?Wh|joules?|m[AV])\W*",
    re.DOTALL,
)
# Seconds of no clock: a later time is in milliseconds or nanoseconds.
_LATEST_S = 1e11
_LARGEST = float("inf")
# Rows are kept back at most this many, and events counted beyond this many.
_MOST_ROWS = 256
_MOST_EVENTS = 1000


class Trace(NamedTuple):
    """A trace in memory: the times of its rows (s), a column of watts per rail (None: the reading
    failed), the rails, the labels that make the total, each rail's known or probed period (s),
    the metadata next to it ({}: none), and how many cells were not numbers.
    """

    times: List[float]
    columns: List[List[Optional[float]]]
    rails: List[Rail]
    total: Tuple[str, ...]
    period_s: Dict[str, Optional[float]]
    metadata: Dict[str, Any]
    garbage: int


def metadata_path(path: str) -> str:
    """The path of the JSON that describes the trace at `path`."""
    return os.path.splitext(path)[0] + ".json"


def read_trace(path: str) -> Trace:
    """The trace at `path`.

    Raises:
        SensorError: no such file, no `t_s` column, no rail, a column or times of another unit, or
            metadata of another format.
    """
    lines = _lines(path)
    header = [name.strip() for name in next(lines, "").split(",")]
    labels = [name for name in header if name not in ("t_s", "")]
    if "t_s" not in header or not labels:
        raise SensorError(
            "%s is not a trace: its first line must name t_s and a column per rail" % path,
            "write a line like t_s,VDD_IN first",
        )
    if len(set(labels)) != len(labels) or header.count("t_s") > 1:
        raise SensorError("%s has a column twice" % path, "rename one of them")
    other = next(filter(_OTHER_UNIT.fullmatch, labels), None)
    if other is not None:
        raise SensorError(
            "%s has a column '%s', which is not in watts" % (path, other),
            "convert it to watts and rename it",
        )
    times, columns, garbage = _rows(lines, header)
    if garbage and not times:
        raise SensorError(
            "%s has no row of %d numbers between commas" % (path, len(header)),
            "write rows like 0.1,4.25",
        )
    if times and max(map(abs, times)) > _LATEST_S:
        raise SensorError(
            "%s: t_s goes to %g, which is not a time in seconds" % (path, max(times, key=abs)),
            "convert t_s to seconds",
        )
    metadata = _metadata(path)
    try:
        described = {r["label"]: _rail(r) for r in metadata.get("rails") or []}
        sums = metadata.get("total_lines") or [metadata.get("total") or ()]
        total_lines = tuple(tuple(str(label) for label in line) for line in sums)
        probed = dict(metadata.get("probed_period_s") or {})
        if not all(map(_is_period, probed.values())):
            raise TypeError("probed_period_s")
    except (TypeError, KeyError, ValueError, AttributeError):
        beside = metadata_path(path)
        raise SensorError(
            "%s does not describe its rails as a trace does" % beside, "delete it or repair it"
        )
    lost = {label.rstrip("?") for line in total_lines for label in line} - set(labels)
    if lost:
        raise SensorError(
            "%s has a total of the rail '%s', which is not a column of the trace"
            % (metadata_path(path), min(lost)),
            "delete it or repair it",
        )
    rails = [described.get(label) or unknown_rail(label, path) for label in labels]
    return Trace(
        times=times,
        columns=columns,
        rails=rails,
        total=choose_total(total_lines, rails, counted_joules(times, columns, rails)),
        period_s={r.label: probed.get(r.label) or r.period_s for r in rails},
        metadata=metadata,
        garbage=garbage,
    )


def _lines(path: str) -> Iterator[str]:
    """The lines of a trace that are not empty and not comments."""
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            if os.fstat(stream.fileno()).st_size > _MOST_BYTES:
                raise SensorError(
                    "%s is larger than %d GiB" % (path, _MOST_BYTES >> 30), "cut it into parts"
                )
            for line in iter(lambda: stream.readline(_MOST_LINE_BYTES), b""):
                if len(line) == _MOST_LINE_BYTES:
                    raise SensorError(
                        "%s has a line that is too long for a trace" % path,
                        "give a CSV file with a line per sample",
                    )
                # Some programs write a mark before the first line, and quotes around every cell.
                text = line.decode("utf-8", "replace").lstrip("\ufeff").replace('"', "").strip()
                if text and text[0] != "#":
                    yield text
    except OSError as error:
        raise SensorError(
            "%s cannot be read: %s" % (path, error.strerror or error), "give a trace's CSV file"
        )


def _rows(
    lines: Iterator[str], header: List[str]
) -> Tuple[List[float], List[List[Optional[float]]], int]:
    clock = header.index("t_s")
    places = [i for i, name in enumerate(header) if name not in ("t_s", "")]
    times: List[float] = []
    columns: List[List[Optional[float]]] = [[] for _ in places]
    garbage = 0
    for line in lines:
        cells = line.split(",")
        # Among these characters `float` takes nothing but plain decimal numbers, and is quicker.
        number = _quick if _PLAIN.fullmatch(line) else real_number
        at = number(cells[clock]) if clock < len(cells) else None
        if at is None or len(cells) != len(header):
            garbage += 1  # half a line: the writer was killed
            continue
        times.append(at)
        for column, place in zip(columns, places):
            value = number(cells[place])
            garbage += value is None and cells[place].strip() != ""
            column.append(value)
    return times, columns, garbage


def _quick(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -_LARGEST < value < _LARGEST else None


def _metadata(path: str) -> Dict[str, Any]:
    beside = metadata_path(path)
    if beside == path or not os.path.isfile(beside):
        return {}
    remedy = "delete it or repair it"
    metadata = read_json(beside, _METADATA_BYTES, SensorError, remedy)
    if not isinstance(metadata, dict) or "rails" not in metadata:
        return {}  # a JSON of something else
    if metadata.get("format") != FORMAT:
        raise SensorError(
            "%s has the format %r; this splitwatt reads %d"
            % (beside, metadata.get("format"), FORMAT),
            "use the splitwatt that wrote it",
        )
    return metadata


def _rail(row: Dict[str, Any]) -> Rail:
    """A rail from its JSON; raises TypeError or KeyError where it has other keys or types."""
    for name, value in row.items():
        number = name in ("period_s", "absurd_above_w", "averages_s")
        if not (_is_number_or_none(value) if number else value is None or isinstance(value, str)):
            raise TypeError(name)
    rail = Rail(**row)
    if rail.label is None or rail.kind is None or rail.absurd_above_w is None:
        raise TypeError("label, kind or absurd_above_w")
    if not _is_period(rail.period_s):
        raise TypeError("period_s")
    return rail


def _is_period(value: Any) -> bool:
    return _is_number_or_none(value) and (value is None or value >= SHORTEST_PERIOD_S)


def _is_number_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def counted_joules(
    times: List[float], columns: List[List[Optional[float]]], rails: List[Rail]
) -> Dict[str, Optional[float]]:
    """What each energy counter of a trace counted, J."""
    return {
        rail.label: sum(
            (now - before) * watts
            for before, now, watts in zip(times, times[1:], column[1:])
            if rail.unusable(watts) is None and watts is not None
        )
        for rail, column in zip(rails, columns)
        if rail.kind == COUNTER
    }


def unknown_rail(label: str, path: str) -> Rail:
    """A rail of which only its column's name is known."""
    return Rail(label, "file", INSTANT, path, None, None, None, "unknown", _ABSURD_W)


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
            with open_to_write(beside + ".new", os.O_TRUNC) as stream:
                stream.write(json.dumps(self._about, indent=1).encode("utf-8"))
            os.replace(beside + ".new", beside)
        except OSError as error:
            raise storage_error(beside, error)

    def _describe(self) -> None:
        write_atomic(metadata_path(self._path), json.dumps(self._about, indent=1) + "\n")
