"""The images of a profile: the same ones, in the same order, for every configuration."""

import os
from typing import Any, Dict, List, Optional, Tuple

from PIL import Image

from device_configs.errors import UsageError
from device_configs.files import sha256_file
from engines.photos import default_photos
from profiler.config import DEFAULT_IMAGES

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".jp2")


def list_images(images: str) -> List[str]:
    """Paths of the images of a folder, by name, or of the packaged photographs.

    Raises:
        UsageError: no such folder, or no image in it.
    """
    if images == DEFAULT_IMAGES:
        return default_photos()
    if not os.path.isdir(images):
        raise UsageError("there is no folder of images %s" % images)
    names = [name for name in os.listdir(images) if name.lower().endswith(SUFFIXES)]
    paths = [os.path.join(images, name) for name in sorted(names) if not name.startswith(".")]
    if not paths:
        raise UsageError("%s holds no image" % images, "known: *" + " *".join(SUFFIXES))
    return paths


def describe_images(paths: List[str]) -> List[Dict[str, Any]]:
    """What run.json keeps of each image; width and height are None of one that is damaged."""
    described = []
    for path in paths:
        width, height = _size(path)
        row = {
            "file": os.path.basename(path),
            "sha256": sha256_file(path),
            "width": width,
            "height": height,
        }
        described.append(row)
    return described


def image_of(inference: int, repeat: int, inferences: int, count: int) -> int:
    """Which of `count` images an inference runs: repeats go on where the one before ended."""
    return (repeat * inferences + inference) % count


def _size(path: str) -> Tuple[Optional[int], Optional[int]]:
    try:
        with Image.open(path) as image:
            return image.width, image.height
    except Exception:  # whatever a decoder makes of a damaged file: its samples will say
        return None, None
