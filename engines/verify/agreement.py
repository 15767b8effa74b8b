"""How many of one machine's or precision's answers are another's: counts, where equality is no test."""

from typing import Dict, Mapping, Tuple

import numpy as np

Arrays = Mapping[str, np.ndarray]
# Two boxes are the same if they overlap by half of what they cover together.
OVERLAP = 0.5


def agreement(task: str, answer: Arrays, due: Arrays) -> Tuple[int, int]:
    """How many answers of a task for one image are the same, out of how many of `due`.

    An answer is the best class; a box, the same if one of its class overlaps it by half; a pixel.
    """
    if task == "classification":
        return int(answer["labels"][0] == due["labels"][0]), 1
    if task == "segmentation":
        same = answer["mask"] == due["mask"] if answer["mask"].shape == due["mask"].shape else False
        return int(np.count_nonzero(same)), int(due["mask"].size)
    free = np.ones(len(answer["labels"]), bool)
    count = 0
    for label, box in zip(due["labels"], due["boxes"]):
        alike = free & (answer["labels"] == label)
        overlaps = np.where(alike, _overlaps(answer["boxes"], box), 0.0)
        if overlaps.size and overlaps.max() >= OVERLAP:
            free[int(overlaps.argmax())] = False
            count += 1
    return count, len(due["labels"])


def moved(decoded: Dict[str, np.ndarray], due: Dict[str, np.ndarray]) -> Tuple[int, int, float]:
    """How many values of a decoded latent are others, out of how many, and the largest step."""
    gaps = np.concatenate([np.abs(decoded[name] - due[name]).ravel() for name in sorted(due)])
    largest = float(gaps.max()) if gaps.size else 0.0
    return int(np.count_nonzero(gaps)), int(gaps.size), largest


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of `boxes` (n, 4) with one box, corners x0 y0 x1 y1."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(inside / np.maximum(areas - inside, 1e-9))
