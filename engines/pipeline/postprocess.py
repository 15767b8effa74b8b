"""From a graph's tensors to a task's answer, in the original image's pixels."""

from typing import Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.bundle.manifest import Head

Answer = Dict[str, Dict[str, np.ndarray]]
Size = Tuple[int, int]


# task -> the tensors that its answer is made of
TENSORS = {
    "classification": ("logits",),
    "detection": ("boxes", "labels", "scores"),
    "segmentation": ("mask",),
}
# tensor -> its shape, None for a side of any length
_SHAPES: Dict[str, Tuple[Optional[int], ...]] = {
    "logits": (1, None),
    "boxes": (None, 4),
    "labels": (None,),
    "scores": (None,),
    "mask": (1, None, None),
}


class Sizes(NamedTuple):
    """(height, width) of the image, of the graph's input without padding, and of the input."""

    image: Size
    valid: Size
    input: Size


def classification(tensors: Mapping[str, np.ndarray], head: Head) -> Dict[str, np.ndarray]:
    """The `top_k` most likely classes of `logits`, float32 (1, classes).

    Returns:
        `labels` int32 (k,) and `scores` float32 (k,): softmax probabilities, the largest first,
        the lower class id first where two are equal.
    """
    # Shifted by the largest, no exponential overflows; a NaN would sort anywhere.
    logits = _finite("logits", tensors["logits"][0].astype(np.float64))
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    best = np.argsort(-logits, kind="stable")[: head.top_k]
    return {"labels": best.astype(np.int32), "scores": probabilities[best].astype(np.float32)}


def detection(tensors: Mapping[str, np.ndarray], head: Head, sizes: Sizes) -> Dict[str, np.ndarray]:
    """The boxes above the threshold, best first.

    Args:
        tensors: `boxes` float32 (n, 4) as x1, y1, x2, y2 in the input's pixels, `labels` (n,),
            `scores` float32 (n,).

    Returns:
        `boxes` float32 (m, 4) in the image's pixels and inside it, `labels` int32 (m,), `scores`
        float32 (m,).

    Raises:
        EngineError: a kept box is not finite, a kept label is no class id, or the three have
            different lengths.
    """
    scores = tensors["scores"]
    if not len(scores) == len(tensors["boxes"]) == len(tensors["labels"]):
        raise EngineError("the detector's boxes, labels and scores have different lengths")
    kept = np.flatnonzero(scores >= np.float32(head.score_threshold or 0.0))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    # As torchvision's resize_boxes, in float32.
    image = np.asarray(sizes.image, np.float32)
    ratio = (image / np.asarray(sizes.valid, np.float32))[::-1]
    boxes = _finite("boxes", tensors["boxes"][kept]) * np.concatenate([ratio, ratio])
    limit = np.concatenate([image[::-1], image[::-1]])
    labels = _finite("labels", tensors["labels"][kept])
    ids = labels.astype(np.int32)
    if ids.size and (ids.min() < 0 or (ids != labels).any()):  # a large int64 would wrap around
        raise EngineError("the detector's output 'labels' holds a value that is no class id")
    return {
        "boxes": np.clip(boxes, np.float32(0), limit).reshape(-1, 4),
        "labels": ids,
        "scores": scores[kept],
    }


def segmentation(tensors: Mapping[str, np.ndarray], sizes: Sizes) -> Dict[str, np.ndarray]:
    """The class of each pixel, uint8 (h, w) at the network's resolution, without the padding.

    Args:
        tensors: `mask` int32 (1, H, W), class ids; EngineError if one is not from 0 to 255.
    """
    height, width = sizes.valid
    mask = tensors["mask"][0, :height, :width]
    if mask.size and not (mask.min() >= 0 and mask.max() <= 255):  # NaN is refused, too
        raise EngineError("the segmenter's output 'mask' holds a value that is not 0 to 255")
    return {"mask": np.ascontiguousarray(mask.astype(np.uint8))}


def answer_of(
    task: str, tensors: Mapping[str, np.ndarray], head: Head, sizes: Sizes
) -> Dict[str, np.ndarray]:
    """The answer of one task from its head's tensors; EngineError if they are not of its form."""
    for name in TENSORS[task]:
        array, due = tensors[name], _SHAPES[name]
        sides = [None if want is None else side for want, side in zip(due, array.shape)]
        if array.dtype.kind not in "fiu" or array.ndim != len(due) or sides != list(due):
            shape = ", ".join("?" if side is None else str(side) for side in due)
            raise EngineError(
                "the output '%s' of the part '%s' must be numbers of shape (%s), not %s %s"
                % (name, head.part, shape, array.dtype, array.shape),
                "correct the graph and export it again",
            )
    if task == "classification":
        return classification(tensors, head)
    if task == "detection":
        return detection(tensors, head, sizes)
    return segmentation(tensors, sizes)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise EngineError("the output '%s' holds a value that is not finite" % name)
    return array
