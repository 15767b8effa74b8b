"""Data sets as their authors lay them out: KIND:DIR, checked whole before anything is run.

Pictures are read as their files store them, as torchvision's loaders read them: EXIF's orientation
turns no picture whose boxes, masks and published figures are of the stored pixels.
"""

import itertools
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.device_configs.names import check_known, suggestion
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.image import image_names
from splitwatt.profiler.records.coco import Coco, category_ids, read_coco

CLASSIFICATION, DETECTION, SEGMENTATION = "classification", "detection", "segmentation"
IGNORED = 255  # the border between VOC's objects, and other pixels that no class claims
_LIST_LIMIT_BYTES = 64 << 20

Names = Optional[Sequence[str]]


class Item(NamedTuple):
    """One image.

    Attributes:
        name: its own in the data set: no other item has it.
        path: its file.
        truth: its class, its id in `DataSet.coco`, or the file of its mask; or None.
    """

    name: str
    path: str
    truth: Any


class DataSet(NamedTuple):
    """Images and what is true of them.

    Attributes:
        kind: imagenet, coco, voc, classes, masks or folder.
        name: as published figures call it; the folder's own name for a data set of one's own.
        task: what can be evaluated on it; None for `folder`, which has no truth.
        items: in their order, as many as were asked for.
        whole: whether that is all of them.
        annotations: COCO's file; None elsewhere.
        path: its folder.
        coco: what `annotations` holds.
        label_categories: detector's label -> category id; None where they are the same.
        classes: how many a mask may hold; 0 without masks.
        upright: whether EXIF's orientation is applied to its pictures.
        own: whether it is the user's own, known by its folder.
    """

    kind: str
    name: str
    task: Optional[str]
    items: List[Item]
    whole: bool = True
    annotations: Optional[str] = None
    path: str = ""
    coco: Optional[Coco] = None
    label_categories: Optional[Dict[int, int]] = None
    classes: int = 0
    upright: bool = False
    own: bool = False


def open_data_set(text: str, limit: Optional[int] = None, names: Names = None) -> DataSet:
    """The data set of KIND:DIR.

    Args:
        text: as `coco:/data/coco2017`.
        limit: the first so many images only; with a folder per class, the first of each class, then
            the second of each, and so on.
        names: the class names of the bundle, by label; None: those of ImageNet, COCO and VOC.

    Raises:
        UsageError: no such kind or folder, it is not laid out as that data set is, or what is said
            of a picture does not fit the picture.
    """
    kind, colon, folder = text.partition(":")
    if not colon:
        raise UsageError("'%s' is no data set" % text, "write KIND:DIR, as imagenet:/data/ilsvrc")
    check_known("kind of data set", kind, _KINDS)
    if not os.path.isdir(folder):
        raise UsageError("there is no folder %s" % folder, "give --data %s:DIR" % kind)
    data = _KINDS[kind](folder, names)
    if not data.items:
        raise UsageError("%s holds no image of a %s data set" % (folder, kind))
    data = data._replace(path=os.path.abspath(folder))
    if limit is None or limit >= len(data.items):
        return data
    items = _round_robin(data.items) if data.task == CLASSIFICATION else data.items
    return data._replace(items=items[:limit], whole=False)


def read_mask(path: str, classes: int) -> np.ndarray:
    """The class of every pixel of a mask, uint8 (H, W), 255 where there is none.

    Raises:
        ImageError: it is damaged, holds colours in place of class numbers, or a class that is not
            among `classes`.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1"):
                raise ImageError(
                    "the mask %s holds no class ids: its pixels are %s" % (path, image.mode),
                    "save it as a palette or an 8-bit grey image whose values are class numbers",
                )
            mask = np.asarray(image).astype(np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError("the mask %s cannot be decoded: %s" % (path, error))
    known = mask[mask != IGNORED]
    if known.size and int(known.max()) >= classes:
        raise ImageError(
            "the mask %s holds the class %d, and there are %d" % (path, known.max(), classes),
            "a class number is below the number of classes, or 255 for none",
        )
    return mask


def _round_robin(items: Sequence[Item]) -> List[Item]:
    """The first of each class, the second of each, ...: the first N alone would be a few classes."""
    classes = [list(group) for _, group in itertools.groupby(items, lambda item: item.truth)]
    rounds = itertools.zip_longest(*classes)
    return [item for one in rounds for item in one if item is not None]


def _imagenet(folder: str, names: Names) -> DataSet:
    """A folder per class named by its WordNet id, as ILSVRC 2012's validation set is kept."""
    root = _first(folder, ("val", "validation"))
    synsets = {name: index for index, name in enumerate(labels("imagenet1k_synsets"))}
    items = _per_class(root, synsets, "named by WordNet ids as n01440764", "ImageNet-1k")
    return DataSet("imagenet", "ilsvrc2012", CLASSIFICATION, items)


def _classes(folder: str, names: Names) -> DataSet:
    """A folder per class, as torchvision's ImageFolder: the bundle's class names, else sorted ones."""
    root = _first(folder, ("val", "validation", "test"))
    known = {name: index for index, name in enumerate(names if names else _folders(root))}
    items = _per_class(root, known, "named as the bundle's classes are", "the bundle")
    return DataSet("classes", _own_name(folder), CLASSIFICATION, items, own=True)


def _per_class(root: str, known: Dict[str, int], layout: str, whose: str) -> List[Item]:
    present = _folders(root)
    if not present:
        raise UsageError(
            "%s holds no folder of a class" % root, "it must hold one folder a class, " + layout
        )
    for name in present:
        if name not in known:
            near = suggestion(name, known)
            raise UsageError(
                "%s holds the folder '%s', which is no class of %s" % (root, name, whose),
                "it must hold one folder a class, %s%s" % (layout, "; " + near if near else ""),
            )
    return [
        Item(os.path.relpath(path, root), path, known[name])
        for name in present
        for path in _below(os.path.join(root, name))
    ]


def _coco(folder: str, names: Names) -> DataSet:
    """Annotations in COCO's format, and the images that they name."""
    annotations, roots = _coco_layout(folder)
    coco = read_coco(annotations)
    items = []
    for image in coco.images:
        path = next(
            (p for p in (os.path.join(r, image.file_name) for r in roots) if os.path.isfile(p)),
            None,
        )
        if path is None:
            raise UsageError(
                "%s names %s, which is not in %s" % (annotations, image.file_name, roots[0]),
                "put the images there under the names that the file gives them",
            )
        size = _size(path)
        stated = (image.width, image.height)
        if None not in stated and stated != size:
            raise UsageError(
                "%s says that %s has %s x %s pixels, and it has %s x %s"
                % ((annotations, image.file_name) + stated + size),
                "annotate the pictures as they are stored"
                + (" (EXIF turns them where they are shown)" if stated == size[::-1] else ""),
            )
        items.append(Item("%s#%s" % (image.file_name, image.file_id), path, image.id))
    published = names is None and annotations.endswith("instances_val2017.json")
    name = "coco2017" if published else _own_name(folder)
    mapped = category_ids(annotations, coco, names)
    return DataSet(
        "coco",
        name,
        DETECTION,
        items,
        annotations=annotations,
        coco=coco,
        label_categories=mapped,
        own=not published,
    )


def _coco_layout(folder: str) -> Tuple[str, List[str]]:
    """The file of annotations, and the folders that its images may lie in."""
    published = os.path.join(folder, "annotations", "instances_val2017.json")
    if os.path.isfile(published):
        images = os.path.join(folder, "val2017")
        if not os.path.isdir(images):
            raise UsageError(
                "there is no folder %s" % images, "COCO 2017's val2017.zip unpacks to it"
            )
        return published, [images]
    places = [folder, os.path.join(folder, "annotations")]
    files = [
        os.path.join(place, name)
        for place in places
        if os.path.isdir(place)
        for name in sorted(os.listdir(place))
        if name.endswith(".json") and not name.startswith(".")
    ]
    if len(files) != 1:
        what = "there are no annotations %s" % published
        if files:
            what = "there are %d files of annotations in %s: %s" % (
                len(files),
                folder,
                ", ".join(map(os.path.basename, files)),
            )
        raise UsageError(what, "COCO 2017's annotations_trainval2017.zip holds it; of a data set of "
                         "your own there is one .json file")  # fmt: skip
    below = [os.path.join(folder, name) for name in ("images", "val2017", "val")]
    return files[0], [place for place in below if os.path.isdir(place)] + [folder]


def _voc(folder: str, names: Names) -> DataSet:
    """JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/val.txt."""
    root = _first(folder, (os.path.join("VOCdevkit", "VOC2012"), "VOC2012"))
    listed = os.path.join(root, "ImageSets", "Segmentation", "val.txt")
    pairs = []
    for name in _listed(listed, os.path.join(root, "JPEGImages")):
        mask = os.path.join(root, "SegmentationClass", name + ".png")
        pairs.append((name, os.path.join(root, "JPEGImages", name + ".jpg"), mask))
    return _masked("voc", "pascal_voc2012", pairs, len(names) if names else len(labels("voc21")))


def _listed(path: str, images: str) -> List[str]:
    """The names in a list of VOC's, one a line; what follows the name may be a label."""
    try:
        if os.path.getsize(path) > _LIST_LIMIT_BYTES:
            raise UsageError("%s is too large for a list of images" % path)
        with open(path, encoding="utf-8-sig") as stream:
            lines = stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            "there is no list of images %s that can be read: %s" % (path, why),
            "PASCAL VOC 2012's VOCtrainval_11-May-2012.tar holds it",
        )
    names = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line:
            continue
        labelled = re.match(r"(.*\S)\s+-?[01]$", line)
        name = line
        if labelled and not os.path.isfile(os.path.join(images, line + ".jpg")):
            name = labelled.group(1)
        if os.path.isabs(name) or ".." in name.split("/"):
            raise UsageError("%s, line %d: '%s' leads out of the data set" % (path, number, name))
        names.append(name)
    return names


def _masks(folder: str, names: Names) -> DataSet:
    """images/ and masks/: a mask of class numbers for each image, under the image's name."""
    images, masks = (os.path.join(folder, name) for name in ("images", "masks"))
    for place in (images, masks):
        if not os.path.isdir(place):
            raise UsageError(
                "there is no folder %s" % place, "masks:DIR is DIR/images and DIR/masks"
            )
    pairs = []
    for path in _below(images):
        name = os.path.splitext(os.path.relpath(path, images))[0]
        candidates = [
            os.path.join(masks, name + suffix) for suffix in (".png", ".bmp", ".tif", ".gif")
        ]
        mask = next((file for file in candidates if os.path.isfile(file)), candidates[0])
        pairs.append((name, path, mask))
    return _masked("masks", _own_name(folder), pairs, len(names) if names else len(labels("voc21")))


def _masked(kind: str, name: str, pairs: List[Tuple[str, str, str]], classes: int) -> DataSet:
    items = []
    for key, path, mask in pairs:
        for file in (path, mask):
            if not os.path.isfile(file):
                raise UsageError("the data set names %s, and there is no %s" % (key, file))
        sizes = _size(path), _size(mask)
        if sizes[0] != sizes[1]:
            raise UsageError(
                "the mask %s has %d x %d pixels, and %s has %d x %d"
                % ((mask,) + sizes[1] + (path,) + sizes[0]),
                "make masks of the pictures as they are stored",
            )
        try:
            read_mask(mask, classes)
        except ImageError as error:
            raise UsageError(error.message, error.remedy)
        items.append(Item(key, path, mask))
    keys = [item.name for item in items]
    twice = {key for key, group in itertools.groupby(sorted(keys)) if len(list(group)) > 1}
    if twice:
        raise UsageError(
            "the data set names '%s' more than once" % min(twice), "list each image once"
        )
    return DataSet(kind, name, SEGMENTATION, items, classes=classes, own=kind != "voc")


def _folder(folder: str, names: Names) -> DataSet:
    """Images alone, read as a board reads them: bytes can be counted, accuracy cannot."""
    items = [Item(image, os.path.join(folder, image), None) for image in image_names(folder)]
    return DataSet("folder", _own_name(folder), None, items, upright=True, own=True)


def _own_name(folder: str) -> str:
    return os.path.basename(os.path.abspath(folder))


def _folders(root: str) -> List[str]:
    names = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))
    return [name for name in names if not name.startswith(".")]


def _below(folder: str) -> List[str]:
    """The images of a folder and of the folders in it, in order."""
    paths = []
    for place, folders, _ in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [os.path.join(place, name) for name in image_names(place)]
    return sorted(paths)


def _size(path: str) -> Tuple[int, int]:
    """Width and height as stored, from the head of the file."""
    try:
        with Image.open(path) as image:
            return int(image.width), int(image.height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError("%s cannot be read as an image: %s" % (path, str(error).split("\n")[0]))


def _first(folder: str, below: Sequence[str]) -> str:
    """The first of the folders `below` that is there, else `folder` itself."""
    for name in below:
        if os.path.isdir(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return folder


_KINDS: Dict[str, Callable[[str, Names], DataSet]] = {
    "imagenet": _imagenet,
    "coco": _coco,
    "voc": _voc,
    "classes": _classes,
    "masks": _masks,
    "folder": _folder,
}
