"""The table indexes and means that both ends of a hyperprior compute from its side latent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Parameters(nn.Module):
    """side -> indexes, int32, of the latent's tables, and for a mean-scale hyperprior its means.

    An index is how many table scales, without the last, are below a scale: CompressAI's `build_indexes`
    as a binary search, because a logarithm may differ between the two ends.

    Args:
        h_s: the synthesis of scales, or of scales and then means, from the side latent.
        gaussian: CompressAI's GaussianConditional, its scale table filled.
        channels: of the latent; so many of the channels from `h_s` are scales.
        means: whether `h_s` makes means.
    """

    steps: Tensor

    def __init__(self, h_s: nn.Module, gaussian: Any, channels: int, means: bool) -> None:
        super().__init__()
        self.h_s, self.channels, self.means = h_s, channels, means
        steps = gaussian.scale_table[:-1].detach().clone()
        self.bits = max(1, len(steps).bit_length())
        padding = torch.full(((1 << self.bits) - 1 - len(steps),), float("inf"))
        self.register_buffer("steps", torch.cat([steps, padding]))
        bound = float(gaussian.lower_bound_scale.bound)
        # The bound matters only if it is above the first step.
        self.bound = bound if bound > float(steps[0]) else None

    def forward(self, side: Tensor) -> tuple[Tensor, ...]:
        """(indexes,) or (indexes, means), each (1, C, H, W)."""
        made = self.h_s(side)
        if not self.means:
            return (self._indexes(made),)
        scales, means = torch.split(made, self.channels, dim=1)
        return self._indexes(scales), means

    def _indexes(self, scales: Tensor) -> Tensor:
        if self.bound is not None:
            scales = scales.clamp(min=self.bound)
        index = torch.zeros_like(scales).to(torch.int64)
        for bit in reversed(range(self.bits)):
            above = scales > self.steps[index + ((1 << bit) - 1)]
            index = index + above.to(torch.int64) * (1 << bit)
        return index.to(torch.int32)
