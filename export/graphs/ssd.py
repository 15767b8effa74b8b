"""torchvision's SSD with one batched non-maximum suppression in place of a loop over classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from splitwatt.export.graphs.boxes import best, clip, decode, nms


class Ssd(nn.Module):
    """image (1, 3, H, W) of the model's fixed size -> boxes, labels, scores.

    What torchvision's `SSD.postprocess_detections` computes: a class's `topk_candidates` best boxes
    above the score threshold are suppressed among themselves, and the best of all are kept. A class
    is a batch of the NonMaxSuppression, so that each sees its own candidates only.
    """

    anchors: Tensor
    size: Tensor

    def __init__(self, ssd: Any, size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = ssd.backbone
        self.head = ssd.head
        self.weights = ssd.box_coder.weights
        self.candidates = int(ssd.topk_candidates)
        self.score_threshold = float(ssd.score_thresh)
        self.iou_threshold = float(ssd.nms_thresh)
        self.detections = int(ssd.detections_per_img)
        image = torch.zeros(1, 3, *size)
        with torch.no_grad():
            features = list(self.backbone(image).values())
            anchors = ssd.anchor_generator(ImageList(image, [size]), features)[0]
        self.register_buffer("anchors", anchors)
        self.register_buffer("size", torch.tensor(size))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """boxes (n, 4) xyxy in the image's pixels, labels int64 (n,), scores (n,), best first."""
        outputs = self.head(list(self.backbone(image).values()))
        return self.pick(outputs["bbox_regression"][0], outputs["cls_logits"][0])

    def pick(self, deltas: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The detections among regressions (n, 4) and class logits (n, classes)."""
        boxes = clip(decode(deltas, self.anchors, self.weights), self.size)
        scores = logits.softmax(-1).t()[1:]
        k = min(self.candidates, scores.shape[1])
        scores, index = scores.topk(k, dim=1)
        boxes = boxes[index]
        limit = min(k, self.detections)
        kept = nms(boxes, scores[:, None], limit, self.iou_threshold, self.score_threshold)
        flat = kept[:, 0] * k + kept[:, 2]
        scores, order = best(scores.reshape(-1)[flat], self.detections)
        return boxes.reshape(-1, 4)[flat[order]], kept[order, 0] + 1, scores
