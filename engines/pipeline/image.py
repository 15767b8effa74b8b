"""Photographs as arrays: whatever the file holds becomes uint8 RGB, or an ImageError.

And which files of a folder are photographs.
"""

import io
import os
import re
import warnings
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.device_configs.files import read_bounded

Size = Tuple[int, int]  # (height, width)
Source = Union[str, bytes, "os.PathLike[str]"]
MAX_PIXELS = 100 * 1000 * 1000
# Of a file: this many pixels of three colours of 16 bits, not compressed.
MAX_FILE_BYTES = 6 * MAX_PIXELS + (1 << 20)

# Formats that decode inside this process; EPS, for one, would start another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
# What their files are called.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
             ".jp2")  # fmt: skip
_EXIF_ORIENTATION = 0x0112
# EXIF orientation -> the view of an upright (H, W, 3) array whose pixels lie as the file stores them
_STORED: Dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
_FIRST_TRANSPOSED = 5  # from here on an upright image is as wide as the stored one is high
# Pixels are converted in pieces of this size: converting a whole image at once would take several
# times its memory.
_BAND_PIXELS = 1 << 20
# Numbers of TIFF's tags.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_SIGNED = 2
# The start of a JPEG 2000 codestream, up to the byte with the first component's bits minus 1.
_JPEG2000_BITS = re.compile(rb"\xff\x4f\xff\x51.{38}(.)", re.DOTALL)
_PNM_HEADER = re.compile(rb"^P[2356](?:\s|#[^\n]*\n)+(?:\d+(?:\s|#[^\n]*\n)+){2}(\d{1,5})\s")


def decode_image(source: Source, exif_rotation: bool = True) -> np.ndarray:
    """Decode an image file. docs/formats.md lists what becomes of each kind of pixels.

    Args:
        source: a path, or the file's bytes.
        exif_rotation: turn the image as its EXIF orientation says; False leaves the pixels as they
            are stored, as torchvision's loaders do.

    Returns:
        uint8 (H, W, 3), contiguous and writable.

    Raises:
        ImageError: no such file, not an image, damaged, of unknown range, or beyond 100 megapixels
            or 601 MB.
    """
    return decode_reduced(source, None, exif_rotation)[0]


def decode_reduced(
    source: Source, needed: Optional[Callable[[Size], Size]], exif_rotation: bool = True
) -> Tuple[np.ndarray, Size]:
    """Decode an image file, a JPEG at 1/2, 1/4 or 1/8 of its size where that is large enough.

    The JPEG library's own scaling: it computes fewer pixels, and they differ from those that resizing
    the whole image gives. Source, pixels and errors are those of `decode_image`.

    Args:
        needed: the least (height, width) for an image of (height, width), both upright; it may raise
            ImageError. None: the whole image.

    Returns:
        The pixels, and the (height, width) of the image in the file, upright.
    """
    name = "the image" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_bounded(name, MAX_FILE_BYTES, ImageError)
    if not data:
        raise ImageError("%s is empty" % name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit on pixels is our own, below
            with _opened(data) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        "%s has %d x %d pixels, more than %d megapixels"
                        % (name, image.width, image.height, MAX_PIXELS // 10**6),
                        "make it smaller",
                    )
                white = _white(image, data, name)
                if image.format != "JPEG":
                    image.load()  # reading a PNG's EXIF loads it, and would hide that it is damaged
                orientation = _orientation(image) if exif_rotation else 1
                turned = orientation >= _FIRST_TRANSPOSED
                size = (image.width, image.height) if turned else (image.height, image.width)
                if needed is not None and image.format == "JPEG":
                    height, width = needed(size)[:: -1 if turned else 1]
                    image.draft(None, (width, height))
                image.load()
                return _rgb(image, white, orientation), size
    except ImageError:
        raise
    except Exception as error:  # whatever a decoder raises for damaged bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        reason = "not an image of a known format" if "cannot identify" in reason else reason
        raise ImageError("%s cannot be decoded: %s" % (name, reason))


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    codestream = _JPEG2000_BITS.search(data) if image.format == "JPEG2000" else None
    if codestream and image.mode == "L" and codestream.group(1)[0] >= 8:
        # Pillow takes a 9-bit grey in a .jp2 file for one of 8 bits, and drops the highest.
        image = Image.open(io.BytesIO(data[codestream.start() :]), formats=FORMATS)
        if image.mode == "L":  # so does Pillow before 9.2, in every file
            raise ValueError("this Pillow takes its 9 bits for 8")
    return image


def image_names(folder: str) -> List[str]:
    """File names of a folder's images, in order, without the hidden ones."""
    names = [name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES)]
    names = [name for name in names if not os.path.isdir(os.path.join(folder, name))]
    return sorted(name for name in names if not name.startswith("."))


def list_images(folder: str) -> List[str]:
    """Paths of a folder's images, in the order of their names; UsageError if it has no image."""
    if not os.path.isdir(folder):
        raise UsageError("there is no folder of images %s" % folder)
    paths = [os.path.join(folder, name) for name in image_names(folder)]
    if not paths:
        raise UsageError("%s holds no image" % folder, "known: *" + " *".join(IMAGE_SUFFIXES))
    return paths


def _orientation(image: Image.Image) -> int:
    """EXIF's, of 1 (upright) to 8; 1 where the file states none."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # damaged EXIF: the pixels are valid, their orientation is unknown
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _rgb(image: Image.Image, white: Tuple[int, bool], orientation: int) -> np.ndarray:
    """uint8 (H, W, 3), upright; takes the memory of one band besides the two images."""
    height, width = image.height, image.width
    turned = orientation >= _FIRST_TRANSPOSED
    upright = np.empty((width, height, 3) if turned else (height, width, 3), np.uint8)
    stored = _STORED[orientation](upright) if orientation in _STORED else upright
    rows = max(1, _BAND_PIXELS // max(1, width))
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        stored[top : top + rows] = np.asarray(_eight_bit(band, white).convert("RGB"))
    return upright


def _white(image: Image.Image, data: bytes, name: str) -> Tuple[int, bool]:
    """The value of white before scaling to 8 bits, and whether 0 is white instead.

    ImageError where the file does not say.
    """
    tags: Any = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    if image.mode == "LAB":
        raise ImageError("%s holds L*a*b* pixels, which are not converted" % name, "save it as RGB")
    if image.mode == "F":
        raise ImageError("%s holds floating-point pixels, whose range is unknown" % name)
    if _SIGNED in _numbers(tags.get(_SAMPLE_FORMAT)):
        raise ImageError("%s holds signed pixels, whose range is unknown" % name)
    grey16 = image.mode == "I" or image.mode.startswith("I;16")
    bits = max(_numbers(tags.get(_BITS)) or [16 if grey16 else 8])
    if bits > 16:
        raise ImageError("%s holds pixels of %d bits, whose range is unknown" % (name, bits))
    tile: Any = getattr(image, "tile", ())
    header = _PNM_HEADER.match(data) if image.format == "PPM" else None
    if header is not None and tile and tile[0][0] == "raw":
        return int(header.group(1)), False  # Pillow before 9.2 does not scale it
    codestream = _JPEG2000_BITS.search(data) if image.format == "JPEG2000" else None
    if grey16 and codestream:  # Pillow shifts these values to the top of 16 bits
        unused = max(0, 15 - (codestream.group(1)[0] & 0x7F))
        return 0xFFFF >> unused << unused, False
    if grey16:
        return (1 << bits) - 1, tags.get(_PHOTOMETRIC) == 0
    return 255, False


def _numbers(value: Any) -> List[int]:
    return [value] if isinstance(value, int) else list(value or ())


def _eight_bit(image: Image.Image, white: Tuple[int, bool]) -> Image.Image:
    """Scale to 8 bits what Pillow's own conversion would clip."""
    largest, zero_is_white = white
    if largest == 255 or image.mode == "1":
        return image
    values = np.clip(np.asarray(image).astype(np.int64), 0, largest)
    if zero_is_white:
        values = largest - values
    return Image.fromarray(((2 * 255 * values + largest) // (2 * largest)).astype(np.uint8))
