"""Data sets in COCO's layout: COCO 2017 itself, and your own boxes in its format."""

import os
from collections import Counter
from typing import Any, Dict, List, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.labels import labels
from splitwatt.profiler.evaluate.data_sets.data_set import (
    DETECTION,
    Classes,
    DataSet,
    Item,
    own_name,
    present,
    stored_size,
)
from splitwatt.profiler.records.coco import Coco, CocoImage, read_coco


def coco(folder: str, classes: Classes) -> DataSet:
    """Annotations in COCO's format, and the images that they name."""
    annotations, published, roots = _layout(folder)
    document = read_coco(annotations)
    items = [_item(annotations, image, roots) for image in document.images]
    names = labels("coco91")
    published = published and all(
        number in range(1, len(names)) and names[number] == name
        for number, name in document.categories.items()
    )
    return DataSet(
        "coco",
        "coco2017" if published else own_name(folder),
        DETECTION,
        items,
        annotations=annotations,
        coco=document,
        label_categories=_categories(annotations, document, classes.names),
        own=not published,
    )


def _layout(folder: str) -> Tuple[str, bool, List[str]]:
    """The file of annotations, whether it is named as COCO 2017's, and where its images may be."""
    known = os.path.join(folder, "annotations", "instances_val2017.json")
    if os.path.isfile(known):
        images = os.path.join(folder, "val2017")
        if not os.path.isdir(images):
            raise UsageError(
                "there is no folder %s" % images, "COCO 2017's val2017.zip unpacks to it"
            )
        return known, True, [images, folder]
    files = [
        os.path.join(place, name)
        for place in (folder, os.path.join(folder, "annotations"))
        if os.path.isdir(place)
        for name in sorted(os.listdir(place))
        if name.endswith(".json") and not name.startswith(".")
    ]
    if not files:
        raise UsageError(
            "there are no annotations %s" % known,
            "COCO 2017's annotations_trainval2017.zip holds it; a data set of your own has one .json "
            "file there or in %s" % folder,
        )
    if len(files) > 1:
        raise UsageError(
            "there are %d files of annotations: %s" % (len(files), ", ".join(files)),
            "keep one .json file in the data set's folder",
        )
    # Labelling programs export instances_default.json and images/default/.
    part = os.path.splitext(os.path.basename(files[0]))[0].split("_")[-1]
    names = (os.path.join("images", part), part, "images", "val2017", "val")
    below = [os.path.join(folder, name) for name in names]
    return files[0], False, [place for place in below if os.path.isdir(place)] + [folder]


def _item(annotations: str, image: CocoImage, roots: Sequence[str]) -> Item:
    # Windows writes paths with backslashes, which a file's name may also hold elsewhere.
    names = (image.file_name, image.file_name.replace("\\", "/"))
    paths = (present(os.path.join(root, name)) for name in names for root in roots)
    path = next(filter(None, paths), None)
    if path is None:
        raise UsageError(
            "%s names %s, which is not in %s" % (annotations, image.file_name, roots[0]),
            "put the images there under the names that the file gives them",
        )
    size = stored_size(path)
    for stated, side, other in zip((image.width, image.height), size, size[::-1]):
        if stated not in (None, side):
            turned = " (EXIF turns them where they are shown)" if stated == other else ""
            raise UsageError(
                "%s says that %s has %s x %s pixels, and it has %d x %d"
                % ((annotations, image.file_name, image.width, image.height) + size),
                "annotate the pictures as they are stored" + turned,
            )
    return Item("%s#%s" % (image.file_name, image.file_id), path, image.id)


def _categories(path: str, coco: Coco, names: Optional[Sequence[str]]) -> Optional[Dict[int, Any]]:
    """The category of each label of a detector, by name; None: a bundle without names, whose labels
    are the categories' ids. Categories without a box are left out: they change no figure, and Roboflow
    adds one with the project's name.

    Raises:
        UsageError: a category that is not a class of the detector, or a name that two have.
    """
    if names is None:
        text = next((number for number in coco.categories if isinstance(number, str)), None)
        if text is not None:
            raise UsageError(
                "%s has the category id '%s', and the classes of the bundle are numbers"
                % (path, text),
                "export the bundle with --labels FILE that has the names of your categories",
            )
        return None
    categories: Dict[int, Any] = {}
    counts, label_of = Counter(names), {name: label for label, name in enumerate(names)}
    used = {row["category_id"] for row in coco.document["annotations"]}
    for number, name in sorted((key, name) for key, name in coco.categories.items() if key in used):
        count = counts[name]
        if count != 1:
            what = "is not a class" if count == 0 else "is the name of %d classes" % count
            raise UsageError(
                "%s has the category %s '%s', which %s of the bundle" % (path, number, name, what),
                "export the bundle with --labels FILE that has the names of your categories",
            )
        label = label_of[name]
        if label in categories:
            raise UsageError(
                "%s has two categories of the name '%s'" % (path, name), "merge the two"
            )
        categories[label] = number
    return categories
