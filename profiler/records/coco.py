"""COCO's annotations, checked whole before the first image runs, and made safe for pycocotools.

pycocotools takes an annotation whose id is 0 for one without a match, fails on ids that are text, and
keeps one of two images with the same id. So ids are renumbered from 1 on here, in an order that leaves
every figure what pycocotools computes for valid files: it sorts images by their ids.
"""

import math
import os
from typing import Any, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.input.strict_json import read_json

COCO_BYTES = 1 << 30
_LARGEST_AREA = 1e10
_REMEDY = "write the file as COCO describes its format: cocodataset.org/#format-data"


class CocoImage(NamedTuple):
    """One row of `images`: its new id, the id and name in the file, and its size where stated."""

    id: int
    file_id: Any
    file_name: str
    width: Optional[int]
    height: Optional[int]


class Coco(NamedTuple):
    """The annotations of a data set.

    Attributes:
        images: in the order of their ids.
        document: what pycocotools reads: the same boxes under the new ids.
        categories: category id (a number or a text) -> name.
    """

    images: List[CocoImage]
    document: Dict[str, Any]
    categories: Dict[Any, str]


def read_coco(path: str) -> Coco:
    """Read a file of annotations.

    Boxes without `iscrowd` (or with null) count as single objects, and boxes without `area` have the area of
    their sides, as COCO's own converters write them. Boxes of images or categories that the file
    does not list are left out, as pycocotools does.

    Raises:
        UsageError: it is not as COCO's format wants it; the sentence names the row and the key.
    """
    document = read_json(path, COCO_BYTES, UsageError, _REMEDY)
    if not isinstance(document, dict):
        raise UsageError("%s holds no annotations of COCO: it is not an object" % path, _REMEDY)
    for key in ("images", "annotations", "categories"):
        rows = document.get(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UsageError(
                "%s holds no annotations of COCO: '%s' is not a list of objects" % (path, key),
                _REMEDY,
            )
    images = _images(path, document["images"])
    categories = _categories(path, document["categories"])
    new_ids = {image.file_id: image.id for image in images}
    boxes: List[Dict[str, Any]] = []
    for place, row in enumerate(document["annotations"]):
        where = "%s: annotations[%d]" % (path, place)
        image = new_ids.get(_id(where, row, "image_id"))
        category = _id(where, row, "category_id")
        box = _box(where, row)
        if image is None or category not in categories:
            continue
        crowd, area = row.get("iscrowd"), row.get("area")
        if crowd not in (None, 0, 1):
            raise _wrong(where, "iscrowd must be 0 or 1", crowd)
        if area is None:
            area = max(box[2], 0) * max(box[3], 0)
        if not _number(area) or not 0 <= area <= _LARGEST_AREA:
            # pycocotools takes a true box of any other area for one that need not be detected.
            raise _wrong(where, "area must be from 0 to 1e10", area)
        boxes.append(
            {"id": len(boxes) + 1, "image_id": image, "category_id": category, "bbox": box,
             "area": area, "iscrowd": int(crowd or 0)}
        )  # fmt: skip
    if document["annotations"] and not boxes:
        raise UsageError(
            "%s: no image or category in it has the ids that its %d boxes name"
            % (path, len(document["annotations"])),
            "image_id and category_id repeat the ids of images and categories, as numbers or text",
        )
    sizes = [{"id": image.id, "width": image.width, "height": image.height} for image in images]
    kinds = [{"id": number, "name": name} for number, name in sorted(categories.items())]
    return Coco(images, {"images": sizes, "annotations": boxes, "categories": kinds}, categories)


def _images(path: str, rows: List[Dict[str, Any]]) -> List[CocoImage]:
    listed = []
    seen = set()
    for place, row in enumerate(rows):
        where = "%s: images[%d]" % (path, place)
        number = _id(where, row, "id")
        if number in seen:
            raise UsageError("%s has the id %r of an image before it" % (where, number), _REMEDY)
        seen.add(number)
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            raise _wrong(where, "file_name must be a path", name)
        if os.path.isabs(name) or ".." in name.replace("\\", "/").split("/"):
            raise UsageError(
                "%s: file_name '%s' leads out of the folder of images" % (where, name),
                "write paths relative to that folder",
            )
        for side in ("width", "height"):
            if row.get(side) is not None and not _whole(row[side]):
                raise _wrong(where, "%s must be a count of pixels" % side, row[side])
        listed.append(CocoImage(0, number, name, row.get("width"), row.get("height")))
    _check_one_type(path, "images", [image.file_id for image in listed])
    listed.sort(key=lambda image: image.file_id)
    return [image._replace(id=place) for place, image in enumerate(listed, 1)]


def _categories(path: str, rows: List[Dict[str, Any]]) -> Dict[Any, str]:
    categories: Dict[Any, str] = {}
    for place, row in enumerate(rows):
        where = "%s: categories[%d]" % (path, place)
        number, name = _id(where, row, "id"), row.get("name")
        if not isinstance(name, str):
            raise _wrong(where, "name must be text", name)
        if number in categories:
            raise UsageError("%s has the id %r of a category before it" % (where, number), _REMEDY)
        categories[number] = name
    _check_one_type(path, "categories", list(categories))
    return categories


def _check_one_type(path: str, key: str, ids: List[Any]) -> None:
    if len({isinstance(number, str) for number in ids}) > 1:
        raise UsageError(
            "%s has ids of %s that are numbers and others that are text" % (path, key), _REMEDY
        )


def _id(where: str, row: Dict[str, Any], key: str) -> Any:
    """A whole number, also where it is written as 1.0, or a text."""
    value = row.get(key)
    if isinstance(value, str):
        return value
    if value is None or not _whole(value):
        raise _wrong(where, "%s must be a whole number or a text" % key, value)
    return int(value)


def _wrong(where: str, what: str, value: Any) -> UsageError:
    return UsageError("%s: %s, not %r" % (where, what, value), _REMEDY)


def _whole(value: Any) -> bool:
    return _number(value) and value == int(value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _box(where: str, row: Dict[str, Any]) -> List[float]:
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_number, box)):
        raise _wrong(where, "bbox must be [x, y, width, height]", box)
    return box
