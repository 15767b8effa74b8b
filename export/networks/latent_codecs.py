"""The codecs for a plain latent, on the PyTorch side: the choices of a network that is cut in two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from sc2bench.models.layer import EntropyBottleneckLayer
from sc2bench.transforms.codec import PILTensorModule
from sc2bench.transforms.misc import SimpleDequantizer, SimpleQuantizer
from torch import Tensor, nn

from splitwatt.engines.rangecoder import Tables
from splitwatt.export.spec import Coding
from splitwatt.export.weights.random_weights import fit_entropy_bottleneck, quantised


class LatentCodec(ABC):
    """One kind of codec.

    Attributes:
        modules: its modules with parameters.
    """

    modules: Sequence[nn.Module] = ()

    @abstractmethod
    def coding(self) -> Coding:
        """See `Network.coding`."""

    @abstractmethod
    def received(self, latent: Tensor) -> Tensor:
        """A latent (N, C, H, W) as the server decodes it, item by item."""

    def fit(self, latents: Tensor) -> None:
        """Fit the learned parameters to random latents."""
        del latents  # most codecs have no parameters


class EightBits(LatentCodec):
    """One byte a value, on each latent's own scale."""

    def __init__(self) -> None:
        self._compress, self._decompress = SimpleQuantizer(8), SimpleDequantizer(8)

    def coding(self) -> Coding:
        """Without tables."""
        return Coding("quantized")

    def received(self, latent: Tensor) -> Tensor:
        """See `LatentCodec.received`."""
        items = torch.split(latent, 1)
        return torch.cat([self._decompress(self._compress(item)) for item in items])


class Entropic(LatentCodec):
    """An entropy bottleneck: a factorized prior under the range coder."""

    def __init__(self, channels: int) -> None:
        self.layer: Any = EntropyBottleneckLayer(entropy_bottleneck_channels=channels).eval()
        self.modules = (self.layer,)

    def coding(self) -> Coding:
        """Under the bottleneck's tables."""
        return Coding("rangecoder", (Tables.from_compressai(self.layer.entropy_bottleneck),))

    def received(self, latent: Tensor) -> Tensor:
        """See `LatentCodec.received`."""
        return quantised(self.layer.entropy_bottleneck, latent)

    def fit(self, latents: Tensor) -> None:
        """Logistics of each channel's spread."""
        fit_entropy_bottleneck(self.layer.entropy_bottleneck, latents)


class FeatureImages(LatentCodec):
    """Three channels at a time as JPEG or WEBP files of a quality from 1 to 100."""

    def __init__(self, format: str, quality: int) -> None:
        self.format, self.quality = format, quality
        self._codec = PILTensorModule(format=format, quality=quality)

    def coding(self) -> Coding:
        """Files of this format and quality."""
        return Coding("feature_" + self.format.lower(), (), self.quality)

    def received(self, latent: Tensor) -> Tensor:
        """See `LatentCodec.received`: sc2bench's own module saves and opens them."""
        return torch.stack([self._codec(item) for item in latent])
