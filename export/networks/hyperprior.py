"""A hyperprior's entropy model for any encoder: its codec and the part that both ends run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Port
from splitwatt.engines.codecs.hyperprior import PART
from splitwatt.engines.rangecoder import Tables
from splitwatt.export import ports
from splitwatt.export.graphs.hyperprior import Parameters
from splitwatt.export.spec import Coding, Part
from splitwatt.export.weights.random_weights import quantised


class HyperpriorModel:
    """CompressAI's entropy bottleneck of a side latent, and the Gaussians that it predicts.

    Args:
        bottleneck: the EntropyBottleneck of the side latent.
        gaussian: the GaussianConditional of the latent.
        h_s: makes scales (and means) of the side latent.
        channels: of the latent.
        means: whether `h_s` makes means after the scales.
    """

    def __init__(
        self, bottleneck: Any, gaussian: Any, h_s: nn.Module, channels: int, means: bool
    ) -> None:
        self.bottleneck, self.gaussian, self.h_s = bottleneck, gaussian, h_s
        self.channels, self.means = channels, means

    @property
    def side_port(self) -> Port:
        """The encoder's second output."""
        return ports.maps("side", int(self.bottleneck.channels))

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The modules of the entropy model that each end needs."""
        return (self.bottleneck, self.gaussian, self.h_s)

    def coding(self) -> Coding:
        """The codec with the tables of the side latent and of the latent."""
        tables = (Tables.from_compressai(self.bottleneck), Tables.from_compressai(self.gaussian))
        return Coding("hyperprior", tables)

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The side latent, or the latent once its indexes are known."""
        made = {}
        if "side" in outputs:
            made["side"] = quantised(self.bottleneck, outputs["side"])
        if "indexes" in outputs:
            means = outputs.get("means", torch.zeros(()))
            made["latent"] = torch.round(tensors["latent"] - means) + means
        return made

    def parameters(self, side: Tensor) -> dict[str, Tensor]:
        """indexes and means by CompressAI's own code."""
        made = self.h_s(side)
        scales = made.chunk(2, 1)[0] if self.means else made
        outputs = {"indexes": self.gaussian.build_indexes(scales)}
        if self.means:
            outputs["means"] = made.chunk(2, 1)[1]
        return outputs

    def part(self) -> Part:
        """The part `parameters`, which the codec runs."""
        maps = (1, self.channels, None, None)
        outputs = [Port("indexes", "int32", maps)]
        if self.means:
            outputs.append(Port("means", "float32", maps))
        return Part(
            PART,
            "both",
            Parameters(self.h_s, self.gaussian, self.channels, self.means).eval(),
            (self.side_port,),
            tuple(outputs),
            lambda tensors: self.parameters(tensors["side"]),
            [self.h_s],
        )
