"""torchvision's segmentation models as one local part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torchvision import models

from splitwatt.export import ports
from splitwatt.export.graphs.segmentation import WholeSegmenter
from splitwatt.export.networks.backbones import WholeModel
from splitwatt.export.spec import Part, Photo
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.random_weights import fit_batch_norms, level_while

# Standard deviation of a random segmenter's logits, the same for every class.
LOGIT_SPREAD = 2.0


class Segmenter(WholeModel):
    """image -> mask."""

    def __init__(self, name: str) -> None:
        self.name = name
        more = {"aux_loss": True} if name.startswith("deeplab") else {}
        self.model = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=21, **more
        ).eval()

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: fitted statistics, and about as many pixels for every class."""
        images = torch.from_numpy(squares())
        head = self.model.classifier
        last = [head[-1]] if isinstance(head, nn.Sequential) else [
            head.low_classifier, head.high_classifier
        ]  # fmt: skip
        fit_batch_norms(
            [self.model], lambda: level_while(last, LOGIT_SPREAD, lambda: self.model(images))
        )

    def parts(self) -> list[Part]:
        """`model` alone, without the classifier that only training needs."""
        if hasattr(self.model, "aux_classifier"):
            self.model.aux_classifier = None
        return [
            Part(
                "model",
                "board",
                WholeSegmenter(self.model),
                (ports.image(),),
                (ports.MASK,),
                checks=("logits",),
            )
        ]
