"""Small files of numbers under /sys: kept open and read again and again."""

import errno
import os
import shlex
from typing import Optional, Sequence

from splitwatt.energy.rails.rail import UnavailableError

# The longest text that a sensor's file holds, in bytes.
_MOST = 64


def read_text(path: str) -> str:
    """The text of a small file, stripped.

    Raises:
        UnavailableError: it is not there, or may not be read (with the command that helps).
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(4096).decode("utf-8", "replace").strip("\0 \t\r\n")
    except OSError as error:
        raise unavailable(path, error)


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
    """A file that holds one integer, opened once.

    Reading it never blocks on a pipe and never raises: what cannot be read is None. A file that
    vanished is looked for again, so that a sensor that comes back is read again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = self._open()

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise unavailable(self.path, error)

    def read(self) -> Optional[int]:
        """The integer, or None."""
        try:
            return int(os.pread(self._handle, _MOST, 0))
        except (OSError, ValueError):
            return self._again()

    def _again(self) -> Optional[int]:
        try:
            if self._handle >= 0:
                os.close(self._handle)
        except OSError:
            pass  # it was invalid already
        self._handle = -1
        try:
            self._handle = self._open()
            return int(os.pread(self._handle, _MOST, 0))
        except (UnavailableError, OSError, ValueError):
            return None

    def close(self) -> None:
        """Close it; a later read opens it again."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
