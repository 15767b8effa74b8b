"""Files that grow by one line per record, readable after a kill at any moment."""

import contextlib
import errno
import json
import os
import threading
from typing import Any, Dict, Iterator, List, Optional

from splitwatt.device_configs.files import open_to_write, storage_error

# A power failure loses at most this much of a run.
SYNC_EVERY_S = 1.0
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def line_of(record: Dict[str, Any]) -> bytes:
    """A record as its line of a file."""
    return (_encode(record) + "\n").encode("utf-8")


class Appender(contextlib.ExitStack):
    """Appends records to a file, one JSON object a line, each written before it returns; a context
    manager that closes the file.

    Args:
        path: the file.
        sync: put each line on the disk at once. Without it a kill of this process loses nothing,
            and a power failure loses what `synced` has not put on the disk yet.
    """

    def __init__(self, path: str, sync: bool = True) -> None:
        super().__init__()
        self._path = path
        self._sync = sync
        self._stream = self.enter_context(open_to_write(path))

    def append(self, record: Dict[str, Any]) -> None:
        """Add a line.

        Raises:
            SplitwattError: the disk is full or failed; the file ends with the last whole line.
        """
        line = line_of(record)
        written: Optional[int] = 0
        try:
            written = self._stream.write(line)
            if written != len(line):
                raise OSError(errno.ENOSPC, "no space left")
            if self._sync:
                os.fsync(self._stream.fileno())
        except OSError as error:
            # Readers ignore what follows the last whole line; a resume cuts it off.
            with contextlib.suppress(OSError):
                end = self._stream.seek(0, os.SEEK_END)
                self._stream.truncate(end - (written or 0))
            raise storage_error(self._path, error)

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes of the file."""
        try:
            self._stream.truncate(size)
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise storage_error(self._path, error)


@contextlib.contextmanager
def synced(path: str) -> Iterator[None]:
    """Put what another process appends to a file on the disk, once a second and at the end.

    In a thread of its own: what is timed never waits for the disk.

    Raises:
        SplitwattError: the disk failed.
    """
    stop = threading.Event()
    errors: List[OSError] = []

    def sync() -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except FileNotFoundError:  # nothing was recorded yet
            pass
        except OSError as error:
            errors.append(error)

    def work() -> None:
        while not stop.wait(SYNC_EVERY_S):
            sync()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sync()
    if errors:
        raise storage_error(path, errors[-1])
