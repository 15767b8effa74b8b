"""torchvision's image classifiers as one local part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torchvision import models

from splitwatt.export import ports
from splitwatt.export.spec import LoadedFile, Network, Part, Photo, plain_part
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import fill
from splitwatt.export.weights.random_weights import fit_batch_norms, level

# Standard deviation of random logits: the best of 1000 classes then gets a probability of some tenths.
LOGIT_SPREAD = 6.0


class WholeModel(Network):
    """A model of torchvision as it is, in the attribute `model`."""

    model: Any

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """The checkpoint `model`: torchvision's state_dict, or torchdistill's."""
        fill(self.model, states["model"].state, states["model"])
        return []


class Classifier(WholeModel):
    """image -> logits."""

    def __init__(self, name: str) -> None:
        self.model = models.get_model(name, weights=None).eval()

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: fitted statistics, and classes that differ between photographs."""
        images = torch.from_numpy(squares())
        fit_batch_norms([self.model], lambda: self.model(images))
        last = [m for m in self.model.modules() if isinstance(m, nn.Linear)][-1]
        with torch.no_grad():
            level(last, self.model(images), LOGIT_SPREAD)

    def parts(self) -> list[Part]:
        """`model` alone."""
        return [plain_part("model", "board", self.model, ports.image(), ports.logits())]
