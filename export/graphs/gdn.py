"""CompressAI's generalised divisive normalisation, as it is once training is over."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from compressai.layers import GDN, GDN1
from torch import Tensor, nn


class FixedGdn(nn.Module):
    """GDN or GDN1 with its reparametrisation done once.

    x / sqrt(beta + gamma x^2), for GDN1 x / (beta + gamma |x|); times instead where it is inverse.
    """

    gamma: Tensor
    beta: Tensor

    def __init__(self, gdn: GDN) -> None:
        super().__init__()
        self.inverse, self.of_sizes = gdn.inverse, isinstance(gdn, GDN1)
        with torch.no_grad():
            gamma = gdn.gamma_reparam(gdn.gamma)
            self.register_buffer("gamma", gamma[:, :, None, None].clone())
            self.register_buffer("beta", gdn.beta_reparam(gdn.beta).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (N, C, H, W)."""
        norm = F.conv2d(x.abs() if self.of_sizes else x * x, self.gamma, self.beta)
        if not self.of_sizes:
            norm = torch.sqrt(norm)
        return x * norm if self.inverse else x / norm


def fixed(layers: nn.Sequential) -> nn.Sequential:
    """A copy of the layers with every GDN fixed, wherever it is."""
    made = copy.deepcopy(layers)
    for module in list(made.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, GDN):
                setattr(module, name, FixedGdn(child))
    return made
