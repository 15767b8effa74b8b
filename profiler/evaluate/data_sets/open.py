"""The data set of KIND:DIR.

Pictures are read as their files store them, as by torchvision's loaders: EXIF's orientation
is ignored, because boxes, masks and published figures refer to the stored pixels.
"""

import itertools
import os
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.input.strict_json import wrong_text
from splitwatt.device_configs.names import check_known
from splitwatt.engines.pipeline.image import IMAGE_SUFFIXES, image_names
from splitwatt.profiler.evaluate.data_sets.boxes import coco
from splitwatt.profiler.evaluate.data_sets.classes import imagenet, own_classes
from splitwatt.profiler.evaluate.data_sets.data_set import (
    CLASSIFICATION,
    DETECTION,
    SEGMENTATION,
    Classes,
    DataSet,
    Item,
    own_name,
)
from splitwatt.profiler.evaluate.data_sets.masks import own_masks, voc


def open_data_set(
    text: str, limit: Optional[int] = None, classes: Optional[Mapping[str, Classes]] = None
) -> DataSet:
    """The data set of KIND:DIR.

    Args:
        text: for example `coco:/data/coco2017`.
        limit: at most this many images; with a folder per class, the first of each class, then the
            second of each, and so on.
        classes: the bundle's, by task; what is missing is not known.

    Raises:
        UsageError: an unknown kind, a missing folder, another layout, other classes than the
            bundle's, or annotations that do not match a picture.
    """
    kind, colon, folder = text.partition(":")
    if not colon:
        raise UsageError("'%s' is not KIND:DIR" % text, "write it as imagenet:/data/ilsvrc")
    check_known("kind of data set", kind, _KINDS)
    if not os.path.isdir(folder):
        raise UsageError("there is no folder %s" % folder, "give --data %s:DIR" % kind)
    wrong = wrong_text(os.path.abspath(folder))
    if wrong:  # accuracy.json names the folder, and would not be read again
        raise UsageError("the path of the data set holds %s" % wrong, "rename the folder")
    task, read = _KINDS[kind]
    data = read(folder, (classes or {}).get(task, Classes()))
    if not data.items:
        raise UsageError("%s holds no image" % folder, "known: *" + " *".join(IMAGE_SUFFIXES))
    data = data._replace(path=os.path.abspath(folder))
    if limit is None or limit >= len(data.items):
        return data
    items = _round_robin(data.items) if data.task == CLASSIFICATION else data.items
    return data._replace(items=items[:limit], whole=False)


def _round_robin(items: Sequence[Item]) -> List[Item]:
    """The first of each class, the second of each, ...: the first N alone would be a few classes."""
    classes = [list(group) for _, group in itertools.groupby(items, lambda item: item.truth)]
    rounds = itertools.zip_longest(*classes)
    return [item for one in rounds for item in one if item is not None]


def _images(folder: str, classes: Classes) -> DataSet:
    """Images alone, read as a board reads them: bytes can be counted, accuracy cannot."""
    items = [Item(image, os.path.join(folder, image), None) for image in image_names(folder)]
    return DataSet("folder", own_name(folder), None, items, upright=True, own=True)


# The task of a kind, and what reads it from a folder, given the bundle's classes of that task.
_KINDS: Dict[str, Tuple[str, Callable[[str, Classes], DataSet]]] = {
    "imagenet": (CLASSIFICATION, imagenet),
    "coco": (DETECTION, coco),
    "voc": (SEGMENTATION, voc),
    "classes": (CLASSIFICATION, own_classes),
    "masks": (SEGMENTATION, own_masks),
    "images": ("", _images),
    "folder": ("", _images),  # the former name of `images`
}
