"""sc2bench's bottleneck layers, each with its codec: they replace a network's first layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sc2bench.models.layer import (
    FPBasedResNetBottleneck,
    MSHPBasedResNetBottleneck,
    SHPBasedResNetBottleneck,
    SimpleBottleneck,
    larger_resnet_layer1_bottleneck,
)
from torch import Tensor, nn
from torchvision.models import resnet50

from splitwatt.engines.rangecoder import Tables
from splitwatt.export import ports
from splitwatt.export.graphs.gdn import fixed
from splitwatt.export.graphs.input_compression import Analysis
from splitwatt.export.networks.hyperprior import HyperpriorModel
from splitwatt.export.networks.latent_codecs import EightBits
from splitwatt.export.spec import Coding, LoadedFile, Part, plain_part
from splitwatt.export.weights.checkpoints import fill_bottleneck
from splitwatt.export.weights.random_weights import (
    fit_batch_norms,
    fit_bottleneck,
    fit_hyperprior,
    quantised,
)


class Bottleneck(ABC):
    """An encoder, a codec and a decoder around one of sc2bench's layers.

    Args:
        layer: the layer, in evaluation mode.
        channels: of the latent.
    """

    def __init__(self, layer: Any, channels: int) -> None:
        self.layer, self.channels = layer.eval(), channels

    @abstractmethod
    def coding(self) -> Coding:
        """See `Network.coding`."""

    @abstractmethod
    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Network.coded`."""

    @abstractmethod
    def fit(self, images: Tensor, bits: float) -> Tensor:
        """Make random weights for about `bits` per symbol; returns the latents of `images` as decoded."""

    @property
    def encoder(self) -> nn.Sequential:
        """Image -> latent."""
        return self.layer.encoder  # type: ignore[no-any-return]

    @property
    def decoder(self) -> nn.Sequential:
        """Latent -> features."""
        return self.layer.decoder  # type: ignore[no-any-return]

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:
        """Encoder and entropy model."""
        return (self.encoder,)

    def received(self, image: Tensor) -> Tensor:
        """The latent of an image as the server decodes it."""
        tensors = {"image": image}
        for part in self.parts():
            outputs = part.reference(tensors)
            tensors.update(outputs)
            tensors.update(self.coded(outputs, tensors))
        return tensors["latent"]

    def load(self, state: Mapping[str, Any], source: LoadedFile) -> None:
        """Load the layer's tensors.

        Raises:
            CheckpointError: they do not fit.
        """
        fill_bottleneck(self.layer, state, source)

    def parts(self) -> list[Part]:
        """The parts before the server's body."""
        latent, graph = ports.maps("latent", self.channels), fixed(self.encoder)
        return [plain_part("encoder", "board", self.encoder, ports.image(), latent, graph=graph)]


class Factorized(Bottleneck):
    """A factorized prior. Arguments as sc2bench's layer takes them."""

    def __init__(self, **more: Any) -> None:
        layer = FPBasedResNetBottleneck(**more)
        super().__init__(layer, int(layer.entropy_bottleneck.channels))

    def coding(self) -> Coding:
        """The range coder under the bottleneck's tables."""
        return Coding("rangecoder", (Tables.from_compressai(self.layer.entropy_bottleneck),))

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The latent as it comes out of the coder."""
        bottleneck = self.layer.entropy_bottleneck
        return {n: quantised(bottleneck, t) for n, t in outputs.items() if n == "latent"}

    def fit(self, images: Tensor, bits: float) -> Tensor:
        """See `Bottleneck.fit`."""
        _reset(self.layer)
        return fit_bottleneck(self.layer, images, bits)

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:
        """Encoder and entropy model."""
        return (self.encoder, self.layer.entropy_bottleneck)


class MeanScale(Bottleneck):
    """A mean-scale hyperprior. Arguments as sc2bench's layer takes them."""

    _layer: Any = MSHPBasedResNetBottleneck
    _means = True

    def __init__(self, **more: Any) -> None:
        layer = self._layer(**more)
        super().__init__(layer, int(layer.num_bottleneck_channels))

    def _side(self, latent: Tensor) -> Tensor:
        side: Tensor = self.layer.h_a(latent if self._means else latent.abs())
        return side

    @property
    def model(self) -> HyperpriorModel:
        """Its entropy model."""
        layer = self.layer
        return HyperpriorModel(
            layer.entropy_bottleneck,
            layer.gaussian_conditional,
            layer.h_s,
            self.channels,
            self._means,
        )

    @property
    def encoder(self) -> nn.Sequential:
        """Image -> latent."""
        return self.layer.g_a  # type: ignore[no-any-return]

    @property
    def decoder(self) -> nn.Sequential:
        """Latent -> features."""
        return self.layer.g_s  # type: ignore[no-any-return]

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:
        """Both analyses and the entropy model; the board runs its synthesis too."""
        return (self.encoder, self.layer.h_a, *self.model.modules)

    def coding(self) -> Coding:
        """Two bitstreams under two sets of tables."""
        return self.model.coding()

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `HyperpriorModel.coded`."""
        return self.model.coded(outputs, tensors)

    def fit(self, images: Tensor, bits: float) -> Tensor:
        """See `Bottleneck.fit`."""
        _reset(self.layer)
        fit_hyperprior(self.layer, images, bits, self._side)
        return self.received(images)

    def parts(self) -> list[Part]:
        """The encoder, which gives both latents, and the part that both ends run."""

        def reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            latent = self.encoder(tensors["image"])
            return {"latent": latent, "side": self._side(latent)}

        encoder = Part(
            "encoder",
            "board",
            Analysis(self.encoder, self.layer.h_a, not self._means),
            (ports.image(),),
            (ports.maps("latent", self.channels), self.model.side_port),
            reference,
            [self.encoder, self.layer.h_a],
        )
        return [encoder, self.model.part()]


class ScaleHyperprior(MeanScale):
    """A hyperprior of scales alone. Arguments as sc2bench's layer takes them."""

    _layer = SHPBasedResNetBottleneck
    _means = False


class ChannelReduction(Bottleneck):
    """Few channels of 8 bits (CR + BQ), as sc2-benchmark v0.0.3 builds it.

    sc2bench 0.1.1 has these layers, without the stem of a ResNet, under another name; in the released
    checkpoints the stem belongs to the encoder.
    """

    def __init__(self, channels: int) -> None:
        stem = resnet50(weights=None)
        rest = larger_resnet_layer1_bottleneck(bottleneck_channel=channels)
        encoder = nn.Sequential(stem.conv1, stem.bn1, stem.relu, stem.maxpool, *rest.encoder)
        layer = SimpleBottleneck(encoder, rest.decoder)
        super().__init__(layer, channels)
        self._codec = EightBits()

    def coding(self) -> Coding:
        """One byte a value."""
        return self._codec.coding()

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The latent on its own scale of 256 steps, item by item."""
        return {n: self._codec.received(t) for n, t in outputs.items() if n == "latent"}

    def fit(self, images: Tensor, bits: float) -> Tensor:
        """See `Bottleneck.fit`; `bits` are always 8."""
        fit_batch_norms([self.encoder], lambda: self.encoder(images))
        with torch.no_grad():
            latents = self._codec.received(self.encoder(images))
        fit_batch_norms([self.decoder], lambda: self.decoder(latents))
        return latents


def _reset(layer: nn.Module) -> None:
    for module in layer.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.reset_parameters()
