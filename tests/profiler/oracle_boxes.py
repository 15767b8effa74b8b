"""COCO's mean average precision, from boxes and annotations, without pycocotools: a yardstick for
what `evaluate` reports.
"""

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

Box = Sequence[float]  # x, y, width, height
_OVERLAPS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST_BOXES = 100
_HIT, _MISS, _LEFT_OUT = 1, 0, -1


# Of an image and category: true boxes, the scores of boxes, and what each is at each overlap.
_Met = Tuple[int, List[float], List[List[int]]]


class Matches:
    """What every box of a detector is: a hit, a miss, or left out.

    Args:
        annotations: COCO's document.
        ids: of the images that count.
        found: boxes as {"image_id", "category_id", "bbox", "score"}.
    """

    def __init__(
        self, annotations: Dict[str, Any], ids: Sequence[int], found: Sequence[Dict[str, Any]]
    ) -> None:
        images = sorted(set(ids))
        truths: Dict[Tuple[int, int], List[Tuple[Box, bool]]] = {}
        for row in annotations["annotations"]:
            key = row["category_id"], row["image_id"]
            truths.setdefault(key, []).append((row["bbox"], bool(row.get("iscrowd"))))
        boxes: Dict[Tuple[int, int], List[Tuple[float, Box]]] = {}
        for row in found:
            key = row["category_id"], row["image_id"]
            boxes.setdefault(key, []).append((row["score"], row["bbox"]))
        self._met: List[List[_Met]] = []
        for category in sorted({row["id"] for row in annotations["categories"]}):
            keys = [(category, image) for image in images]
            self._met.append([_met(truths.get(key, []), boxes.get(key, [])) for key in keys])

    def average_precisions(self, weights: np.ndarray) -> Tuple[float, float]:
        """mAP over overlaps of 0.5 to 0.95 and mAP at 0.5, in percent.

        Args:
            weights: 0 for an image that does not count, in the order of the images' ids.

        Returns:
            NaN, NaN: undefined, for these images have no true box.
        """
        kept = np.flatnonzero(weights)
        rows = []
        for met in self._met:
            precision = _of_category([met[place] for place in kept])
            if precision is not None:
                rows.append(precision)
        if not rows:
            return math.nan, math.nan
        table = 100 * np.array(rows)
        return float(table.mean()), float(table[:, 0].mean())


def _met(truths: List[Tuple[Box, bool]], boxes: List[Tuple[float, Box]]) -> _Met:
    best = sorted(boxes, key=lambda row: -row[0])[:_MOST_BOXES]
    count = sum(not crowd for _, crowd in truths)
    return count, [score for score, _ in best], _matched(truths, [box for _, box in best])


def _of_category(images: Sequence[_Met]) -> Optional[List[float]]:
    """The average precision at each overlap; None of a category without any true box."""
    count = sum(true for true, _, _ in images)
    if not count:
        return None
    scores = [score for _, own, _ in images for score in own]
    rows = [row for _, _, own in images for row in own]
    if not rows:
        return [0.0] * len(_OVERLAPS)
    ranked = np.array(rows)[np.argsort(-np.array(scores), kind="mergesort")]
    return [_area(column, count) for column in ranked.T]


def _area(column: np.ndarray, count: int) -> float:
    """The precision at 101 recalls, each the best of what lies at that recall or above."""
    hits, misses = np.cumsum(column == _HIT), np.cumsum(column == _MISS)
    precision = hits / np.maximum(hits + misses, 1)
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(precision[np.searchsorted(hits / count, _RECALLS)].mean())


def _matched(truths: List[Tuple[Box, bool]], boxes: List[Box]) -> List[List[int]]:
    """Of each box, best first, and of each overlap: a hit, a miss, or left out (within a crowd)."""
    rows = [[_MISS] * len(_OVERLAPS) for _ in boxes]
    known = sorted(truths, key=lambda truth: truth[1])  # crowds last
    if not known:
        return rows
    shared = [[_overlap(box, *truth) for truth in known] for box in boxes]
    for column, least in enumerate(_OVERLAPS):
        taken = set()
        for row, overlaps in zip(rows, shared):
            match, reached = None, float(least)
            for number, overlap in enumerate(overlaps):
                crowd = known[number][1]
                if crowd and match is not None and not known[match][1]:
                    break
                if overlap >= reached and (crowd or number not in taken):
                    match, reached = number, overlap
            if match is not None:
                taken.add(match)
                row[column] = _LEFT_OUT if known[match][1] else _HIT
    return rows


def _overlap(box: Box, truth: Box, crowd: bool) -> float:
    """Intersection over union; of a crowd over the box alone."""
    width = min(box[0] + box[2], truth[0] + truth[2]) - max(box[0], truth[0])
    height = min(box[1] + box[3], truth[1] + truth[3]) - max(box[1], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    both, own = width * height, box[2] * box[3]
    return both / (own if crowd else own + truth[2] * truth[3] - both)
