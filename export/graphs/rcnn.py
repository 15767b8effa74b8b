"""torchvision's Faster R-CNN behind a backbone: pyramid, proposals, boxes."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from splitwatt.export.graphs.boxes import at_least, best, clip, decode, nms

# The height of a band of boxes in pixels; a number larger than twice any image's width.
BAND, FURTHER = 16, 16384.0


class Rcnn(nn.Module):
    """Features -> boxes, labels, scores, for one image.

    What torchvision's `RegionProposalNetwork` and `RoIHeads` compute, with the same thresholds, but

    - only the anchors that survive the per-level top-k are decoded;
    - all levels, and all classes, are suppressed by one NonMaxSuppression each;
    - proposals are grouped by pyramid level instead of the pooled features being put back in order,
      and within a level by place, so that pooling finds their features in the cache.

    Args:
        model: torchvision's `FasterRCNN` (its backbone's pyramid, rpn and roi_heads).
        strides: of the pyramid's levels that boxes are pooled from.
    """

    def __init__(self, model: Any, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.fpn = model.backbone.fpn
        rpn, roi = model.rpn, model.roi_heads
        self.rpn_head = rpn.head
        self.cells = [cell.clone() for cell in rpn.anchor_generator.cell_anchors]
        self.rpn_weights = rpn.box_coder.weights
        self.before = int(rpn._pre_nms_top_n["testing"])
        self.after = int(rpn._post_nms_top_n["testing"])
        self.rpn_iou = float(rpn.nms_thresh)
        self.rpn_score = float(rpn.score_thresh)
        self.rpn_side = float(rpn.min_size)
        self.box_head, self.box_predictor = roi.box_head, roi.box_predictor
        self.roi_weights = roi.box_coder.weights
        self.score_threshold = float(roi.score_thresh)
        self.iou_threshold = float(roi.nms_thresh)
        self.detections = int(roi.detections_per_img)
        pool = roi.box_roi_pool
        self.pooled = tuple(pool.output_size)
        self.sampling = int(pool.sampling_ratio)
        self.strides = strides
        # A box goes to level floor(canonical_level + log2(sqrt(area) / canonical_scale) + 1e-6).
        levels = [s.bit_length() - 1 for s in strides]
        self.areas = [
            (pool.canonical_scale * 2.0 ** (level - pool.canonical_level - 1e-6)) ** 2
            for level in levels[1:]
        ]

    def forward(
        self, features: list[Tensor], input_size: Tensor, valid_size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes, labels, scores (best first) and, for checks, the proposals.

        Args:
            features: of the backbone, finest first.
            input_size: int64 [2], (height, width) of the padded image.
            valid_size: int64 [2], without the padding.
        """
        named = OrderedDict((str(i), feature) for i, feature in enumerate(features))
        pyramid = list(self.fpn(named).values())
        proposals = self.propose(pyramid, input_size, valid_size)
        logits, deltas, grouped = self.look(pyramid[: len(self.strides)], proposals)
        boxes, labels, scores = self.pick(logits, deltas, grouped, valid_size)
        return boxes, labels, scores, proposals

    def propose(self, pyramid: list[Tensor], input_size: Tensor, valid_size: Tensor) -> Tensor:
        """Proposals (n, 4), at most `after`, best first."""
        boxes, scores = [], []
        for feature, cell in zip(pyramid, self.cells, strict=True):
            hidden = self.rpn_head.conv(feature)
            objectness = self.rpn_head.cls_logits(hidden)[0].permute(1, 2, 0).reshape(-1)
            deltas = self.rpn_head.bbox_pred(hidden)[0].permute(1, 2, 0).reshape(-1, 4)
            top, index = best(objectness, self.before)
            anchors = _anchors(feature, cell, input_size)[index]
            boxes.append(decode(deltas[index], anchors, self.rpn_weights))
            scores.append(top)
        clipped = clip(torch.cat(boxes), valid_size)
        score = torch.cat(scores).sigmoid()
        good = at_least(clipped, self.rpn_side) & (score >= self.rpn_score)
        # A row per level: boxes of other levels, and too small or weak ones, are below the threshold.
        level = torch.cat([torch.full_like(s, float(i)) for i, s in enumerate(scores)])
        own = level[None] == torch.arange(len(scores)).to(level.dtype)[:, None]
        rows = torch.where(own & good[None], score[None], torch.tensor(-1.0))
        kept = nms(clipped[None], rows[None], self.after, self.rpn_iou, -0.5)[:, 2]
        _, order = best(score[kept], self.after)
        return clipped[kept[order]]

    def look(self, pyramid: list[Tensor], proposals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits (n, classes), regressions (n, 4 classes), the proposals in their order."""
        proposals = proposals[_neighbours(proposals, self.after)]
        size = proposals[:, 2:] - proposals[:, :2]
        area = size[:, 0] * size[:, 1]
        level = torch.zeros_like(area)
        for limit in self.areas:
            level = level + (area >= limit).to(area.dtype)
        pooled, order = [], []
        for i, (feature, stride) in enumerate(zip(pyramid, self.strides, strict=True)):
            index = (level == i).nonzero()[:, 0]
            boxes = proposals[index]
            rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
            pooled.append(
                roi_align(feature, rois, self.pooled, 1.0 / stride, self.sampling, aligned=False)
            )
            order.append(index)
        # There are at most `after` proposals; engines are sized by this limit in the graph.
        logits, deltas = self.box_predictor(self.box_head(torch.cat(pooled)[: self.after]))
        return logits, deltas, proposals[torch.cat(order)[: self.after]]

    def pick(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, valid_size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The detections: boxes (n, 4), labels (n,), scores (n,), best first."""
        classes = self.box_predictor.cls_score.out_features
        each = deltas.reshape(-1, classes, 4)[:, 1:].permute(1, 0, 2)
        boxes = clip(decode(each, proposals[None], self.roi_weights), valid_size)
        scores = logits.softmax(-1).t()[1:]
        scores = torch.where(at_least(boxes, 1e-2), scores, torch.tensor(0.0))
        kept = nms(
            boxes, scores[:, None], self.detections, self.iou_threshold, self.score_threshold
        )
        flat = kept[:, 0] * torch._shape_as_tensor(proposals)[0] + kept[:, 2]
        scores, order = best(scores.reshape(-1)[flat], self.detections)
        return boxes.reshape(-1, 4)[flat[order]], kept[order, 0] + 1, scores


def _neighbours(boxes: Tensor, limit: int) -> Tensor:
    """An order of at most `limit` boxes in which neighbours follow each other.

    Pooling reads all channels at a box; for a neighbour they are still in the cache.
    """
    centre = boxes[:, :2] + boxes[:, 2:]
    band = torch.floor(centre[:, 1] / (2 * BAND))
    return best(-(band * FURTHER + centre[:, 0]), limit)[1]


def _anchors(feature: Tensor, cell: Tensor, input_size: Tensor) -> Tensor:
    """torchvision's anchors of one level, (height * width * len(cell), 4)."""
    grid = torch._shape_as_tensor(feature)[2:]
    stride = torch.div(input_size, grid, rounding_mode="trunc").to(cell.dtype)
    down = torch.arange(feature.shape[2]).to(cell.dtype) * stride[0]
    right = torch.arange(feature.shape[3]).to(cell.dtype) * stride[1]
    y, x = torch.meshgrid(down, right, indexing="ij")
    shifts = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (shifts + cell[None]).reshape(-1, 4)
