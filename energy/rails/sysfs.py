"""Labels and numbers of sensors under /sys; the files of numbers stay open, because they are read often."""

import errno
import os
import shlex
from typing import List, Optional, Sequence

from splitwatt.device_configs.input.small_files import open_regular, read_bytes, whole_number
from splitwatt.energy.rails.rail import UnavailableError

# The longest text that a number's file and a label's file hold, in bytes.
_NUMBER_BYTES = 64
_LABEL_BYTES = 256


def read_text(path: str) -> str:
    """The text of a label's file, stripped.

    Raises:
        UnavailableError: it cannot be read (with the command that helps), is not a regular file, or
            holds no short printable text.
    """
    try:
        text = read_bytes(path, _LABEL_BYTES).decode("utf-8", "replace").strip("\0 \t\r\n")
    except OSError as error:
        raise unavailable(path, error)
    if not text.isprintable():
        raise UnavailableError("%s holds no printable text" % path)
    return text


def unavailable(path: str, error: OSError) -> UnavailableError:
    """The reason, in a sentence, why a file under /sys could not be read."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnavailableError("%s may be read by root only" % path, "sudo chmod a+r %s" % path)
    if error.errno == errno.ENOENT:
        return UnavailableError("there is no %s" % path)
    return UnavailableError("%s cannot be read: %s" % (path, error.strerror or error))


def require_readable(paths: Sequence[str]) -> None:
    """Raise UnavailableError, with one command that grants them all, if a file may not be read."""
    denied = [path for path in paths if os.path.lexists(path) and not os.access(path, os.R_OK)]
    if denied:
        more = " (and %d more)" % (len(denied) - 1) if len(denied) > 1 else ""
        raise UnavailableError(
            "%s may be read by root only%s" % (denied[0], more),
            "sudo chmod a+r " + " ".join(shlex.quote(path) for path in denied),
        )


class NumberFile(object):
    """A regular file that holds one integer, opened once.

    Reading it never blocks and never raises: what cannot be read is None. A file that vanished is
    opened again, so that a sensor that comes back is read again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = self._open()

    def _open(self) -> int:
        try:
            return open_regular(self.path)
        except OSError as error:
            raise unavailable(self.path, error)

    def _number(self) -> Optional[int]:
        data = os.pread(self._handle, _NUMBER_BYTES + 1, 0)
        return whole_number(data.decode("ascii")) if len(data) <= _NUMBER_BYTES else None

    def read(self) -> Optional[int]:
        """The integer, or None."""
        try:
            value = self._number()
            if value is not None:
                return value
        except (OSError, ValueError):
            pass  # it vanished, perhaps for a moment
        self.close()
        try:
            self._handle = self._open()
            return self._number()
        except (UnavailableError, OSError, ValueError):
            return None

    def close(self) -> None:
        """Close it; a later read opens it again."""
        handle, self._handle = self._handle, -1
        try:
            if handle >= 0:
                os.close(handle)
        except OSError:
            pass  # it was invalid already


def optional(path: str) -> Optional[NumberFile]:
    """The file, or None where it cannot be opened: for what is useful but not needed."""
    try:
        return NumberFile(path)
    except UnavailableError:
        return None


def scaled(files: Sequence[Optional[NumberFile]], unit: float) -> List[Optional[float]]:
    """What the files hold, divided by `unit`; None where there is no file or number."""
    values = [file.read() if file else None for file in files]
    return [None if value is None else value / unit for value in values]
