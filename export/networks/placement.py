"""A plain ResNet-50 cut behind one of its layers, whose features an entropy bottleneck or image codecs
code: the SC2 benchmark's bottleneck placement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sc2bench.models.layer import EntropyBottleneckLayer
from sc2bench.transforms.codec import PILTensorModule
from torch import Tensor, nn
from torchvision.models import resnet50

from engines.rangecoder import Tables
from export.checkpoints import fill, fill_bottleneck, subset
from export.graphs.bottleneck import PooledClassifier
from export.networks import ports
from export.networks.split import LOGIT_SPREAD
from export.photos import squares
from export.random_weights import (
    fit_batch_norms,
    fit_entropy_bottleneck,
    level,
    quantised,
    seeded,
)
from export.spec import Coding, LoadedFile, Network, Part, Photo

PLACES = ("layer1", "layer2", "layer3", "layer4", "avgpool")
CHANNELS = {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048, "avgpool": 2048}
_LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")


class CutResNet(Network):
    """The layers up to `place` on the board, the others on the server.

    Args:
        place: one of PLACES.
        bits: a symbol that random features are spread over.
    """

    def __init__(self, place: str, bits: float) -> None:
        self.model = resnet50(weights=None).eval()
        self.place, self.bits, self.channels = place, bits, CHANNELS[place]
        cut = _LAYERS.index(place) + 1
        self.encoder = self._named(_LAYERS[:cut])
        self.body = self._named(_LAYERS[cut:-1])
        self.head = PooledClassifier(self.model.fc)

    def _named(self, names: Sequence[str]) -> nn.Sequential:
        made = nn.Sequential()
        for name in names:
            made.add_module(name, getattr(self.model, name))
        return made.eval()

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """The layers on the board."""
        return (self.encoder,)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """torchvision's ResNet-50, or torchdistill's checkpoint of it."""
        loaded = states["classification"]
        fill(self.model, loaded.state, loaded)
        return []

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Features of about `bits`; classes that differ from photograph to photograph."""
        images = torch.from_numpy(squares())
        last = "layer4" if self.place == "avgpool" else self.place
        with seeded(key), torch.no_grad():
            for block in getattr(self.model, last):
                block.bn3.weight.mul_(2.0 ** (self.bits - 1))
                if block.downsample is not None:
                    block.downsample[1].weight.mul_(2.0 ** (self.bits - 1))
            fit_batch_norms([self.model], lambda: self.model(images))
            latents = self.encoder(images)
            self.fit_codec(latents)
            coded = [self.coded({"latent": item}, {})["latent"] for item in torch.split(latents, 1)]
            features = self.body(torch.cat(coded))
            level(self.model.fc, self.head(features), LOGIT_SPREAD)

    def fit_codec(self, latents: Tensor) -> None:
        """Fit what codes the features, where it is learned."""

    def parts(self) -> list[Part]:
        """encoder; body, where a layer is left for it; classifier."""
        latent = ports.maps("latent", self.channels)
        features = latent if not len(self.body) else ports.maps("f4", 2048)
        parts = [
            Part(
                "encoder",
                "board",
                self.encoder,
                (ports.image(),),
                (latent,),
                lambda tensors: {"latent": self.encoder(tensors["image"])},
                [self.encoder],
            )
        ]
        if len(self.body):
            parts.append(
                Part(
                    "body",
                    "server",
                    self.body,
                    (latent,),
                    (features,),
                    lambda tensors: {"f4": self.body(tensors["latent"])},
                    [self.body],
                )
            )
        classifier = Part(
            "classifier",
            "server",
            self.head,
            (features,),
            (ports.LOGITS,),
            lambda tensors: {"logits": self.head(tensors[features.name])},
            [self.model.fc],
        )
        return [*parts, classifier]


class EntropicResNet(CutResNet):
    """With an entropy bottleneck: sc2bench's EntropicClassifier."""

    def __init__(self, place: str, bits: float) -> None:
        super().__init__(place, bits)
        self.layer: Any = EntropyBottleneckLayer(entropy_bottleneck_channels=self.channels).eval()

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """The layers on the board and the entropy model."""
        return (self.encoder, self.layer)

    def coding(self) -> Coding:
        """The range coder under the bottleneck's tables."""
        return Coding("rangecoder", (Tables.from_compressai(self.layer.entropy_bottleneck),))

    def coded(self, found: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features as they come out of the coder."""
        bottleneck = self.layer.entropy_bottleneck
        return {n: quantised(bottleneck, t) for n, t in found.items() if n == "latent"}

    def fit_codec(self, latents: Tensor) -> None:
        """Logistics of each channel's spread."""
        fit_entropy_bottleneck(self.layer.entropy_bottleneck, latents)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """sc2bench's checkpoint: entropy_bottleneck, encoder, decoder and classifier."""
        loaded = states["classification"]
        fill_bottleneck(self.layer, subset(loaded.state, "entropy_bottleneck."), loaded)
        whole = nn.ModuleDict(
            {
                "encoder": self.encoder,
                "decoder": self.body,
                "classifier": nn.ModuleDict({"fc": self.model.fc}),
            }
        )
        fill(whole, loaded.state, loaded, handled=("entropy_bottleneck.",))
        return []


class FeatureImageResNet(CutResNet):
    """With three channels at a time as JPEG or WebP: sc2bench's CodecFeatureCompressionClassifier.

    Args:
        format: JPEG or WEBP.
        quality: of the files, 1 to 100.
    """

    def __init__(self, place: str, format: str, quality: int) -> None:
        super().__init__(place, 1.0)
        self.format, self.quality = format, quality
        self.codec = PILTensorModule(format=format, quality=quality)

    def coding(self) -> Coding:
        """Files of this format and quality."""
        return Coding("feature_" + self.format.lower(), (), self.quality)

    def coded(self, found: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features as sc2bench's own module saves and opens them."""
        return {n: self.codec(t[0])[None] for n, t in found.items() if n == "latent"}
