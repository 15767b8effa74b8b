"""Reads small files under /sys and /proc, and the numbers in them, without blocking.

Only regular files are opened, and the number of bytes is limited. A number must be plain ASCII:
Python's own `int` and `float` also accept `1_000`, digits of other scripts, NaN and infinity.
"""

import os
import re
import stat
from typing import Dict, Optional

# The size limits of a file with one value, and of a table such as /proc/meminfo.
VALUE_BYTES = 4096
TABLE_BYTES = 1 << 20

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_REAL = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
# What may surround a number: a file ends with a newline, a device tree's text with a NUL.
_AROUND = " \t\r\n\0"


def open_regular(path: str) -> int:
    """A file descriptor of a regular file, but not of a pipe, device, socket or folder.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    # Checked before opening, because opening a device may have an effect.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(None, "it is not a regular file", path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(None, "it is not a regular file", path)


def read_bytes(path: str, limit: int = VALUE_BYTES) -> bytes:
    """The content of a small regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or holds more than `limit` bytes.
    """
    handle = open_regular(path)
    try:
        data = b""
        while len(data) <= limit:
            chunk = os.read(handle, limit + 1 - len(data))
            if not chunk:
                return data
            data += chunk
    finally:
        os.close(handle)
    raise OSError(None, "it holds more than %d bytes" % limit, path)


def text_of(path: str, limit: int = VALUE_BYTES) -> Optional[str]:
    """The stripped text of a small file; None if it cannot be read."""
    try:
        return read_bytes(path, limit).decode("utf-8", "replace").strip(_AROUND)
    except OSError:
        return None


def table_bytes(path: str) -> Dict[str, int]:
    """The lines "Name:   1234 kB" of a file under /proc, as name -> bytes."""
    values = {}
    for words in map(str.split, (text_of(path, TABLE_BYTES) or "").splitlines()):
        kilobytes = whole_number(words[1]) if len(words) == 3 and words[2] == "kB" else None
        if kilobytes is not None:
            values[words[0].rstrip(":")] = kilobytes * 1024
    return values


def number_of(path: str) -> Optional[float]:
    """The number in a small file; None if it does not hold a number."""
    text = text_of(path)
    return None if text is None else real_number(text)


def whole_number(text: str) -> Optional[int]:
    """A text of ASCII digits with an optional sign as a whole number; None if it is something else."""
    text = text.strip(_AROUND)
    return int(text) if _WHOLE.fullmatch(text) else None


def real_number(text: str) -> Optional[float]:
    """A text in ASCII as a finite decimal number; None if it is something else."""
    text = text.strip(_AROUND)
    value = float(text) if _REAL.fullmatch(text) else float("inf")
    return value if abs(value) < float("inf") else None
