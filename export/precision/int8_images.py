"""The images that the ranges of an int8 graph come from."""

import hashlib
from pathlib import Path

from splitwatt.device_configs.errors import ImageError
from splitwatt.device_configs.files import read_bounded
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import MAX_FILE_BYTES, list_images

# More images than this cost minutes and hardly change the ranges.
CALIBRATION_LIMIT = 100


def calibration_images(folder: str | None) -> tuple[list[str], str]:
    """The images that int8's ranges come from, and their name in the manifest.

    Raises:
        UsageError: no such folder, or no image in it.
        ImageError: a file there cannot be read.
    """
    if folder is None:
        photos = list(default_photos())
        return photos, f"{len(photos)} packaged photographs"
    images = list_images(folder)[:CALIBRATION_LIMIT]
    digest = hashlib.sha256()
    for image in images:
        digest.update(read_bounded(image, MAX_FILE_BYTES, ImageError))
    named = (
        f"{len(images)} images of {Path(folder).resolve().name}, SHA-256 {digest.hexdigest()[:12]}"
    )
    return images, named
