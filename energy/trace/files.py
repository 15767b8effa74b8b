"""Trace files: a CSV with `t_s` and a column a rail in watts, and a JSON of the same name.

An empty cell is a reading that failed. `t_s` is the monotonic clock of the machine that wrote it.
The JSON (`X.csv` -> `X.json`) says what the rails are and how they were sampled; any other CSV with
a `t_s` column is read too, with nothing known about its rails. Lines that begin with # are skipped.
"""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.rails.rail import INSTANT, Rail

FORMAT = 1
# Above this, a reading from a CSV of unknown origin is absurd, W.
_ABSURD_W = 5000.0


class Trace(NamedTuple):
    """A trace in memory: the times of its rows (s), a column of watts a rail (None: the reading
    failed), the rails, the labels that make the total, each rail's known or probed period (s),
    the metadata beside it ({}: none), and how many cells were no numbers.
    """

    times: List[float]
    columns: List[List[Optional[float]]]
    rails: List[Rail]
    total: Tuple[str, ...]
    period_s: Dict[str, Optional[float]]
    metadata: Dict[str, Any]
    garbage: int


def metadata_path(path: str) -> str:
    """Where the JSON of the trace at `path` lies."""
    return os.path.splitext(path)[0] + ".json"


def read_trace(path: str) -> Trace:
    """The trace at `path`.

    Raises:
        SensorError: no such file, no `t_s` column, no rail, or metadata of another format.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = [line.strip() for line in stream if line.strip() and line[0] != "#"]
    except OSError as error:
        raise SensorError("%s cannot be read: %s" % (path, error.strerror or error))
    header = [name.strip().strip('"') for name in lines[0].split(",")] if lines else []
    if "t_s" not in header or len(header) < 2:
        raise SensorError(
            "%s is no trace: its first line must name t_s and a column a rail" % path,
            "write a line like t_s,VDD_IN first",
        )
    labels = [name for name in header if name != "t_s"]
    if len(set(labels)) != len(labels):
        raise SensorError("%s has a column twice" % path)
    times, columns, garbage = _rows(lines[1:], header)
    metadata = _metadata(path)
    return _assemble(path, labels, times, columns, garbage, metadata)


def _rows(
    lines: List[str], header: List[str]
) -> Tuple[List[float], List[List[Optional[float]]], int]:
    clock = header.index("t_s")
    places = [i for i in range(len(header)) if i != clock]
    times: List[float] = []
    columns: List[List[Optional[float]]] = [[] for _ in places]
    garbage = 0
    for line in lines:
        cells = line.split(",")
        at = _number(cells[clock]) if clock < len(cells) else None
        if at is None or len(cells) != len(header):
            garbage += 1  # half a line: the writer was killed
            continue
        times.append(at)
        for column, place in zip(columns, places):
            value = _number(cells[place])
            garbage += value is None and cells[place].strip() != ""
            column.append(value)
    return times, columns, garbage


def _number(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None  # NaN and infinity are no readings


def _metadata(path: str) -> Dict[str, Any]:
    beside = metadata_path(path)
    if beside == path or not os.path.exists(beside):
        return {}
    try:
        with open(beside, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError) as error:
        raise SensorError("%s cannot be read: %s" % (beside, error), "delete it or repair it")
    if not isinstance(found, dict) or "rails" not in found:
        return {}  # a JSON of something else
    if found.get("format") != FORMAT:
        raise SensorError(
            "%s has the format %r; this splitwatt reads %d" % (beside, found.get("format"), FORMAT),
            "use the splitwatt that wrote it",
        )
    return found


def _assemble(
    path: str,
    labels: List[str],
    times: List[float],
    columns: List[List[Optional[float]]],
    garbage: int,
    metadata: Dict[str, Any],
) -> Trace:
    try:
        described = {r["label"]: Rail(**r) for r in metadata.get("rails") or []}
    except (TypeError, KeyError):
        beside = metadata_path(path)
        raise SensorError("%s describes a rail in another way" % beside, "delete it or repair it")
    rails = [described.get(label) or unknown_rail(label, path) for label in labels]
    probed = metadata.get("probed_period_s") or {}
    return Trace(
        times=times,
        columns=columns,
        rails=rails,
        total=tuple(metadata.get("total") or ()),
        period_s={r.label: probed.get(r.label) or r.period_s for r in rails},
        metadata=metadata,
        garbage=garbage,
    )


def unknown_rail(label: str, path: str) -> Rail:
    """A rail that nothing is known of but its column's name."""
    return Rail(label, "file", INSTANT, path, None, None, None, "unknown", _ABSURD_W)
