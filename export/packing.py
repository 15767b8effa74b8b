"""A board's half of a bundle: a folder without the server's parts, which are most of its bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from splitwatt.engines.bundle.bundle import MANIFEST, Bundle
from splitwatt.export.replacing import replacing


def place_of(bundle: Path) -> Path:
    """Where the board's half of `bundles/nano/MODEL` lies: `bundles/nano-board/MODEL`."""
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
    manifest = Bundle.open(str(path)).manifest
    parts = {part.file: part.placement for part in manifest.parts}
    parts.update({p.with_coder.file: p.placement for p in manifest.parts if p.with_coder})
    others = [sample.file for sample in manifest.samples]
    others += [sample.expected for sample in manifest.samples]
    others += [tables.file for tables in manifest.codec.tables] if manifest.codec else []
    own = [MANIFEST, *others, *(file for file, end in parts.items() if end != "server")]
    out = place_of(path)
    with replacing(out) as folder:
        for file in own:
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path / file, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path / file, target)
    size = sum((path / file).stat().st_size for file in own)
    return (
        out,
        size,
        size + sum((path / f).stat().st_size for f, end in parts.items() if end == "server"),
    )
