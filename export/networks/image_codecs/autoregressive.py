"""CompressAI's codecs with a context model: mbt2018 and cheng2020-anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Port
from splitwatt.engines.codecs.autoregressive import CONTEXT, HYPER, KERNEL
from splitwatt.engines.rangecoder import Tables
from splitwatt.export import ports
from splitwatt.export.graphs.input_compression import Analysis, Context
from splitwatt.export.networks.image_codecs.neural_codecs import (
    GAUSSIAN_BITS,
    SIDE,
    VARIATION,
    NeuralCompressor,
    scale_channels,
)
from splitwatt.export.spec import Coding, Part, plain_part
from splitwatt.export.weights.random_weights import fit_entropy, level, pixels, quantised


class AutoregressiveCompressor(NeuralCompressor):
    """Each position's Gaussians are predicted from a side latent and the positions before."""

    @property
    def modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """Both encoders and the entropy model."""
        model = self.model
        prior = (model.entropy_bottleneck, model.context_prediction, model.entropy_parameters)
        return (model.g_a, model.h_a, model.h_s, *prior)

    def coding(self) -> Coding:
        """See `Compressor.coding`."""
        both = (self.model.entropy_bottleneck, self.model.gaussian_conditional)
        return Coding("autoregressive", tuple(Tables.from_compressai(part) for part in both))

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The side latent; then the latent, and the middle position as input of the part `context`."""
        if "side" in outputs:
            return {"side": quantised(self.model.entropy_bottleneck, outputs["side"])}
        if "hyper" not in outputs:
            return {}
        hyper = outputs["hyper"]
        known = self._walk(tensors["latent"], hyper)
        y, x = hyper.shape[2] // 2, hyper.shape[3] // 2
        edge = KERNEL // 2
        return {
            "latent": known[:, :, edge:-edge, edge:-edge],
            "window": known[:, :, y : y + KERNEL, x : x + KERNEL],
            "place": hyper[:, :, y : y + 1, x : x + 1],
        }

    def _walk(self, latent: Tensor, hyper: Tensor) -> Tensor:
        """The decoded latent with its empty edge, position by position as in CompressAI."""
        edge = KERNEL // 2
        known = F.pad(torch.zeros_like(latent), (edge,) * 4)
        for y in range(hyper.shape[2]):
            for x in range(hyper.shape[3]):
                window = known[:, :, y : y + KERNEL, x : x + KERNEL]
                means = self._predicted(window, hyper[:, :, y : y + 1, x : x + 1])[1]
                value = torch.round(latent[:, :, y, x] - means[:, :, 0, 0]) + means[:, :, 0, 0]
                known[:, :, y + edge, x + edge] = value
        return known

    def _predicted(self, window: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """indexes and means by CompressAI's own modules."""
        model = self.model
        masked = model.context_prediction.weight * model.context_prediction.mask
        around = F.conv2d(window, masked, model.context_prediction.bias)
        made = model.entropy_parameters(torch.cat((place, around), 1))
        scales, means = made.chunk(2, 1)
        return model.gaussian_conditional.build_indexes(scales), means

    def _widen(self, latent: Tensor) -> Tensor:
        factor: Tensor = 2.0 ** (self._bits - GAUSSIAN_BITS) / latent.std(dim=(0, 2, 3))
        return factor

    def _fit_entropy(self, latent: Tensor) -> Tensor:
        model = self.model
        side = model.h_a.double()(latent)
        factor = SIDE / side.std(dim=(0, 2, 3)).clamp(min=1e-9)
        scale_channels(model.h_a[-1], factor)
        model.h_a.float()
        side = side * factor[:, None, None]
        fit_entropy(model.entropy_bottleneck, side)
        hyper = model.h_s(quantised(model.entropy_bottleneck, side.float()))
        rounded = latent.float().round()
        around = model.context_prediction(rounded)
        # Both contribute, whatever their random weights are.
        scale_channels(
            model.context_prediction, (hyper.std() / around.std()).expand(len(around[0]))
        )
        around = model.context_prediction(rounded)
        last: Any = model.entropy_parameters[-1]
        made = model.entropy_parameters(torch.cat((hyper, around), 1))
        level(last, pixels(made), 1.0)
        deviation = latent.std(dim=(0, 2, 3)).float()
        scale_channels(last, VARIATION * deviation.repeat(2))
        last.bias[: len(deviation)].add_(deviation)
        model.update(force=True)
        return rounded

    def parts(self) -> list[Part]:
        """encoder | hyper, context | decoder."""
        model = self.model
        channels, predicted = int(model.M), 2 * int(model.M)

        def encode(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            latent = model.g_a(tensors["image"])
            return {"latent": latent, "side": model.h_a(latent)}

        def predict(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            indexes, means = self._predicted(tensors["window"], tensors["place"])
            return {"indexes": indexes, "means": means}

        side = ports.maps("side", int(model.N))
        latent = ports.maps("latent", channels)
        place = (1, channels, 1, 1)
        return [
            Part(
                "encoder",
                "board",
                Analysis(model.g_a, model.h_a).eval(),
                (ports.image(),),
                (latent, side),
                encode,
                [model.g_a, model.h_a],
            ),
            plain_part(HYPER, "both", model.h_s, side, ports.maps("hyper", predicted)),
            Part(
                CONTEXT,
                "both",
                Context(model).eval(),
                (
                    Port("window", "float32", (1, channels, KERNEL, KERNEL)),
                    Port("place", "float32", (1, predicted, 1, 1)),
                ),
                (Port("indexes", "int32", place), Port("means", "float32", place)),
                predict,
                [model.context_prediction, model.entropy_parameters],
            ),
            self._decoder(channels),
        ]
