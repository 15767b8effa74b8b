"""The images that the ranges of an int8 graph come from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from device_configs.errors import UsageError
from engines.photos import default_photos

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# More images than this widen no range that matters, and cost minutes.
CALIBRATION_LIMIT = 100


def calibration_images(folder: str | None) -> tuple[list[str], str]:
    """The images that int8's ranges come from, and what the manifest calls them.

    Raises:
        UsageError: the folder holds none.
    """
    if folder is None:
        photos = list(default_photos())
        return photos, f"{len(photos)} packaged photographs"
    path = Path(folder)
    images = sorted(p for p in path.glob("*") if p.suffix.lower() in _IMAGE_ENDINGS)
    if not images:
        raise UsageError(
            f"{folder} holds no images to calibrate on", "name a folder of photographs"
        )
    images = images[:CALIBRATION_LIMIT]
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.read_bytes())
    named = f"{len(images)} images of {path.resolve().name}, SHA-256 {digest.hexdigest()[:12]}"
    return [str(image) for image in images], named
