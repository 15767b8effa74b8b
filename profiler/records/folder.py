"""The run folder, written: append-only, whole after a kill at any moment, one writer at a time."""

import errno
import fcntl
import json
import os
import time
from typing import IO, Any, Dict, Optional

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import storage_error, write_atomic
from splitwatt.profiler.execute.work import Done
from splitwatt.profiler.records.appending import Appender
from splitwatt.profiler.records.network import CLOCK_FILE, LINKS_FILE
from splitwatt.profiler.records.run import (
    MEMORY_FILE,
    POWER_FOLDER,
    RUN_FILE,
    SAMPLES_FILE,
    STAGES_FILE,
    STARTS_FILE,
    THROUGHPUT_FILE,
    WINDOWS_FILE,
    read_document,
    read_samples,
    read_throughput,
)

__all__ = ["Appender", "RunFolder"]

_LOCK_FILE = ".lock"
_APPENDED = (
    SAMPLES_FILE, WINDOWS_FILE, MEMORY_FILE, STARTS_FILE, THROUGHPUT_FILE, STAGES_FILE,
    CLOCK_FILE, LINKS_FILE,
)  # fmt: skip
# A resumed run waits this long for the processes of a killed one to be gone.
_LOCK_WAIT_S = 5.0


class RunFolder:
    """The folder of a run that this process writes to.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._lock: Optional[IO[str]] = None

    @classmethod
    def create(cls, path: str, document: Dict[str, Any]) -> "RunFolder":
        """Make the folder with its run.json and hold its lock.

        Raises:
            RunError: there is a run already, or another process writes to it.
            SplitwattError: it cannot be written.
        """
        folder = cls(path)
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
        """Replace run.json; whole or not at all."""
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write_atomic(self.file(RUN_FILE), text)

    def samples(self) -> Appender:
        """Where samples are appended; a `Syncer` has them on the disk."""
        return Appender(self.file(SAMPLES_FILE), sync=False)

    def windows(self) -> Appender:
        """Where windows are appended."""
        return Appender(self.file(WINDOWS_FILE))

    def memory(self) -> Appender:
        """Where peaks of memory are appended."""
        return Appender(self.file(MEMORY_FILE))

    def starts(self) -> Appender:
        """Where starts of blocks are appended."""
        return Appender(self.file(STARTS_FILE))

    def throughput(self) -> Appender:
        """Where blocks' throughput is appended."""
        return Appender(self.file(THROUGHPUT_FILE))

    def lines(self) -> int:
        """How many samples are recorded, second attempts counted too."""
        return sum(1 for _ in read_samples(self.path))

    def done(self, block: str, retry_before: int) -> Done:
        """What of a block need not run (again).

        Args:
            block: its id.
            retry_before: samples among the first so many lines are to run again where they failed
                through no fault of their image.
        """
        return self.all_done(retry_before).get(block) or Done(set(), {}, False)

    def all_done(self, retry_before: int) -> Dict[str, Done]:
        """The same of every block that has any record, in one reading."""
        flows = {row.block for row in read_throughput(self.path) if row.images_per_s is not None}
        found: Dict[str, Done] = {block: Done(set(), {}, True) for block in flows}
        for line, sample in enumerate(read_samples(self.path)):
            if sample.ok or sample.failed_by == "image" or line >= retry_before:
                done = found.setdefault(sample.block, Done(set(), {}, False))
                if sample.warmup:
                    done.warmups.add(sample.inference)
                else:
                    done.inferences[sample.inference] = sample.total_s if sample.ok else None
        return found

    def hold(self) -> None:
        """Take the folder's lock; it is let go when this process and those it starts have ended.

        Raises:
            RunError: another process holds it.
        """
        path = self.file(_LOCK_FILE)
        try:
            self._lock = open(path, "a")  # noqa: SIM115
        except OSError as error:
            raise storage_error(path, error)
        until = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise SplitwattError("%s cannot be locked: %s" % (path, error.strerror))
                if time.monotonic() > until:
                    self._lock.close()
                    raise RunError(
                        "another process is writing to the run %s" % self.path,
                        "wait until it ends, or choose another --out",
                    )
                time.sleep(0.1)

    def mend(self) -> None:
        """Cut off last lines that were never finished; no block's process may be writing."""
        for name in _APPENDED:
            _cut_torn_line(self.file(name))

    def clean(self) -> None:
        """Remove what a killed writer of run.json had not put in its place yet."""
        for name in os.listdir(self.path):
            if name.startswith("." + RUN_FILE):
                os.unlink(self.file(name))

    def _check_new(self, path: str) -> None:
        if os.path.exists(self.file(RUN_FILE)):
            raise RunError(
                "%s holds a run already" % path, "use --resume %s, or another --out" % path
            )
        known = [name for name in _APPENDED if os.path.exists(self.file(name))]
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

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _cut_torn_line(path: str) -> None:
    """Cut off what follows the last end of line: a killed writer was at it."""
    if not os.path.exists(path):
        return
    with open(path, "r+b") as stream:
        data = stream.read()
        if data and not data.endswith(b"\n"):
            stream.truncate(data.rfind(b"\n") + 1)
            os.fsync(stream.fileno())
