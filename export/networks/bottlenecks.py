"""sc2bench's bottleneck layers, each with its codec: they replace a network's first layers."""

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

from splitwatt.export.networks.latent_codecs import EightBits, Entropic, Hyperprior
from splitwatt.export.spec import LoadedFile, Part
from splitwatt.export.weights.checkpoints import fill_bottleneck
from splitwatt.export.weights.random_weights import (
    fit_batch_norms,
    fit_factorized,
    fit_hyperprior,
    mix_gdns,
)


class Bottleneck(ABC):
    """An encoder, a codec and a decoder around one of sc2bench's layers.

    Args:
        layer: the layer.
        encoder: image -> latent.
        decoder: latent -> features.
        codec: between the two.
        channels: of the latent.
    """

    def __init__(
        self,
        layer: Any,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        codec: Any,
        channels: int,
    ) -> None:
        self.layer, self.encoder, self.decoder = layer.eval(), encoder, decoder
        self.codec, self.channels = codec, channels

    @abstractmethod
    def fit(self, images: Tensor, bits: float) -> Tensor:
        """Make random weights for about `bits` per symbol that spread latents and features.

        Returns:
            The latents of `images` as decoded.
        """

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:
        """The modules that the board needs."""
        return (self.encoder, *self.codec.modules)

    def parts(self) -> list[Part]:
        """The parts before the server's body."""
        parts: list[Part] = self.codec.parts(self.encoder, self.channels)
        return parts

    def received(self, image: Tensor) -> Tensor:
        """The latent of an image as the server decodes it."""
        tensors = {"image": image}
        for part in self.parts():
            outputs = part.reference(tensors)
            tensors.update(outputs)
            tensors.update(self.codec.coded(outputs, tensors))
        return tensors["latent"]

    def load(self, state: Mapping[str, Any], source: LoadedFile) -> None:
        """Load the layer's tensors.

        Raises:
            CheckpointError: they do not fit.
        """
        fill_bottleneck(self.layer, state, source)

    def _reset(self) -> None:
        for module in self.layer.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.reset_parameters()


class Factorized(Bottleneck):
    """A factorized prior. Arguments as sc2bench's layer takes them."""

    def __init__(self, **more: Any) -> None:
        layer = FPBasedResNetBottleneck(**more)
        codec = Entropic(layer.entropy_bottleneck)
        super().__init__(layer, layer.encoder, layer.decoder, codec, int(codec.bottleneck.channels))

    def fit(self, images: Tensor, bits: float) -> Tensor:
        """See `Bottleneck.fit`."""
        self._reset()
        mix_gdns(self.layer)
        with torch.no_grad():
            rounded = fit_factorized(self.encoder, self.codec.modules[0], images, bits)
            last: Any = self.decoder[-1]
            last.weight.div_(self.decoder(rounded).std())
        return rounded


class MeanScale(Bottleneck):
    """A hyperprior of means and scales, or of scales alone. Arguments as sc2bench's layer takes them."""

    def __init__(self, means: bool = True, /, **more: Any) -> None:
        layer = (MSHPBasedResNetBottleneck if means else SHPBasedResNetBottleneck)(**more)
        codec = Hyperprior(layer, means)
        super().__init__(layer, layer.g_a, layer.g_s, codec, int(layer.num_bottleneck_channels))

    def fit(self, images: Tensor, bits: float) -> Tensor:
        """See `Bottleneck.fit`."""
        self._reset()
        fit_hyperprior(self.layer, images, bits, self.codec.means)
        return self.received(images)


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
        super().__init__(layer, encoder, rest.decoder, EightBits(), channels)

    def fit(self, images: Tensor, bits: float) -> Tensor:
        """See `Bottleneck.fit`; `bits` are always 8."""
        fit_batch_norms([self.encoder], lambda: self.encoder(images))
        with torch.no_grad():
            latents = self.received(images)
        fit_batch_norms([self.decoder], lambda: self.decoder(latents))
        return latents
