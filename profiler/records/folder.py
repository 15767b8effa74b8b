"""The run folder, written: append-only, whole after a kill at any moment, one writer at a time."""

import contextlib
import fcntl
import json
import os
import time
from typing import IO, Any, Dict, Optional

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import open_to_write, storage_error, write_atomic
from splitwatt.profiler.records.appending import Appender
from splitwatt.profiler.records.document import RUN_FILE, check_document, read_document
from splitwatt.profiler.records.reading import whole_lines
from splitwatt.profiler.records.run import FILES, SAMPLES_FILE
from splitwatt.profiler.records.traces import POWER_FOLDER

_LOCK_FILE = ".lock"
JOB_FILE = ".job.json"
# A resumed run waits this long for the processes of a killed one to be gone.
_LOCK_WAIT_S = 5.0


class RunFolder(contextlib.ExitStack):
    """The folder of a run that this process writes to; a context manager that frees its lock.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = os.path.abspath(path)
        self._lock: Optional[IO[bytes]] = None

    @classmethod
    def create(cls, path: str, document: Dict[str, Any]) -> "RunFolder":
        """Make the folder with its run.json and hold its lock.

        Raises:
            RunError: there is a run already, another process writes to it, or readers would refuse a
                value of the document.
            SplitwattError: it cannot be written.
        """
        folder = cls(path)
        check_document(document, RUN_FILE)
        folder._check_new(path)
        try:
            os.makedirs(folder.file(POWER_FOLDER), exist_ok=True)
        except OSError as error:
            raise storage_error(path, error)
        folder.hold()
        try:
            folder._check_new(path)  # another process may have made one while this one waited
            folder.clean()
            folder.write_document(document)
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def reopen(cls, path: str) -> "RunFolder":
        """Hold the lock of an existing run and cut off a last line that was never finished.

        Raises:
            RunError: there is no run, or another process writes to it.
        """
        read_document(path)
        folder = cls(path)
        folder.hold()
        folder.mend()
        folder.clean()
        return folder

    def file(self, name: str) -> str:
        """The path of a file in the folder."""
        return os.path.join(self.path, name)

    def document(self) -> Dict[str, Any]:
        """run.json."""
        return read_document(self.path)

    def write_document(self, document: Dict[str, Any]) -> None:
        """Replace run.json; whole or not at all.

        Raises:
            RunError: readers would refuse a value in it, as a control character in a file's name.
        """
        check_document(document, RUN_FILE)
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write_atomic(self.file(RUN_FILE), text)

    def appender(self, name: str) -> Appender:
        """Where records of a file are appended; `synced` puts samples on the disk."""
        return Appender(self.file(name), sync=name != SAMPLES_FILE)

    def append(self, name: str, row: Any) -> None:
        """Append one record, a NamedTuple, to a file."""
        with self.appender(name) as lines:
            lines.append(dict(row._asdict()))

    def hold(self) -> None:
        """Take the folder's lock; it is free again when this process and those it starts have ended.

        Raises:
            RunError: another process holds it.
        """
        path = self.file(_LOCK_FILE)
        self._lock = self.enter_context(open_to_write(path))
        until = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    self.close()
                    raise RunError(
                        "another process is writing to the run %s" % self.path,
                        "wait until it ends, or choose another --out",
                    )
                time.sleep(0.1)
            except OSError as error:
                raise SplitwattError("%s cannot be locked: %s" % (path, error.strerror))

    def mend(self) -> None:
        """Cut off last lines that were never finished; no block's process may be writing."""
        for name in FILES:
            _cut_torn_line(self.file(name))

    def clean(self) -> None:
        """Remove what a killed session left: a half-written run.json, the job of its last block."""
        for name in os.listdir(self.path):
            if name.startswith(("." + RUN_FILE, JOB_FILE, "." + JOB_FILE)):
                os.unlink(self.file(name))

    def _check_new(self, path: str) -> None:
        if os.path.exists(self.file(RUN_FILE)):
            raise RunError(
                "%s holds a run already" % path,
                "name another with --out, or finish it with 'splitwatt profile --resume %s'" % path,
            )
        known = [name for name in FILES if os.path.exists(self.file(name))]
        if known:
            raise RunError(
                "%s holds %s of a run that has lost its %s" % (path, known[0], RUN_FILE),
                "choose another --out",
            )

    def lock_number(self) -> int:
        """The file descriptor of the lock, for a child that is to hold it as well."""
        if self._lock is None:
            raise RunError("the run %s is not held" % self.path)
        return self._lock.fileno()


def _cut_torn_line(path: str) -> None:
    """Cut off what follows the last end of line: a killed writer was at it."""
    whole = sum(len(line) for _, line in whole_lines(path))
    if os.path.lexists(path) and whole < os.path.getsize(path):
        with Appender(path) as lines:
            lines.cut(whole)
