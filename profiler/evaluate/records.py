"""Records of an evaluation, one image per line, so that it can continue after a kill."""

import hashlib
import json
import os
from contextlib import ExitStack
from typing import Any, Callable, Dict, List, Sequence

from splitwatt.device_configs.errors import ImageError, RunError
from splitwatt.device_configs.files import read_bounded, write_atomic_with
from splitwatt.profiler.evaluate.data_sets.data_set import DataSet, Item
from splitwatt.profiler.records.appending import Appender, line_of

LIMIT_BYTES = 1 << 30

Row = Dict[str, Any]


# Opens what makes the record of an item; a stack closes it.
Opened = Callable[[ExitStack], Callable[[Item], Row]]


def recorded(
    folder: str,
    words: Sequence[str],
    heading: Row,
    data: DataSet,
    opened: Opened,
    advance: Callable[[], None],
    figures: Callable[[List[Row]], List[Row]],
) -> List[Row]:
    """The results of an evaluation, with the file and hash of the records that they are made of.

    A record that is there is used again where size and time of change of the item's files are the same, and its
    truth: the number of a class changes with the folders of the other classes.

    Args:
        folder: the run's; the records are in its sub-folder evaluation/.
        words: the file's name begins with them.
        heading: describes the evaluation; a file with another heading is replaced.
        data: with the items.
        opened: called if a record is missing.
        advance: called after each image.
        figures: makes the results of the records, which are in the items' order.

    Raises:
        RunError, SplitwattError: the file cannot be read or written, or somebody has changed it.
        ImageError: an image or mask cannot be read.
    """
    # Evaluations of other folders, backends and bundles have separate files.
    own = hashlib.sha256(json.dumps(heading, sort_keys=True).encode("utf-8")).hexdigest()[:8]
    path = os.path.join(folder, "evaluation", ".".join([*words, own, "jsonl"]))
    known: Dict[str, Row] = {}
    before = _read(path)
    if before and before[0] == heading:
        known = {row["name"]: row for row in before[1:]}
    marks = {item.name: {"files": _files(item), "truth": item.truth} for item in data.items}
    # A last line that a kill left incomplete is cut off; new lines are appended after it.
    with _written(path, [heading, *known.values()]) as stream, ExitStack() as stack:
        record_of = None
        for item in data.items:
            row, mark = known.get(item.name, {}), marks[item.name]
            if any(row.get(key) != value for key, value in mark.items()):
                record_of = record_of or opened(stack)
                row = dict({"name": item.name}, **mark, **record_of(item))
                known[item.name] = row
                stream.append(row)  # the kernel has it when this returns
            advance()
    rows = [known[item.name] for item in data.items]
    # The records of these images first, in this order: a figure refers to the first lines, whatever
    # another evaluation adds after them. A part of a data set gets a separate file.
    first, rest = [heading, *rows], [row for name, row in known.items() if name not in marks]
    place = path
    if not data.whole:
        place, rest = "%s-first-%d.jsonl" % (os.path.splitext(path)[0], len(rows)), []
    _written(place, first + rest).close()
    sha256 = hashlib.sha256(b"".join(map(line_of, first))).hexdigest()
    kept = {"file": os.path.relpath(place, folder), "sha256": sha256}
    try:
        return [dict(result, records=kept) for result in figures(rows)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError("%s is damaged: %s" % (path, error), "delete it")


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
    for line in read_bounded(path, LIMIT_BYTES, RunError, "delete it").split(b"\n"):
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


def _written(path: str, rows: Sequence[Row]) -> Appender:
    """The file with these lines instead of what it held, open for more."""
    write_atomic_with(path, lambda stream: stream.writelines(map(line_of, rows)))
    return Appender(path, sync=False)
