"""torchvision's segmentation models as one local part, and the head of split ones."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from splitwatt.export import ports
from splitwatt.export.networks.backbones import WholeModel
from splitwatt.export.spec import Part, Photo
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.random_weights import fit_batch_norms, level_while

# Standard deviation of a random segmenter's logits, the same for every class.
LOGIT_SPREAD = 2.0


class SegmentationHead(nn.Module):
    """f4, input_size -> mask, and the logits for checks: enlarged to the input's size, as torchvision does."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, f4: Tensor, input_size: Tensor) -> tuple[Tensor, Tensor]:
        """mask int32 (1, H, W); logits (1, classes, H, W)."""
        size = (input_size[0], input_size[1])
        small = self.classifier(f4)
        logits = F.interpolate(small, size=size, mode="bilinear", align_corners=False)  # type: ignore[arg-type]
        return logits.argmax(dim=1).to(torch.int32), logits


class WholeSegmenter(nn.Module):
    """image -> mask, and the logits for checks: one of torchvision's segmentation models."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """mask int32 (1, H, W); logits (1, classes, H, W)."""
        logits = self.model(image)["out"]
        return logits.argmax(dim=1).to(torch.int32), logits


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
