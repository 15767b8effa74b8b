"""Photographs as arrays: whatever the file holds becomes uint8 RGB, or an ImageError.

And which files of a folder are photographs.
"""

import io
import os
import struct
import warnings
from typing import List, Union

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ImageError, UsageError

MAX_PIXELS = 100 * 1000 * 1000

# Formats that decode inside this process; EPS, for one, would start another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
# What their files are called.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".jp2")
_EXIF_ORIENTATION = 0x0112
# EXIF orientation -> Pillow's number of the transposition that undoes it (PIL.Image.Transpose)
_UPRIGHT = {
    2: 0,  # FLIP_LEFT_RIGHT
    3: 3,  # ROTATE_180
    4: 1,  # FLIP_TOP_BOTTOM
    5: 5,  # TRANSPOSE
    6: 4,  # ROTATE_270
    7: 6,  # TRANSVERSE
    8: 2,  # ROTATE_90
}
# What Pillow's decoders raise on bytes that are no sound image.
_UNSOUND = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, ZeroDivisionError, EOFError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def decode_image(source: Union[str, bytes, "os.PathLike[str]"], upright: bool = True) -> np.ndarray:
    """Decode an image file.

    EXIF's orientation is applied where `upright` says so. Grey becomes three equal channels, 16-bit grey is scaled to 8 bits,
    CMYK and palettes are converted, and alpha is dropped, as the papers' loaders do. Of an
    animation it is the first frame.

    Args:
        source: a path, or the file's bytes.
        upright: turn the picture as its EXIF orientation says; False: the pixels as stored, as
            torchvision's loaders have them.

    Returns:
        uint8 (H, W, 3), contiguous and writable.

    Raises:
        ImageError: no such file, not an image, damaged, of unknown range, or beyond 100 megapixels.
    """
    name = "the image" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read(name)
    if not data:
        raise ImageError("%s is empty" % name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit on pixels is our own, below
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        "%s has %d x %d pixels, more than %d megapixels"
                        % (name, image.width, image.height, MAX_PIXELS // 10**6),
                        "make it smaller",
                    )
                image.load()
                return np.array(
                    _eight_bit(_upright(image) if upright else image, name).convert("RGB")
                )
    except ImageError:
        raise
    except _UNSOUND as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = "not an image of a known format" if "cannot identify" in reason else reason
        raise ImageError("%s cannot be decoded: %s" % (name, reason))


def image_names(folder: str) -> List[str]:
    """File names of a folder's images, in order; hidden ones are none."""
    names = [name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES)]
    return sorted(name for name in names if not name.startswith("."))


def list_images(folder: str) -> List[str]:
    """Paths of a folder's images, in the order of their names.

    Raises:
        UsageError: no such folder, or no image in it.
    """
    if not os.path.isdir(folder):
        raise UsageError("there is no folder of images %s" % folder)
    paths = [os.path.join(folder, name) for name in image_names(folder)]
    if not paths:
        raise UsageError("%s holds no image" % folder, "known: *" + " *".join(_SUFFIXES))
    return paths


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise ImageError("%s cannot be read: %s" % (path, error.strerror or error))


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except _UNSOUND:
        return image  # the pixels are sound; damaged EXIF says nothing of their orientation
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)  # type: ignore[arg-type]


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion would clip."""
    if image.mode == "F":
        raise ImageError("%s holds floating-point pixels, whose range is unknown" % name)
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ImageError("%s holds pixels of more than 16 bits, whose range is unknown" % name)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
