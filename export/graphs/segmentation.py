"""Segmentation heads: logits enlarged to the input's size, and the class of each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def enlarge(logits: Tensor, size: Tensor) -> Tensor:
    """torchvision's bilinear interpolation of (1, C, h, w) to `size`, int64 [2]."""
    return F.interpolate(logits, size=(size[0], size[1]), mode="bilinear", align_corners=False)  # type: ignore[arg-type]


def classes(logits: Tensor) -> Tensor:
    """The class of each pixel, int32 (1, H, W)."""
    return logits.argmax(dim=1).to(torch.int32)


class Segmenter(nn.Module):
    """f4, input_size -> mask, and the logits for checks."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, f4: Tensor, input_size: Tensor) -> tuple[Tensor, Tensor]:
        """mask int32 (1, H, W); logits (1, classes, H, W)."""
        logits = enlarge(self.classifier(f4), input_size)
        return classes(logits), logits


class WholeSegmenter(nn.Module):
    """image -> mask, and the logits for checks: one of torchvision's segmentation models."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """mask int32 (1, H, W); logits (1, classes, H, W)."""
        logits = self.model(image)["out"]
        return classes(logits), logits
