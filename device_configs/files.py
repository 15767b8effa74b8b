"""Atomic writes, bounded reads, hashes, and paths that must stay inside their folder."""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from typing import IO, Any, Callable, Iterator, Optional, Type, Union

from splitwatt.device_configs.errors import SplitwattError

_CHUNK_BYTES = 1 << 20


def sha256_file(
    path: str, limit_bytes: Optional[int] = None, error: Type[SplitwattError] = SplitwattError
) -> str:
    """SHA-256 of a regular file's content, as 64 hexadecimal digits.

    Args:
        limit_bytes: the limit for the file's size; None: no limit.

    Raises:
        error: it cannot be read, is not a regular file, or is larger.
    """
    digest = hashlib.sha256()
    with opened(path, limit_bytes, error, "") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def read_bounded(
    path: str, limit_bytes: int, error: Type[SplitwattError] = SplitwattError, remedy: str = ""
) -> bytes:
    """The bytes of a regular file; a pipe or a device is refused without waiting.

    Raises:
        error: it cannot be read, is not a regular file, or is larger than `limit_bytes`.
    """
    with opened(path, limit_bytes, error, remedy) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise error("%s is larger than %d bytes" % (path, limit_bytes), remedy)
    return data


@contextlib.contextmanager
def opened(
    path: str, limit_bytes: Optional[int], error: Type[SplitwattError], remedy: str
) -> Iterator[IO[bytes]]:
    """A regular file; every failure to open or read it becomes one sentence."""
    try:
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise error("%s is not a regular file" % path, remedy)
            if limit_bytes is not None and status.st_size > limit_bytes:
                raise error("%s is larger than %d bytes" % (path, limit_bytes), remedy)
            yield stream
    except OSError as wrong:
        raise error("%s cannot be read: %s" % (path, wrong.strerror or wrong), remedy)
    except ValueError:  # a NUL in the path
        raise error("%r cannot be the name of a file" % path[:60], remedy)


def open_to_write(path: str, how: int = os.O_APPEND) -> IO[bytes]:
    """A file to append to, or with os.O_TRUNC to replace, made where it is missing; unbuffered.

    Follows no link, which a copied folder may hold, and writes into no pipe.

    Raises:
        SplitwattError: it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        mode = "ab" if how == os.O_APPEND else "wb"
        return os.fdopen(os.open(path, flags | how, 0o666), mode, buffering=0)
    except OSError as error:
        raise storage_error(path, error)


def write_atomic(path: str, content: Union[str, bytes]) -> None:
    """Write `content` (text as UTF-8); if that fails, `path` keeps its old content.

    Raises:
        SplitwattError: the disk is full or the folder cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    write_atomic_with(path, lambda stream: stream.write(data))


def write_atomic_with(path: str, write: Callable[[IO[bytes]], Any]) -> None:
    """Like `write_atomic`; `write(stream)` writes the content, to a temporary file."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix="." + os.path.basename(path))
        try:
            with os.fdopen(handle, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise storage_error(path, error)


def storage_error(path: str, error: OSError) -> SplitwattError:
    """The error to raise for an OSError while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SplitwattError(
            "the disk is full: %s could not be written" % path,
            "free some space and run the same command again",
        )
    return SplitwattError("%s could not be written: %s" % (path, error.strerror or error))


def inside(folder: str, name: str) -> str:
    """The path `folder`/`name`.

    Raises:
        SplitwattError: `name` is absolute or leads out of `folder`.
    """
    root = os.path.realpath(folder)
    try:
        path = os.path.realpath(os.path.join(root, name))
    except (OSError, ValueError):  # a NUL, or a name that is too long
        path = ""
    if os.path.isabs(name) or not path.startswith(root + os.sep):
        raise SplitwattError("'%s' is not a file name inside %s" % (name, folder))
    return path
