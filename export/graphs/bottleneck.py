"""Encoder, decoder and the layers after it: what Ladon and Entropic Student share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from splitwatt.export.graphs.gdn import fixed


class Body(nn.Module):
    """Decoder and residual layers: rounded latent -> features.

    Args:
        decoder: of a bottleneck layer.
        layers: the stages of the backbone after it.
        every: whether f1 (the decoder's output) to f4 are wanted, or f4 alone.
    """

    def __init__(self, decoder: nn.Sequential, layers: Sequence[nn.Module], every: bool) -> None:
        super().__init__()
        self.decoder = fixed(decoder)
        self.layers = nn.ModuleList(layers)
        self.every = every

    def forward(self, latent: Tensor) -> tuple[Tensor, ...]:
        """(f1, f2, f3, f4) or (f4,)."""
        features = [self.decoder(latent)]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return tuple(features) if self.every else (features[-1],)


class PooledClassifier(nn.Module):
    """Global average pooling and the fully-connected layer: f4 -> logits."""

    def __init__(self, fc: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = fc

    def forward(self, f4: Tensor) -> Tensor:
        """Logits (1, classes)."""
        return self.fc(torch.flatten(self.pool(f4), 1))  # type: ignore[no-any-return]
