"""A board's half of a bundle: a folder without the server's parts, which are most of its bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.replacing import replacing


def place_of(bundle: Path) -> Path:
    """The folder of the board's half of `bundles/nano/MODEL`: `bundles/nano-board/MODEL`."""
    return bundle.parent.with_name(f"{bundle.parent.name}-board") / bundle.name


def pack_board(path: Path) -> tuple[Path, int, int]:
    """Write the board's half of a bundle, with hard links where the file system has them.

    The manifest stays as it is, so both ends name the bundle by the same hash.

    Returns:
        The folder, its bytes, and those of the whole bundle.

    Raises:
        BundleError: a file of the bundle is missing or changed.
        StorageError: the folder cannot be written.
    """
    bundle = Bundle.open(str(path))
    own = bundle.files(without="server")
    out = place_of(path)
    with replacing(out) as folder:
        for file in own:
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path / file, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path / file, target)
    sizes = {file: (path / file).stat().st_size for file in bundle.files()}
    return out, sum(sizes[file] for file in own), sum(sizes.values())
