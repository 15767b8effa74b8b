"""Boxes in graphs: decoding, clipping and ONNX's NonMaxSuppression."""

import math
from typing import Any

import torch
import torchvision
from torch import Tensor

# What torchvision's BoxCoder clamps log-sizes to.
LOG_CLIP = math.log(1000.0 / 16)


def decode(deltas: Tensor, anchors: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Boxes (..., 4) xyxy from regressions (..., 4) and anchors that broadcast to them.

    The formula of torchvision's `BoxCoder.decode_single`, for one set of four at a time.
    """
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + 0.5 * size
    wx, wy, ww, wh = weights
    moved = deltas[..., :2] / torch.tensor([wx, wy]) * size + centre
    grown = (deltas[..., 2:] / torch.tensor([ww, wh])).clamp(max=LOG_CLIP).exp() * size
    half = grown * 0.5
    return torch.cat([moved - half, moved + half], dim=-1)


def clip(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes (..., 4) kept inside an image; `size` is int64 [2], (height, width)."""
    height, width = size[0].to(boxes.dtype), size[1].to(boxes.dtype)
    limit = torch.stack([width, height, width, height])
    return torch.minimum(boxes, limit).clamp(min=0)


def at_least(boxes: Tensor, side: float) -> Tensor:
    """Whether both sides of each box (..., 4) are at least `side`."""
    size = boxes[..., 2:] - boxes[..., :2]
    return (size[..., 0] >= side) & (size[..., 1] >= side)


def best(scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The at most `limit` highest of scores (..., n) and their indexes; n may vary."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        count = torch._shape_as_tensor(scores)[-1:]
        k: Any = torch.min(torch.cat([torch.tensor([limit]), count]))
    else:
        k = min(limit, scores.shape[-1])
    return scores.topk(k, dim=-1)


def nms(boxes: Tensor, scores: Tensor, limit: int, iou: float, threshold: float) -> Tensor:
    """ONNX's NonMaxSuppression.

    Args:
        boxes: (batches, n, 4) xyxy.
        scores: (batches, classes, n).
        limit: boxes kept per batch and class.
        iou: a box is dropped when it overlaps a better one of its batch and class by more.
        threshold: boxes of a score at or below it are not considered.

    Returns:
        int64 (kept, 3): batch, class and index, best first within a batch and class.
    """
    return _Nms.apply(boxes, scores, limit, iou, threshold)  # type: ignore[no-any-return]


class _Nms(torch.autograd.Function):
    """One graph node, and what it computes while it is traced."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, boxes: Tensor, scores: Tensor, limit: int, iou: float, threshold: float
    ) -> Tensor:
        kept = []
        for batch, label in (scores > threshold).any(dim=2).nonzero().tolist():
            index = (scores[batch, label] > threshold).nonzero()[:, 0]
            keep = torchvision.ops.nms(boxes[batch, index], scores[batch, label, index], iou)
            index = index[keep[:limit]]
            kept.append(torch.stack([torch.full_like(index, batch),
                                     torch.full_like(index, label), index], dim=1))  # fmt: skip
        return torch.cat(kept) if kept else torch.zeros((0, 3), dtype=torch.int64)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, limit: int, iou: float, threshold: float) -> Any:
        def constant(value: Any, dtype: torch.dtype) -> Any:
            return g.op("Constant", value_t=torch.tensor([value], dtype=dtype))

        return g.op(
            "NonMaxSuppression",
            boxes,
            scores,
            constant(limit, torch.int64),
            constant(iou, torch.float32),
            constant(threshold, torch.float32),
        )
