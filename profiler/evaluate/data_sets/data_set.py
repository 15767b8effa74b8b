"""A data set: images and their truth (classes, boxes or masks); and helpers that read its folders."""

import os
import unicodedata
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.manifest import Manifest
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.image import FORMATS, image_names
from splitwatt.profiler.records.coco import Coco

CLASSIFICATION, DETECTION, SEGMENTATION = "classification", "detection", "segmentation"


class Classes(NamedTuple):
    """The classes of one task of a bundle.

    Attributes:
        names: by label; None: the bundle has no names, its classes are numbers.
        total: their number; None: the manifest does not state it.
    """

    names: Optional[Sequence[str]] = None
    total: Optional[int] = None


class Item(NamedTuple):
    """One image.

    Attributes:
        name: unique in its data set.
        path: its file.
        truth: its class, its id in `DataSet.coco`, or the file of its mask; or None.
    """

    name: str
    path: str
    truth: Any


class DataSet(NamedTuple):
    """Images and their truth.

    Attributes:
        kind: imagenet, coco, voc, classes, masks, images or folder.
        name: as in published figures; the folder's name for a data set of the user's own.
        task: the task that can be evaluated on it; None for images alone, which have no truth.
        items: in order, at most `limit` of them.
        whole: whether the items are the whole data set.
        annotations: COCO's file; None elsewhere.
        path: its folder.
        coco: what `annotations` holds.
        label_categories: detector's label -> category id, a number or a text; None where they are the
            same.
        classes: number of classes in masks; 0 without masks.
        upright: whether EXIF's orientation is applied to its pictures.
        own: whether it is the user's own, which its folder identifies.
    """

    kind: str
    name: str
    task: Optional[str]
    items: List[Item]
    whole: bool = True
    annotations: Optional[str] = None
    path: str = ""
    coco: Optional[Coco] = None
    label_categories: Optional[Dict[int, Any]] = None
    classes: int = 0
    upright: bool = False
    own: bool = False


def classes_of(manifest: Manifest) -> Dict[str, Classes]:
    """The classes of each task, as the manifest states them."""
    classes = {}
    for task, head in manifest.postprocess.items():
        if head.labels is not None:
            names = list(labels(head.labels))
            classes[task] = Classes(names, len(names))
            continue
        shapes = [
            port.shape
            for part in manifest.parts
            for port in part.outputs
            if task == CLASSIFICATION and part.name == head.part and port.name == "logits"
        ]
        classes[task] = Classes(None, shapes[0][-1] if shapes else None)
    return classes


def own_name(folder: str) -> str:
    """The name of a folder itself."""
    return os.path.basename(os.path.abspath(folder))


def first_of(folder: str, names: Sequence[str]) -> str:
    """The first of these sub-folders that exists, else `folder` itself."""
    paths = [os.path.join(folder, name) for name in names]
    return next((path for path in paths if os.path.isdir(path)), folder)


def folders_in(root: str) -> List[str]:
    """Names of the sub-folders, in order; hidden ones are left out."""
    names = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))
    return [name for name in names if not name.startswith(".")]


def images_below(folder: str) -> List[str]:
    """Paths of the images in a folder and in all folders below it, in order.

    Raises:
        UsageError: a link leads back to a folder above it, so that there is no end.
    """
    paths = []
    for place, folders, _ in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        above = os.path.realpath(place) + os.sep
        for name in folders:
            path = os.path.join(place, name)
            if os.path.islink(path) and above.startswith(os.path.realpath(path) + os.sep):
                raise UsageError("the link %s leads back to a folder above it" % path, "delete it")
        paths += [os.path.join(place, name) for name in image_names(place)]
    return sorted(paths)


def present(path: str) -> Optional[str]:
    """The path of an existing file, also where its accented letters are encoded in the other of
    Unicode's two ways, as on macOS; None: no such file.
    """
    paths = [path] + [unicodedata.normalize(form, path) for form in ("NFC", "NFD")]
    return next(filter(os.path.isfile, paths), None)


def stored_size(path: str) -> Tuple[int, int]:
    """Width and height of the stored pixels, from the head of the file.

    Raises:
        UsageError: it is not an image.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return int(image.width), int(image.height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(
            "%s cannot be read as an image: %s" % (path, str(error).split("\n")[0]),
            "replace it, or remove it from the data set",
        )
