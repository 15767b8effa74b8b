"""A part's graph against the PyTorch it came from, on real photographs.

Values may differ by a thousandth of the largest one. Boxes are matched in the order of their
scores; two with nearly equal scores may be swapped. A box may have no match only where
rounding decides: at a threshold, at the end of the list, or (one in fifty) in a suppression.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from splitwatt.device_configs.errors import ExportError
from splitwatt.export.spec import Part

# Tolerances: of values relative to the largest; of box corners in pixels; of scores.
RELATIVE = 1e-3
PIXELS = 0.1
SCORE = 2e-3
# The share of a hyperprior's table indexes that rounding may move by one.
INDEXES = 1e-3
# The share of boxes that only one side may find, and of proposals that may differ.
STRAY_BOXES, STRAY_PROPOSALS = 0.02, 0.02

Arrays = dict[str, np.ndarray]


class Difference:
    """The largest difference of a part over its photographs, and the tolerance.

    Args:
        wrong: what the error says of the part.
    """

    def __init__(self, part: Part, wrong: str = "is not what PyTorch computes") -> None:
        self._part, self._wrong = part, wrong
        self.max_abs = 0.0
        self.tolerance = PIXELS if part.compare == "boxes" else RELATIVE
        self.notes: list[str] = []

    def add(self, outputs: Arrays, reference: Mapping[str, Any], where: str) -> None:
        """Compare one photograph's outputs with the right ones, arrays or tensors.

        Raises:
            ExportError: they differ by more than the tolerance.
        """
        due = {name: np.asarray(value) for name, value in reference.items()}
        if self._part.compare == "boxes":
            self._boxes(outputs, due, where)
            return
        for port in self._part.outputs:
            if port.name == "mask":
                self._mask(outputs, due, where)
            elif port.name == "indexes":
                self._indexes(outputs[port.name], due[port.name], where)
            else:
                self._values(outputs[port.name], due[port.name], f"{port.name} {where}")

    def _values(self, values: np.ndarray, due: np.ndarray, where: str) -> float:
        if values.shape != due.shape:
            raise self._failed(f"{where}: shape {values.shape} instead of {due.shape}")
        gap = float(np.abs(values - due).max()) if due.size else 0.0
        tolerance = RELATIVE * max(1.0, float(np.abs(due).max()) if due.size else 0.0)
        if not gap <= tolerance:
            raise self._failed(
                f"{where}: a difference of {gap:.3g} where {tolerance:.3g} is allowed"
            )
        self.max_abs = max(self.max_abs, gap)
        self.tolerance = max(self.tolerance, tolerance)
        return gap

    def _mask(self, outputs: Arrays, due: Arrays, where: str) -> None:
        """Logits within the tolerance; equal classes, except where two logits are as close as that.

        A graph that is fitted to its target has no logits: few classes may differ.
        """
        differ = outputs["mask"] != due["mask"]
        if "logits" not in due:
            if np.count_nonzero(differ) > RELATIVE * differ.size:
                raise self._failed(f"{np.count_nonzero(differ)} pixels have another class")
            return
        gap = self._values(outputs["logits"], due["logits"], f"logits {where}")
        if differ.any():
            best = np.sort(due["logits"], axis=1)[:, -2:]
            if (best[:, 1] - best[:, 0])[differ].max() > 2 * gap:
                raise self._failed(f"mask {where}: {int(differ.sum())} pixels have another class")
            self.notes.append(
                f"{self._part.name} {where}: {int(differ.sum())} of {differ.size} pixels have another "
                f"class than PyTorch's, where two classes are within {2 * gap:.1e} of each other"
            )

    def _indexes(self, indexes: np.ndarray, due: np.ndarray, where: str) -> None:
        """Equal table indexes, except for a few scales at a step; both ends run this graph."""
        if indexes.shape != due.shape:
            raise self._failed(f"indexes {where}: shape {indexes.shape} instead of {due.shape}")
        steps = np.abs(indexes.astype(np.int64) - due)
        differing = int(np.count_nonzero(steps))
        if steps.max() > 1 or differing > INDEXES * steps.size:
            raise self._failed(f"{differing} of {steps.size} indexes {where} are others")
        if differing:
            self.notes.append(
                f"{self._part.name} {where}: {differing} of {steps.size} indexes are the next one to "
                "PyTorch's, where a scale is at the step between them"
            )

    def _boxes(self, detections: Arrays, due: Arrays, where: str) -> None:
        if "proposals" in detections:
            stray = _unmatched(detections["proposals"], due["proposals"])
            if stray > STRAY_PROPOSALS * len(due["proposals"]) + 1:
                raise self._failed(f"{where}: {stray} of {len(due['proposals'])} proposals differ")
        pairs = match(detections, due)
        for i, j in pairs:
            gap = float(np.abs(detections["boxes"][i] - due["boxes"][j]).max())
            self.max_abs = max(self.max_abs, gap)
        strays = _strays(detections, due, pairs)
        if strays > STRAY_BOXES * len(due["scores"]) + (len(due["scores"]) >= 10):
            raise self._failed(
                f"{where}: {strays} boxes of {len(due['scores'])} have no match on the other side"
            )
        if strays:
            self.notes.append(
                f"{self._part.name} {where}: {strays} boxes of {len(due['scores'])} come from "
                "PyTorch or onnxruntime alone, through a suppression that rounding decides"
            )

    def _failed(self, what: str) -> ExportError:
        return ExportError(
            f"the exported part '{self._part.name}' {self._wrong}: {what}",
            "report this with the versions of torch and onnxruntime",
        )


def match(
    detections: Mapping[str, np.ndarray], due: Mapping[str, np.ndarray]
) -> list[tuple[int, int]]:
    """Pairs (index in detections, index in due) of boxes that are the same within the tolerances.

    Both are best first: a box is compared with that of its own rank first, then with those of about its score.
    """
    pairs = []
    free = np.ones(len(detections["scores"]), bool)
    for j, (box, label, score) in enumerate(
        zip(due["boxes"], due["labels"], due["scores"], strict=True)
    ):
        near = (
            free & (detections["labels"] == label) & (np.abs(detections["scores"] - score) <= SCORE)
        )
        candidates = np.flatnonzero(near)
        gaps = np.abs(detections["boxes"][candidates] - box).max(axis=1)
        good = candidates[gaps <= PIXELS]
        if good.size:
            i = int(j if j in good else good[np.argmin(np.abs(good - j))])
            free[i] = False
            pairs.append((i, j))
    return pairs


def _strays(detections: Arrays, due: Arrays, pairs: list[tuple[int, int]]) -> int:
    """The number of boxes without a match on the other side, except those at the end of a list.

    A box whose score is within the tolerance of the lowest one may have been cut off by the limit
    or the threshold on the other side.
    """
    lowest = min(
        (side["scores"].min() for side in (detections, due) if side["scores"].size), default=0
    )
    strays = 0
    for side, index in ((detections, 0), (due, 1)):
        alone = np.ones(len(side["scores"]), bool)
        alone[[pair[index] for pair in pairs]] = False
        strays += int((side["scores"][alone] > lowest + min(SCORE, lowest * 0.05)).sum())
    return strays


def _unmatched(boxes: np.ndarray, due: np.ndarray) -> int:
    """How many boxes of `due` have no match in `boxes` within the tolerance."""
    gaps = cdist(due, boxes, "chebyshev").min(axis=1, initial=np.inf)
    return int((gaps > PIXELS).sum())


def check_declared(part: Part, arrays: Mapping[str, np.ndarray]) -> None:
    """Check that a graph's tensors have the types and shapes that the manifest will state.

    Raises:
        ExportError: names the part, the tensor and both shapes.
    """
    for port in (*part.inputs, *part.outputs):
        array = arrays[port.name]
        fits = len(array.shape) == len(port.shape) and all(
            due in (None, own) for due, own in zip(port.shape, array.shape, strict=True)
        )
        if not fits or array.dtype.name != port.dtype:
            raise ExportError(
                f"the part '{part.name}' declares {port.name} as {port.dtype} {list(port.shape)}, and "
                f"its graph gives {array.dtype.name} {list(array.shape)}",
                "correct the Port in the network's parts()",
            )


def check_batch(session: Any, part: Part, feed: Arrays, tolerance: float) -> None:
    """Check that two images in one run of a graph give the same as two runs.

    Args:
        session: onnxruntime's, of the part's graph.
        part: all its inputs are maps of any number of images.
        feed: one image's inputs; the second image is the first one mirrored.
        tolerance: the largest difference of a value.

    Raises:
        ExportError: they differ.
    """
    names = [port.name for port in part.outputs]
    turned = {name: np.ascontiguousarray(array[..., ::-1]) for name, array in feed.items()}
    both = {name: np.concatenate([feed[name], turned[name]]) for name in feed}
    alone = [session.run(names, one) for one in (feed, turned)]
    for name, pair, first, second in zip(names, session.run(names, both), *alone, strict=True):
        due = np.concatenate([first, second])
        gap = float(np.abs(pair - due).max()) if pair.shape == due.shape else float("inf")
        if not gap <= tolerance:
            raise ExportError(
                f"the part '{part.name}' gives another {name} for two images at once: a difference "
                f"of {gap:.3g} where {tolerance:.3g} is allowed"
            )
