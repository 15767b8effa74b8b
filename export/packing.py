"""A board's half of a bundle: a folder without the server's parts, which are most of its bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.replacing import replacing


def link_files(bundle: Path, names: Iterable[str], folder: Path) -> None:
    """Copy files of a bundle to another folder, with hard links where the file system has them."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(bundle / name, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(bundle / name, target)


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
