"""Files of a run folder, read with care: folders travel, and a file may be anything.

A file must be a regular one, of bounded size, with lines of bounded length. A line that a crash
damaged is left out; a line with an impossible value is an error.
"""

import json
import os
from typing import IO, Any, ContextManager, Iterator, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.files import opened
from splitwatt.device_configs.input.strict_json import parse_json

MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 2 << 30  # a million samples take 1.1 GB
_REMEDY = "the folder was changed after it was written"


class DamagedLineError(RunError):
    """A line that is not JSON: a disk or a transfer damaged it."""


def open_file(path: str, limit_bytes: int = MAX_FILE_BYTES) -> ContextManager[IO[bytes]]:
    """A regular file, opened to be read; neither a link nor a pipe, whose reading could block.

    Raises:
        RunError: it is another kind of file, cannot be read, or is too large.
    """
    if os.path.islink(path):
        raise RunError("%s is a symbolic link, not a file" % path, _REMEDY)
    return opened(path, limit_bytes, RunError, _REMEDY)


def read_bytes(path: str, limit_bytes: int) -> bytes:
    """The content of a file, see `open_file`."""
    with open_file(path, limit_bytes) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise RunError("%s is larger than %d bytes" % (path, limit_bytes), _REMEDY)
    return data


def whole_lines(path: str, start: int = 0) -> Iterator[Tuple[int, bytes]]:
    """Number and bytes of each line of a file, from 1; nothing if there is no file.

    Args:
        path: the file.
        start: where in it to begin, in bytes; a line's number counts from there.

    A last line without its end is left out: it is being written, or was when the power failed.

    Raises:
        RunError: see `open_file`; or a line is too long.
    """
    if not os.path.lexists(path):
        return
    with open_file(path) as stream:
        stream.seek(start)
        number = 0
        while True:
            number += 1
            line = stream.readline(MAX_LINE_BYTES + 1)
            if len(line) > MAX_LINE_BYTES:
                limit = "%s, line %d is longer than %d bytes" % (path, number, MAX_LINE_BYTES)
                raise RunError(limit, _REMEDY)
            if not line.endswith(b"\n"):
                return
            yield number, line


def read_line(line: bytes, where: str) -> Any:
    """The JSON of a line.

    Raises:
        DamagedLineError: it is not JSON.
        RunError: it is JSON that no run can hold, such as NaN or a duplicate key.
    """
    try:
        return parse_json(line, where, RunError)
    except RunError as error:
        try:
            json.loads(line.decode("utf-8"))
        except ValueError:
            raise DamagedLineError("%s is damaged: it is not JSON" % where)
        except RecursionError:
            pass
        raise error
