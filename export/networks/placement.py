"""A plain ResNet-50 cut after one of its layers: the SC2 benchmark's bottleneck placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sc2bench.models.layer import EntropyBottleneckLayer
from torch import nn
from torchvision.models import ResNet, resnet50

from splitwatt.export.graphs.bottleneck import PooledClassifier
from splitwatt.export.networks.cut import CutClassifier
from splitwatt.export.networks.latent_codecs import Entropic, FeatureImages, LatentCodec
from splitwatt.export.spec import LoadedFile, Photo
from splitwatt.export.weights.checkpoints import fill, fill_bottleneck, subset

CHANNELS = {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048, "avgpool": 2048}
_LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")


class CutResNet(CutClassifier):
    """The layers up to `place` on the board.

    Args:
        place: one of CHANNELS.
        codec: of the features.
        gain: the factor of the random weights' features.
    """

    def __init__(
        self, place: str, codec: LatentCodec, gain: float = 1.0, num_classes: int = 1000
    ) -> None:
        model = resnet50(num_classes=num_classes)
        cut = _LAYERS.index(place) + 1
        rest = _LAYERS[cut:-1]
        body = _named(model, rest) if rest else None
        head = PooledClassifier(model.fc)
        channels = (CHANNELS[place], 2048)
        super().__init__(model, _named(model, _LAYERS[:cut]), body, head, channels, codec)
        self.place, self.gain, self.resnet = place, gain, model

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Like any cut classifier, with features `gain` times as large."""
        last = "layer4" if self.place == "avgpool" else self.place
        with torch.no_grad():
            for block in getattr(self.resnet, last):
                block.bn3.weight.mul_(self.gain)
                if block.downsample is not None:
                    block.downsample[1].weight.mul_(self.gain)
        super().fit_random(photos, key)


class EntropicResNet(CutResNet):
    """With an entropy bottleneck: sc2bench's EntropicClassifier.

    Args:
        place: where to cut.
        bits: bits per symbol of random features.
    """

    def __init__(self, place: str, bits: float, num_classes: int = 1000) -> None:
        self.layer: Any = EntropyBottleneckLayer(entropy_bottleneck_channels=CHANNELS[place]).eval()
        codec = Entropic(self.layer.entropy_bottleneck)
        super().__init__(place, codec, 2.0 ** (bits - 1), num_classes)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """sc2bench's checkpoint: entropy_bottleneck, encoder, decoder and classifier."""
        loaded = states["classification"]
        fill_bottleneck(self.layer, subset(loaded.state, "entropy_bottleneck."), loaded)
        whole = {
            "encoder": self.encoder,
            "decoder": self.body or nn.Identity(),
            "classifier": nn.ModuleDict({"fc": self.resnet.fc}),
        }
        fill(nn.ModuleDict(whole), loaded.state, loaded, handled=("entropy_bottleneck.",))
        return []


def feature_images(place: str, format: str, quality: int) -> CutResNet:
    """With three channels at a time as files: sc2bench's CodecFeatureCompressionClassifier."""
    return CutResNet(place, FeatureImages(format, quality))


def _named(model: ResNet, names: Sequence[str]) -> nn.Sequential:
    made = nn.Sequential()
    for name in names:
        made.add_module(name, getattr(model, name))
    return made
