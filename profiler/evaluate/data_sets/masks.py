"""Data sets with a mask per image: PASCAL VOC's, and your own."""

import os
import re
import unicodedata
from typing import Dict, List

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.device_configs.files import read_bounded
from splitwatt.device_configs.input.strict_json import wrong_text
from splitwatt.device_configs.names import first_repeated
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.image import FORMATS
from splitwatt.profiler.evaluate.data_sets.data_set import (
    SEGMENTATION,
    Classes,
    DataSet,
    Item,
    first_of,
    images_below,
    own_name,
    present,
    stored_size,
)

IGNORED = 255  # the border between VOC's objects, and other pixels that no class claims
_LIST_LIMIT_BYTES = 64 << 20
# Pillow spreads grey pixels of 2 and 4 bits over 8: what it multiplies them by.
_SPREAD = {"L;2": 85, "L;4": 17}
# Formats that keep class numbers: a JPEG does not.
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")


def voc(folder: str, classes: Classes) -> DataSet:
    """JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/val.txt."""
    names = labels("voc21")
    if classes.names is not None and list(classes.names) != names:
        raise UsageError(
            "the bundle's classes are not those of PASCAL VOC",
            "give a data set of the bundle's classes, as masks:DIR",
        )
    root = first_of(folder, (os.path.join("VOCdevkit", "VOC2012"), "VOC2012"))
    images, masks = (os.path.join(root, name) for name in ("JPEGImages", "SegmentationClass"))
    items = [
        Item(name, os.path.join(images, name + ".jpg"), os.path.join(masks, name + ".png"))
        for name in _listed(os.path.join(root, "ImageSets", "Segmentation", "val.txt"), images)
    ]
    items = _items(items, len(names))
    return DataSet("voc", "pascal_voc2012", SEGMENTATION, items, classes=len(names))


def own_masks(folder: str, classes: Classes) -> DataSet:
    """images/ and masks/: a mask of class numbers for each image, under the image's name."""
    images, masks = (os.path.join(folder, name) for name in ("images", "masks"))
    for place in (images, masks):
        if not os.path.isdir(place):
            raise UsageError(
                "there is no folder %s" % place, "masks:DIR is DIR/images and DIR/masks"
            )
    masks_of: Dict[str, List[str]] = {}
    for path in images_below(masks):
        name, suffix = os.path.splitext(os.path.relpath(path, masks))
        if suffix.lower() in _MASK_SUFFIXES:
            masks_of.setdefault(unicodedata.normalize("NFC", name), []).append(path)
    items = []
    for path in images_below(images):
        name = os.path.splitext(os.path.relpath(path, images))[0]
        missing = os.path.join(masks, name + ".png")
        mask, *others = masks_of.get(unicodedata.normalize("NFC", name), [missing])
        if others:
            raise UsageError(
                "%s and %s are two masks of '%s'" % (mask, others[0], name), "keep one of them"
            )
        items.append(Item(name, path, mask))
    count = IGNORED if classes.total is None else classes.total
    items = _items(items, count)
    return DataSet("masks", own_name(folder), SEGMENTATION, items, classes=count, own=True)


def read_mask(path: str, classes: int) -> np.ndarray:
    """The class of every pixel of a mask, uint8 (H, W), 255 for pixels without a class.

    Raises:
        ImageError: it is damaged, holds colours in place of class numbers, or a class number that
            is not below `classes`.
    """
    try:
        # Not by its path: then Pillow confuses the sides of a TIFF that it turns.
        with open(path, "rb") as stream, Image.open(stream, formats=FORMATS) as image:
            if image.mode not in ("P", "L", "1"):
                raise ImageError(
                    "the mask %s holds no class numbers: its pixels are %s" % (path, image.mode),
                    "save it as a palette or an 8-bit grey image whose values are class numbers",
                )
            packed = image.tile[0][3] if image.tile else ""
            image.load()
            mask = np.asarray(image).astype(np.uint8)
            mask //= _SPREAD.get(packed[0] if isinstance(packed, tuple) else packed, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError("the mask %s cannot be decoded: %s" % (path, error))
    known = mask[mask != IGNORED]
    if known.size and int(known.max()) >= classes:
        raise ImageError(
            "the mask %s holds the class %d, and there are %d" % (path, known.max(), classes),
            "a class number is below the number of classes, or 255 for none",
        )
    return mask


def _listed(path: str, images: str) -> List[str]:
    """The names in one of VOC's lists, one per line; a label may follow a name."""
    remedy = "PASCAL VOC 2012's VOCtrainval_11-May-2012.tar holds it"
    if not os.path.isfile(path):
        raise UsageError("there is no list of images %s" % path, remedy)
    try:
        text = read_bounded(path, _LIST_LIMIT_BYTES, UsageError, remedy).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the list of images %s is not UTF-8" % path, "save it as UTF-8")
    names = []
    # Not `splitlines`, which also ends a line at some letters of a name.
    for number, line in enumerate(re.split("\r\n|\r|\n", text), 1):
        line = line.strip()
        if not line:
            continue
        labelled = re.match(r"(.*\S)\s+-?[01]$", line)
        name = line
        if labelled and not present(os.path.join(images, line.replace("\0", "") + ".jpg")):
            name = labelled.group(1)
        wrong = wrong_text(name)
        if os.path.isabs(name) or ".." in name.split("/"):
            wrong = "'%s', which leads out of the data set" % name
        if wrong:
            raise UsageError("%s, line %d holds %s" % (path, number, wrong), remedy)
        names.append(name)
    return names


def _items(items: List[Item], classes: int) -> List[Item]:
    """The items, each with an image and a mask of its size and of known classes."""
    twice = first_repeated(sorted(item.name for item in items))
    if twice is not None:
        raise UsageError("the data set names '%s' more than once" % twice, "keep one of them")
    checked = []
    for item in items:
        path, mask = (_file_of(item.name, wanted) for wanted in (item.path, item.truth))
        sizes = stored_size(mask) + (path,) + stored_size(path)
        if sizes[:2] != sizes[3:]:
            raise UsageError(
                "the mask %s has %d x %d pixels, and %s has %d x %d" % ((mask,) + sizes),
                "make masks of the pictures as they are stored",
            )
        try:
            read_mask(mask, classes)
        except ImageError as error:
            raise UsageError(error.message, error.remedy)
        checked.append(Item(item.name, path, mask))
    return checked


def _file_of(name: str, wanted: str) -> str:
    path = present(wanted)
    if path is None:
        raise UsageError(
            "the data set names %s, and there is no %s" % (name, wanted),
            "every image needs its file and its mask",
        )
    return path
