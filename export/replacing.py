"""A bundle's folder: replaced as a whole or left unchanged, and copied, whole or a board's half of it."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import storage_error
from splitwatt.engines.bundle.bundle import MANIFEST, Bundle


def check_place(out: Path) -> None:
    """Refuse a place whose content is not a bundle and would be lost.

    Raises:
        UsageError: a file, or a folder with files but no manifest.
        StorageError: it cannot be read.
    """
    try:
        if out.is_dir():
            foreign = any(out.iterdir()) and not (out / MANIFEST).is_file()
        else:
            foreign = os.path.lexists(out)
    except OSError as error:
        raise storage_error(str(out), error)
    if foreign:
        raise UsageError(f"{out} exists and is not a bundle", "name another folder")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A new folder next to `out`: it replaces `out` on success and is removed after an error.

    Raises:
        UsageError, StorageError: see `check_place`.
    """
    check_place(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _sweep(out)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.{os.getpid()}.", dir=out.parent))
    except OSError as error:
        raise storage_error(str(out), error)
    try:
        folder.chmod(0o755)
        yield folder
        before = Path(f"{folder}.old")
        if out.exists():
            out.rename(before)
        folder.rename(out)
        shutil.rmtree(before, ignore_errors=True)
    except OSError as error:
        raise storage_error(str(out), error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Remove what a killed process left of the same folder."""
    for leftover in out.parent.glob(f".{out.name}.*.*"):
        pid = leftover.name[len(out.name) + 2 :].split(".")[0]
        if pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(leftover, ignore_errors=True)


def link_files(bundle: Path, names: Iterable[str], folder: Path) -> None:
    """Copy files of a bundle to another folder, with hard links where the file system has them."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = (bundle / name).resolve()  # a link to a symbolic link would be one too
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)


def pack_board(path: Path) -> tuple[Path, int, int]:
    """Write the board's half of `bundles/nano/MODEL` to `bundles/nano-board/MODEL`.

    The manifest stays as it is, so both ends name the bundle by the same hash.

    Returns:
        The folder, its bytes, and those of the whole bundle.

    Raises:
        BundleError: a file of the bundle is missing or changed.
        StorageError: the folder cannot be written.
    """
    bundle = Bundle.open(str(path))
    own = bundle.files(without="server")
    out = path.parent.with_name(f"{path.parent.name}-board") / path.name
    with replacing(out) as folder:
        link_files(path, own, folder)
    sizes = {file: (path / file).stat().st_size for file in bundle.files()}
    return out, sum(sizes[file] for file in own), sum(sizes.values())
