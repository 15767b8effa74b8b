"""The images of a profile: the same ones, in the same order, for every configuration."""

import hashlib
import io
import os
from typing import Any, Dict, List, Optional, Tuple

from PIL import Image

from splitwatt.device_configs.errors import ImageError
from splitwatt.device_configs.files import read_bounded
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import MAX_FILE_BYTES, list_images
from splitwatt.profiler.config.config import DEFAULT_IMAGES


def config_images(images: str) -> List[str]:
    """Paths of the images that a config names: of a folder, or the packaged photographs.

    Raises:
        UsageError: no such folder, or no image in it.
    """
    return default_photos() if images == DEFAULT_IMAGES else list_images(images)


def describe_images(paths: List[str]) -> List[Dict[str, Any]]:
    """What run.json keeps of each image; width and height are None of one that is damaged.

    Raises:
        ImageError: a file cannot be read.
    """
    described = []
    for path in paths:
        data = read_bounded(path, MAX_FILE_BYTES, ImageError)
        width, height = _size(data)
        row = {
            "file": os.path.basename(path),
            "sha256": hashlib.sha256(data).hexdigest(),
            "width": width,
            "height": height,
        }
        described.append(row)
    return described


def image_of(inference: int, repeat: int, inferences: int, count: int) -> int:
    """Which of `count` images an inference runs: repeats go on where the one before ended."""
    return (repeat * inferences + inference) % count


def _size(data: bytes) -> Tuple[Optional[int], Optional[int]]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.width, image.height
    except Exception:  # a decoder may raise anything on a damaged file: its samples report it
        return None, None
