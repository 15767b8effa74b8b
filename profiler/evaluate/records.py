"""Records of an evaluation, one image per line, so that it can continue after a kill."""

import hashlib
import json
import os
from typing import IO, Any, Callable, ContextManager, Dict, List, Sequence

from splitwatt.device_configs.errors import ImageError, RunError
from splitwatt.device_configs.files import read_bounded, storage_error
from splitwatt.profiler.evaluate.data_sets.data_set import DataSet, Item

_LIMIT_BYTES = 1 << 30

Row = Dict[str, Any]


class Records:
    """The lines of one evaluation: a heading that describes it, then one line per image.

    Args:
        folder: the run's; the file is in its sub-folder evaluation/.
        words: the file's name begins with them.
        heading: describes the evaluation; a file with another heading is replaced.

    Attributes:
        path: the file.
        rows: image name -> its record.

    Raises:
        RunError, SplitwattError: the file cannot be read or written.
    """

    def __init__(self, folder: str, words: Sequence[str], heading: Row) -> None:
        # Evaluations of other folders, backends and bundles have separate files.
        own = hashlib.sha256(json.dumps(heading, sort_keys=True).encode("utf-8")).hexdigest()[:8]
        self.path = os.path.join(folder, "evaluation", ".".join([*words, own, "jsonl"]))
        self._folder = folder
        self._heading = heading
        self.rows: Dict[str, Row] = {}
        rows = _read(self.path)
        if rows and rows[0] == heading:
            self.rows = {row["name"]: row for row in rows[1:]}
        # Cut off a last line that a kill left incomplete; new lines are appended after it.
        self._stream = _written(self.path, [heading, *self.rows.values()])

    def add(self, record: Row) -> None:
        """Keep an image's record; the kernel has it when this returns."""
        try:
            self._stream.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as error:
            raise storage_error(self.path, error)
        self.rows[record["name"]] = record

    def settle(self, names: Sequence[str], whole: bool) -> Dict[str, str]:
        """Put the records of these images first in the file, in this order: a figure refers to the first
        lines, whatever another evaluation adds after them. A part of a data set gets a separate file.

        Returns:
            `file`: its path in the run's folder; `sha256`: of the heading and those lines.
        """
        first = [self._heading] + [self.rows[name] for name in names]
        path = self.path
        if whole:
            counted = set(names)
            rest = [row for name, row in self.rows.items() if name not in counted]
            self.close()
            self._stream = _written(path, first + rest)
        else:
            path = "%s-first-%d.jsonl" % (os.path.splitext(self.path)[0], len(names))
            _written(path, first).close()
        text = "".join(json.dumps(row) + "\n" for row in first)
        sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return {"file": os.path.relpath(path, self._folder), "sha256": sha256}

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def record_all(
    records: Records,
    data: DataSet,
    opened: Callable[[], ContextManager[Callable[[Item], Row]]],
    advance: Callable[[], None],
) -> List[Row]:
    """The record of each item, in the items' order: the existing ones, and new ones for the others.

    A record is used again where size and time of change of the item's files are the same.

    Args:
        records: kept so far.
        data: with the items.
        opened: a context whose value makes the record of an item; entered if a record is missing.
        advance: called after each image.

    Raises:
        ImageError: an image or mask cannot be read.
    """
    rows = {}
    for item in data.items:
        row = records.rows.get(item.name)
        if row is not None and row.get("files") == _files(item):
            rows[item.name] = row
            advance()
    left = [item for item in data.items if item.name not in rows]
    if left:
        with opened() as record_of:
            for item in left:
                row = {"name": item.name, "files": _files(item)}
                row.update(record_of(item))
                records.add(row)
                rows[item.name] = row
                advance()
    return [rows[item.name] for item in data.items]


def _files(item: Item) -> List[List[int]]:
    """Size and time of change of an item's image, and of its mask where it has one."""
    paths = [item.path] + ([item.truth] if isinstance(item.truth, str) else [])
    try:
        states = [os.stat(path) for path in paths]
    except OSError as error:
        raise ImageError("%s cannot be read: %s" % (error.filename, error.strerror))
    return [[state.st_size, state.st_mtime_ns] for state in states]


def _read(path: str) -> List[Row]:
    """The documents of the lines that are whole, up to the first that is not."""
    if not os.path.exists(path):
        return []
    rows: List[Row] = []
    for line in read_bounded(path, _LIMIT_BYTES, RunError, "delete it").split(b"\n"):
        try:  # not by the strict reader: a time of change in nanoseconds is beyond 2^53
            row = json.loads(line.decode("utf-8"), parse_constant=_not_a_number)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict) or (rows and not isinstance(row.get("name"), str)):
            break
        rows.append(row)
    return rows


def _not_a_number(text: str) -> float:
    raise ValueError(text)


def _written(path: str, rows: Sequence[Row]) -> IO[str]:
    """The file with these lines instead of what it held, open for more."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = path + ".new"
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
        os.replace(temporary, path)
        return open(path, "a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise storage_error(path, error)
