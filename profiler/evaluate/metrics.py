"""Each task's metric: what is kept of one image, and the figures over all of them.

The reference evaluations of the tasks are followed: torchvision's for classification, pycocotools'
COCOeval for detection, and torchvision's confusion matrix for segmentation, at the network's
resolution, as the papers report it.
"""

import contextlib
import importlib.util
import io
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.evaluate.data_sets.data_set import CLASSIFICATION, DETECTION, DataSet, Item
from splitwatt.profiler.evaluate.data_sets.masks import IGNORED, read_mask
from splitwatt.profiler.evaluate.intervals import Figure, bootstrap, jackknife, resampled, share

_CLASSES = 256  # what a mask of 8 bits may hold


def check_installed(tasks: Sequence[str]) -> None:
    """Fail before the first image where a package that the tasks' figures need is missing.

    Raises:
        UsageError: it is.
    """
    if DETECTION in tasks and importlib.util.find_spec("pycocotools") is None:
        raise UsageError("mAP needs the package pycocotools", "pip install pycocotools")


def of_image(data: DataSet, item: Item, answer: Answer) -> Any:
    """The record of one image, as JSON: what figures are computed from, independent of other images.

    Raises:
        ImageError: the image's mask cannot be read.
    """
    assert data.task is not None  # for the type checker
    given = answer[data.task]
    if data.task == CLASSIFICATION:
        return {"truth": item.truth, "labels": given["labels"].tolist()}
    if data.task == DETECTION:
        rows = zip(coco_boxes(given["boxes"]), given["labels"].tolist(), given["scores"].tolist())
        known = data.label_categories
        return [
            {"image_id": item.truth, "bbox": box, "score": score,
             "category_id": label if known is None else known[label]}
            for box, label, score in rows if known is None or label in known
        ]  # fmt: skip
    return confusion(read_mask(item.truth, data.classes), given["mask"])


def coco_boxes(boxes: np.ndarray) -> List[List[float]]:
    """Boxes (n, 4) as x1, y1, x2, y2 in COCO's way: [x, y, width, height]."""
    corners = boxes.astype(np.float64)
    rows: List[List[float]] = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).tolist()
    return rows


def figures(data: DataSet, records: List[Any]) -> Dict[str, Figure]:
    """The figures over all images, in percent; the value None where a figure is undefined, as mAP
    without a single true box.

    Args:
        data: with its annotations.
        records: `of_image` of each item, in the items' order.
    """
    if data.task == CLASSIFICATION:
        first = sum(r["labels"][:1] == [r["truth"]] for r in records)
        fifth = sum(r["truth"] in r["labels"][:5] for r in records)
        count = len(records)
        return {"top1_percent": share(first, count), "top5_percent": share(fifth, count)}
    if data.task == DETECTION:
        return _mean_average_precision(data, records)
    return _mean_iou(records)


def confusion(truth: np.ndarray, mask: np.ndarray) -> List[List[int]]:
    """Rows [true class, predicted class, pixels] of the classes that meet in an image.

    Args:
        truth: uint8 of any resolution; brought to the mask's by the nearest pixel, 255 left out.
        mask: uint8 (h, w), predicted.
    """
    size = (mask.shape[1], mask.shape[0])
    resized = np.asarray(Image.fromarray(truth).resize(size, Image.NEAREST))  # type: ignore[attr-defined]
    known = resized != IGNORED
    pairs = resized[known].astype(np.int64) * _CLASSES + mask[known]
    values, counts = np.unique(pairs, return_counts=True)
    rows = zip((values // _CLASSES).tolist(), (values % _CLASSES).tolist(), counts.tolist())
    return [[t, p, n] for t, p, n in rows]


def _mean_iou(records: List[Any]) -> Dict[str, Figure]:
    """Mean intersection over union, in percent, of the classes that are in the images or answers."""
    present = sorted({label for rows in records for t, p, _ in rows for label in (t, p)})
    place = {label: index for index, label in enumerate(present)}
    # Of each image and class: pixels where both agree, and pixels of the truth plus those of the answer.
    hits, sums = np.zeros((2, len(records), len(present)), np.int64)
    for hit, added, rows in zip(hits, sums, records):
        for truth, predicted, pixels in rows:
            hit[place[truth]] += pixels * (truth == predicted)
            added[place[truth]] += pixels
            added[place[predicted]] += pixels
    if not sums.any():
        return {"miou_percent": {"value": None, "n": len(records)}}

    def miou(weights: np.ndarray) -> float:
        both = weights @ hits
        union = weights @ sums - both
        known = union > 0
        return float(100 * (both[known] / union[known]).mean()) if known.any() else np.nan

    value = miou(np.ones(len(records), np.int64))
    if len(records) < 2:
        return {"miou_percent": {"value": value, "n": len(records)}}
    values = bootstrap(len(records), miou)
    return {"miou_percent": resampled(value, len(records), values[np.isfinite(values)], "mIoU")}


def _mean_average_precision(data: DataSet, records: List[Any]) -> Dict[str, Figure]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    assert data.coco is not None  # for the type checker
    with contextlib.redirect_stdout(io.StringIO()):
        truth, answers = COCO(), COCO()
        truth.dataset = data.coco.document
        boxes = [
            dict(row, id=number, area=row["bbox"][2] * row["bbox"][3], iscrowd=0)
            for number, row in enumerate((row for rows in records for row in rows), 1)
        ]
        answers.dataset = dict(data.coco.document, annotations=boxes)
        truth.createIndex()
        answers.createIndex()
        meter = COCOeval(truth, answers, "bbox")
        meter.params.imgIds = [item.truth for item in data.items]
        meter.evaluate()
        # evaluate() sorts the ids; its rows are [category, size of area, image].
        order = list(meter.params.imgIds)
        shape = (len(meter.params.catIds), len(meter.params.areaRng), len(order))
        rows = np.empty(shape, object)
        rows.ravel()[:] = meter.evalImgs
        both = _precisions(meter, rows, order, list(range(len(order))))
        names = ("map_50_95_percent", "map_50_percent")
        if None in both:
            return {name: {"value": None, "n": len(order)} for name in names}

        def without(index: int) -> Any:
            def figure(left_out: List[int]) -> Optional[float]:
                kept = sorted(set(range(len(order))) - set(left_out))
                return _precisions(meter, rows, order, kept)[index]

            return figure

        return {
            name: jackknife(value, len(order), without(index))
            for index, (name, value) in enumerate(zip(names, both))
            if value is not None
        }


def _precisions(
    meter: Any, rows: np.ndarray, order: List[int], kept: List[int]
) -> List[Optional[float]]:
    """mAP over IoU 0.5 to 0.95 and at 0.5, in percent, of some of the images; None: undefined."""
    meter.params.imgIds = meter._paramsEval.imgIds = [order[k] for k in kept]
    meter.evalImgs = rows[:, :, kept].ravel().tolist()
    meter.accumulate()
    precision = meter.eval["precision"][:, :, :, 0, -1]
    both: List[Optional[float]] = []
    for values in (precision, precision[0]):
        known = values[values > -1]
        both.append(float(100 * known.mean()) if known.size else None)
    return both
