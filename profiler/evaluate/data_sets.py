"""Data sets as their authors lay them out: KIND:DIR, checked before anything is run."""

import itertools
import json
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.image import image_names

CLASSIFICATION, DETECTION, SEGMENTATION = "classification", "detection", "segmentation"
_LIMIT_BYTES = 1 << 30


class Item(NamedTuple):
    """One image. `truth`: its class, its id in the annotations, or the file of its mask; or None."""

    name: str
    path: str
    truth: Any


class DataSet(NamedTuple):
    """Images and what is true of them.

    Attributes:
        kind: imagenet, coco, voc or folder.
        name: as published figures call it; the folder's own name for `folder`.
        task: what can be evaluated on it; None for `folder`, which has no truth.
        items: in their order, as many as were asked for.
        whole: whether that is all of them.
        annotations: COCO's file; None elsewhere.
        path: its folder.
    """

    kind: str
    name: str
    task: Optional[str]
    items: List[Item]
    whole: bool
    annotations: Optional[str]
    path: str = ""


def open_data_set(text: str, limit: Optional[int] = None) -> DataSet:
    """The data set of KIND:DIR.

    Args:
        text: as `coco:/data/coco2017`.
        limit: the first so many images only; of ImageNet, the first of each class, the second of
            each, and so on.

    Raises:
        UsageError: no such kind or folder, or it is not laid out as that data set is.
    """
    kind, colon, folder = text.partition(":")
    if not colon:
        raise UsageError("'%s' is no data set" % text, "write KIND:DIR, as imagenet:/data/ilsvrc")
    check_known("kind of data set", kind, _KINDS)
    if not os.path.isdir(folder):
        raise UsageError("there is no folder %s" % folder, "give --data %s:DIR" % kind)
    found = _KINDS[kind](folder)
    if not found.items:
        raise UsageError("%s holds no image of a %s data set" % (folder, kind))
    found = found._replace(path=os.path.abspath(folder))
    if limit is None or limit >= len(found.items):
        return found
    items = _round_robin(found.items) if found.task == CLASSIFICATION else found.items
    return found._replace(items=items[:limit], whole=False)


def _round_robin(items: Sequence[Item]) -> List[Item]:
    """The first of each class, the second of each, ...: the first N alone would be a few classes."""
    classes = [list(group) for _, group in itertools.groupby(items, lambda item: item.truth)]
    rounds = itertools.zip_longest(*classes)
    return [item for one in rounds for item in one if item is not None]


def _imagenet(folder: str) -> DataSet:
    """A folder a class named by its WordNet id, as ILSVRC 2012's validation set is kept."""
    root = _first(folder, ("val", "validation"))
    synsets = {name: index for index, name in enumerate(labels("imagenet1k_synsets"))}
    found = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))
    unknown = [name for name in found if name not in synsets]
    if not found or unknown:
        what = "holds the folder '%s'" % unknown[0] if unknown else "holds no folder"
        raise UsageError(
            "%s %s, which is no class of ImageNet-1k" % (root, what)
            if unknown
            else "%s %s of a class" % (root, what),
            "it must hold one folder a class, named by WordNet ids as n01440764",
        )
    items = [
        Item(synset + "/" + name, os.path.join(root, synset, name), synsets[synset])
        for synset in found
        for name in image_names(os.path.join(root, synset))
    ]
    return DataSet("imagenet", "ilsvrc2012", CLASSIFICATION, items, True, None)


def _coco(folder: str) -> DataSet:
    """val2017/ and annotations/instances_val2017.json."""
    annotations = os.path.join(folder, "annotations", "instances_val2017.json")
    document = _read_annotations(annotations)
    images = os.path.join(folder, "val2017")
    if not os.path.isdir(images):
        raise UsageError("there is no folder %s" % images, "COCO 2017's val2017.zip unpacks to it")
    items = []
    for row in sorted(document["images"], key=lambda row: int(row["id"])):
        path = os.path.join(images, os.path.basename(str(row["file_name"])))
        if not os.path.isfile(path):
            raise UsageError(
                "%s names %s, which is not in %s" % (annotations, row["file_name"], images),
                "unpack val2017.zip again",
            )
        items.append(Item(os.path.basename(path), path, int(row["id"])))
    return DataSet("coco", "coco2017", DETECTION, items, True, annotations)


def _read_annotations(path: str) -> Dict[str, Any]:
    remedy = "COCO 2017's annotations_trainval2017.zip holds it"
    if not os.path.isfile(path):
        raise UsageError("there are no annotations %s" % path, remedy)
    if os.path.getsize(path) > _LIMIT_BYTES:
        raise UsageError("%s is too large for annotations" % path, remedy)
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
        for key in ("images", "annotations", "categories"):
            if not isinstance(document[key], list):
                raise ValueError("'%s' is no list" % key)
        for row in document["images"]:
            int(row["id"]), str(row["file_name"])
        categories = [(int(row["id"]), str(row["name"])) for row in document["categories"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError("%s holds no annotations of COCO: %s" % (path, error), remedy)
    names = labels("coco91")
    for number, name in categories:
        if not 0 < number < len(names) or names[number] != name:
            raise UsageError(
                "%s has the category %d '%s', which is none of COCO's" % (path, number, name),
                "give categories the numbers and names that COCO has",
            )
    return document  # type: ignore[no-any-return]


def _voc(folder: str) -> DataSet:
    """JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/val.txt."""
    root = _first(folder, (os.path.join("VOCdevkit", "VOC2012"), "VOC2012"))
    listed = os.path.join(root, "ImageSets", "Segmentation", "val.txt")
    remedy = "PASCAL VOC 2012's VOCtrainval_11-May-2012.tar holds it"
    try:
        with open(listed, encoding="ascii") as stream:
            names = stream.read().split()
    except (OSError, UnicodeDecodeError):
        raise UsageError("there is no list of images %s" % listed, remedy)
    items = []
    for name in names:
        name = os.path.basename(name)
        path = os.path.join(root, "JPEGImages", name + ".jpg")
        mask = os.path.join(root, "SegmentationClass", name + ".png")
        for file in (path, mask):
            if not os.path.isfile(file):
                raise UsageError("%s names %s, and there is no %s" % (listed, name, file), remedy)
        items.append(Item(name, path, mask))
    return DataSet("voc", "pascal_voc2012", SEGMENTATION, items, True, None)


def _folder(folder: str) -> DataSet:
    """Images alone: bytes can be counted, accuracy cannot."""
    name = os.path.basename(os.path.abspath(folder))
    items = [Item(image, os.path.join(folder, image), None) for image in image_names(folder)]
    return DataSet("folder", name, None, items, True, None)


def _first(folder: str, below: Sequence[str]) -> str:
    """The first of the folders `below` that is there, else `folder` itself."""
    for name in below:
        if os.path.isdir(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return folder


_KINDS: Dict[str, Callable[[str], DataSet]] = {
    "imagenet": _imagenet,
    "coco": _coco,
    "voc": _voc,
    "folder": _folder,
}
