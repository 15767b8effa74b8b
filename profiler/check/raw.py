"""A run folder as an auditor sees it: parsed lines, nothing merged, left out or put right."""

import json
import math
import os
from typing import Any, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.errors import RunError
from splitwatt.profiler.records.fields import (
    MEMORY_FIELDS,
    REQUEST_FIELDS,
    SAMPLE_FIELDS,
    STAGE_FIELDS,
    START_FIELDS,
    THROUGHPUT_FIELDS,
    WINDOW_FIELDS,
    Field,
    check_record,
)
from splitwatt.profiler.records.network import CLOCK_FIELDS, LINK_FIELDS
from splitwatt.profiler.records.run import read_document

Row = Dict[str, Any]
KINDS: Dict[str, Dict[str, Field]] = {
    "samples": SAMPLE_FIELDS,
    "windows": WINDOW_FIELDS,
    "memory": MEMORY_FIELDS,
    "starts": START_FIELDS,
    "throughput": THROUGHPUT_FIELDS,
    "stages": STAGE_FIELDS,
    "clock": CLOCK_FIELDS,
    "links": LINK_FIELDS,
}
# A check names so many offenders and counts the rest.
_SHOWN = 3


class Check(NamedTuple):
    """A named check.

    Attributes:
        name: what holds where it is met.
        met: whether it is; None where the run gives nothing to check.
        said: what was looked at, or what is wrong.
    """

    name: str
    met: Optional[bool]
    said: str


class Raw(NamedTuple):
    """A run's files.

    Attributes:
        path: the folder.
        document: run.json.
        rows: name of a .jsonl file -> its lines, those that can be read.
        damaged: sentences on lines that cannot.
    """

    path: str
    document: Row
    rows: Dict[str, List[Row]]
    damaged: List[str]

    def good(self) -> List[Row]:
        """Lines of samples that gave an answer, warm-up included."""
        return [row for row in self.rows["samples"] if row["status"] == "ok"]

    @property
    def finished(self) -> bool:
        """Whether the run says that it has come to its end."""
        return self.document.get("finished_wall") is not None


def read_raw(path: str) -> Raw:
    """Read every line of a run.

    Raises:
        RunError: there is no run at all.
    """
    document = read_document(path)
    damaged: List[str] = []
    rows = {kind: _rows(path, kind, fields, damaged) for kind, fields in KINDS.items()}
    return Raw(path, document, rows, damaged)


def verdict(name: str, wrong: List[str], looked_at: str) -> Check:
    """A check that is met where nothing is wrong."""
    if not wrong:
        return Check(name, True, looked_at)
    more = "; and %d more" % (len(wrong) - _SHOWN) if len(wrong) > _SHOWN else ""
    return Check(name, False, "; ".join(wrong[:_SHOWN]) + more)


def nothing(name: str, why: str) -> Check:
    """A check for which the run gives nothing."""
    return Check(name, None, why)


def place(row: Row) -> str:
    """A sample, for sentences."""
    return "%s %s %s" % (
        row["block"], "warm-up" if row["warmup"] else "inference", row["inference"]
    )  # fmt: skip


def _rows(path: str, kind: str, fields: Dict[str, Field], damaged: List[str]) -> List[Row]:
    file = os.path.join(path, kind + ".jsonl")
    if not os.path.exists(file):
        return []
    found: List[Row] = []
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, 1):
            where = "%s.jsonl, line %d" % (kind, number)
            if not line.endswith(b"\n"):
                damaged.append("%s is cut off" % where)
                continue
            try:
                row = check_record(json.loads(line.decode("utf-8")), fields, where)
                if kind == "samples":
                    for request in row["requests"]:
                        check_record(request, REQUEST_FIELDS, where)
                _check_numbers(row, where)
                found.append(row)
            except RunError as error:
                damaged.append(error.message)
            except ValueError:
                damaged.append("%s is no JSON" % where)
    return found


def _check_numbers(row: Row, where: str) -> None:
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RunError("%s: '%s' is no number" % (where, name))
        if name.endswith("_bytes") and value is not None and value < 0:
            raise RunError("%s: '%s' is below 0" % (where, name))
