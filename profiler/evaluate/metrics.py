"""Each task's metric: what is kept of one image, and the figures over all of them.

The reference evaluations of the tasks are followed: torchvision's for classification, pycocotools'
COCOeval for detection, and torchvision's confusion matrix for segmentation, at the network's
resolution, as the papers report it.
"""

import contextlib
import io
from typing import Any, Dict, List

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.evaluate.data_sets import CLASSIFICATION, DETECTION, DataSet, Item
from splitwatt.profiler.evaluate.intervals import Figure, bootstrap, jackknife, resampled, share

_IGNORED = 255  # VOC's border between objects
_CLASSES = 21


def of_image(task: str, item: Item, answer: Answer) -> Any:
    """What one image says, as JSON: enough to make the figures from, and nothing of other images.

    Raises:
        ImageError: the image's mask cannot be read.
    """
    found = answer[task]
    if task == CLASSIFICATION:
        return {"truth": item.truth, "labels": found["labels"].tolist()}
    if task == DETECTION:
        boxes = found["boxes"].astype(np.float64)
        corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).tolist()
        rows = zip(corners, found["labels"].tolist(), found["scores"].tolist())
        return [
            {"image_id": item.truth, "bbox": box, "category_id": label, "score": score}
            for box, label, score in rows
        ]
    return _confusion(item, found["mask"])


def figures(task: str, data: DataSet, records: List[Any]) -> Dict[str, Figure]:
    """The figures over all images, in percent.

    Args:
        task: of the data set.
        data: with its annotations.
        records: `of_image` of each item, in the items' order.

    Raises:
        UsageError: pycocotools is not installed.
    """
    if task == CLASSIFICATION:
        first = sum(r["labels"][0] == r["truth"] for r in records)
        fifth = sum(r["truth"] in r["labels"][:5] for r in records)
        count = len(records)
        return {"top1_percent": share(first, count), "top5_percent": share(fifth, count)}
    if task == DETECTION:
        return _mean_average_precision(data, records)
    return _mean_iou(records)


def _confusion(item: Item, mask: np.ndarray) -> List[List[int]]:
    """Rows [truth, found, pixels] of the classes that meet in an image."""
    try:
        with Image.open(item.truth) as image:
            size = (mask.shape[1], mask.shape[0])
            truth = np.asarray(image.resize(size, Image.NEAREST))  # type: ignore[attr-defined]
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError("the mask %s cannot be decoded: %s" % (item.truth, error))
    if truth.ndim != 2:
        raise ImageError("the mask %s holds no class ids: it is no palette image" % item.truth)
    known = truth != _IGNORED
    if known.any() and int(truth[known].max()) >= _CLASSES:
        raise ImageError("the mask %s holds the class %d, and VOC has %d"
                         % (item.truth, truth[known].max(), _CLASSES))  # fmt: skip
    pairs = truth[known].astype(np.int64) * 256 + mask[known]
    values, counts = np.unique(pairs, return_counts=True)
    rows = zip((values // 256).tolist(), (values % 256).tolist(), counts.tolist())
    return [[t, p, n] for t, p, n in rows]


def _mean_iou(records: List[Any]) -> Dict[str, Figure]:
    matrices = np.zeros((len(records), _CLASSES, _CLASSES), np.int64)
    for matrix, rows in zip(matrices, records):
        for truth, found, pixels in rows:
            if truth >= _CLASSES or found >= _CLASSES:
                raise UsageError("a mask holds the class %d, and VOC has 21" % max(truth, found))
            matrix[truth, found] += pixels
    flat = matrices.reshape(len(records), -1)

    def miou(weights: np.ndarray) -> float:
        return _iou((weights @ flat).reshape(_CLASSES, _CLASSES))

    value = miou(np.ones(len(records), np.int64))
    if len(records) < 2:
        return {"miou_percent": {"value": value, "n": len(records)}}
    return {"miou_percent": resampled(value, len(records), bootstrap(len(records), miou), "mIoU")}


def _iou(matrix: np.ndarray) -> float:
    """Mean intersection over union, in percent, of the classes that are there at all."""
    hits = np.diag(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return float(100 * (hits[union > 0] / union[union > 0]).mean())


def _mean_average_precision(data: DataSet, records: List[Any]) -> Dict[str, Figure]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UsageError("mAP needs the package pycocotools", "pip install pycocotools")
    ids = [item.truth for item in data.items]
    found = [row for rows in records for row in rows]
    if not found:  # pycocotools cannot read an empty list
        nothing = {"value": 0.0, "n": len(ids)}
        return {"map_50_95_percent": dict(nothing), "map_50_percent": dict(nothing)}
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            truth = COCO(data.annotations)
            meter = COCOeval(truth, truth.loadRes(found), "bbox")
        except (KeyError, ValueError, TypeError, AssertionError) as error:
            raise UsageError("%s holds no boxes of COCO: %r" % (data.annotations, error))
        meter.params.imgIds = ids
        meter.evaluate()
        # evaluate() sorts the ids; its rows are [category, size of area, image].
        order = list(meter.params.imgIds)
        shape = (len(meter.params.catIds), len(meter.params.areaRng), len(order))
        rows = np.empty(shape, object)
        rows.ravel()[:] = meter.evalImgs
        both = _precisions(meter, rows, order, list(range(len(order))))

        def without(index: int) -> Any:
            def figure(left_out: List[int]) -> float:
                kept = sorted(set(range(len(order))) - set(left_out))
                return _precisions(meter, rows, order, kept)[index]

            return figure

        names = ("map_50_95_percent", "map_50_percent")
        return {
            name: jackknife(value, len(order), without(index))
            for index, (name, value) in enumerate(zip(names, both))
        }


def _precisions(meter: Any, rows: np.ndarray, order: List[int], kept: List[int]) -> List[float]:
    """mAP over IoU 0.5 to 0.95 and at 0.5, in percent, of some of the images."""
    meter.params.imgIds = meter._paramsEval.imgIds = [order[k] for k in kept]
    meter.evalImgs = rows[:, :, kept].ravel().tolist()
    meter.accumulate()
    precision = meter.eval["precision"][:, :, :, 0, -1]
    found = []
    for values in (precision, precision[0]):
        known = values[values > -1]
        found.append(float(100 * known.mean()) if known.size else 0.0)
    return found
