"""CompressAI's image codecs on the board and the server: factorized and hyperprior ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from compressai.models.google import MeanScaleHyperprior
from compressai.zoo.image import cfgs, model_architectures
from compressai.zoo.pretrained import load_pretrained
from torch import Tensor, nn

from splitwatt.engines.rangecoder import Tables
from splitwatt.export import ports
from splitwatt.export.graphs.input_compression import Analysis, Synthesis
from splitwatt.export.networks.hyperprior import HyperpriorModel
from splitwatt.export.networks.image_codecs.input_compression import Compressor
from splitwatt.export.spec import IMAGENET_MEAN, IMAGENET_STD, Coding, LoadedFile, Part, plain_part
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import check_tables, fill
from splitwatt.export.weights.random_weights import (
    bits_between,
    fit_entropy,
    level,
    mix_gdns,
    pixels,
    quantised,
    seeded,
    widening,
)

# Mean and deviation of what random weights decode to, about those of photographs in 0 to 1.
_MIDDLE, _CONTRAST = 0.5, 0.2
# A side latent's deviation, and a scale's and a mean's, relative to the latent's own.
SIDE, VARIATION = 3.0, 0.3
# A Gaussian of deviation s holds about log2(s) + 2.05 bits once rounded to integers.
GAUSSIAN_BITS = 2.05


class NeuralCompressor(Compressor):
    """The transforms and their weights, which are the same before every model."""

    def __init__(self, name: str, rate: str) -> None:
        self.key, self.rate = f"{name}@{rate}", rate
        published = name.replace("_", "-")
        with seeded(self.key):
            size = cfgs[published][int(rate)]
            self.model: Any = model_architectures[published](*size).eval()
        qualities = sorted(cfgs[published])
        # CompressAI's lowest quality is the cheapest.
        self._bits = bits_between(qualities[-1] - int(rate), len(qualities))

    def load(self, states: Mapping[str, LoadedFile]) -> None:
        """Load the checkpoint `codec`, CompressAI's, with its saved tables if it has any."""
        loaded = states["codec"]
        state = load_pretrained(dict(loaded.state))
        fill(self.model, state, loaded)
        due = int(self.model.entropy_bottleneck.channels), "channels"
        check_tables(state, "entropy_bottleneck.", loaded, due)
        self.model = type(self.model).from_state_dict(state).eval()
        self.model.update()

    def fit_random(self) -> None:
        """Make random weights that spread latents over some bits and decode to something visible."""
        with seeded(self.key), torch.no_grad():
            mix_gdns(self.model)
            images = _unit_squares()
            latent = self.model.g_a.double()(images.double())
            factor = self._widen(latent)
            scale_channels(self.model.g_a[-1], factor)
            self.model.g_a.float()
            latent = self._fit_entropy(latent * factor[:, None, None])
            made = self.model.g_s(latent)
            wanted = _CONTRAST / made.std(dim=(0, 2, 3))
            _brighten(self.model.g_s[-1], made.mean(dim=(0, 2, 3)), wanted)

    def _widen(self, latent: Tensor) -> Tensor:
        return widening(latent, self._bits)

    def _fit_entropy(self, latent: Tensor) -> Tensor:
        """Fit the entropy model to a double latent; returns the rounded latent."""
        raise NotImplementedError

    def _decoder(self, latent: int) -> Part:
        g_s = self.model.g_s
        return Part(
            "decoder",
            "server",
            Synthesis(g_s).eval(),
            (ports.maps("latent", latent),),
            (ports.image(),),
            lambda tensors: {"image": g_s(tensors["latent"]).clamp(0, 1)},
            [g_s],
        )


class FactorizedCompressor(NeuralCompressor):
    """bmshj2018-factorized: one latent, one table a channel."""

    @property
    def modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """Encoder and entropy model."""
        return (self.model.g_a, self.model.entropy_bottleneck)

    def coding(self) -> Coding:
        """See `Compressor.coding`."""
        return Coding("rangecoder", (Tables.from_compressai(self.model.entropy_bottleneck),))

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The latent as it comes out of the coder."""
        bottleneck = self.model.entropy_bottleneck
        return {n: quantised(bottleneck, t) for n, t in outputs.items() if n == "latent"}

    def _fit_entropy(self, latent: Tensor) -> Tensor:
        fit_entropy(self.model.entropy_bottleneck, latent)
        return quantised(self.model.entropy_bottleneck, latent.float())

    def parts(self) -> list[Part]:
        """encoder | decoder."""
        g_a = self.model.g_a
        latent = ports.maps("latent", self.model.M)
        graph = Analysis(g_a).eval()
        encoder = plain_part("encoder", "board", g_a, ports.image(), latent, graph=graph)
        return [encoder, self._decoder(self.model.M)]


class HyperpriorCompressor(NeuralCompressor):
    """bmshj2018-hyperprior and mbt2018-mean: the latent's Gaussians are predicted from a side latent."""

    @property
    def _means(self) -> bool:
        return isinstance(self.model, MeanScaleHyperprior)

    @property
    def _prior(self) -> HyperpriorModel:
        model = self.model
        return HyperpriorModel(
            model.entropy_bottleneck, model.gaussian_conditional, model.h_s, model.M, self._means
        )

    @property
    def modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """Both encoders and the entropy model."""
        return (self.model.g_a, self.model.h_a, *self._prior.modules)

    def coding(self) -> Coding:
        """See `Compressor.coding`."""
        return self._prior.coding()

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The side latent, then the latent, as they come out of the coder."""
        return self._prior.coded(outputs, tensors)

    def _widen(self, latent: Tensor) -> Tensor:
        wanted = 2.0 ** (self._bits - GAUSSIAN_BITS)
        factor: Tensor = wanted / latent.std(dim=(0, 2, 3))
        return factor

    def _fit_entropy(self, latent: Tensor) -> Tensor:
        model = self.model
        side = self._side(model.h_a.double(), latent)
        factor = SIDE / side.std(dim=(0, 2, 3)).clamp(min=1e-9)
        scale_channels(model.h_a[-1], factor)
        model.h_a.float()
        side = side * factor[:, None, None]
        fit_entropy(model.entropy_bottleneck, side)
        made: list[Tensor] = []
        last: Any = [m for m in model.h_s if isinstance(m, nn.Conv2d)][-1]
        hook = last.register_forward_hook(lambda _m, _x, out: made.append(out))
        model.h_s(quantised(model.entropy_bottleneck, side.float()))
        hook.remove()
        level(last, pixels(made[0]), 1.0)
        deviation = latent.std(dim=(0, 2, 3)).float()
        scale_channels(last, VARIATION * deviation.repeat(2 if self._means else 1))
        last.bias[: model.M].add_(deviation)
        model.update(force=True)
        return latent.float().round()

    def _side(self, h_a: Any, latent: Tensor) -> Tensor:
        side: Tensor = h_a(latent if self._means else latent.abs())
        return side

    def parts(self) -> list[Part]:
        """encoder | parameters | decoder."""
        model = self.model

        def reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            latent = model.g_a(tensors["image"])
            return {"latent": latent, "side": self._side(model.h_a, latent)}

        encoder = Part(
            "encoder",
            "board",
            Analysis(model.g_a, model.h_a, not self._means).eval(),
            (ports.image(),),
            (ports.maps("latent", model.M), self._prior.side_port),
            reference,
            [model.g_a, model.h_a],
        )
        return [encoder, self._prior.part(), self._decoder(model.M)]


def _brighten(last: Any, mean: Tensor, factor: Tensor) -> None:
    """Make a synthesis' last layer give (x - mean) * factor, in the middle of 0 to 1."""
    if isinstance(last, nn.Sequential):  # a convolution whose channels become pixels
        last, each = last[0], last[1].upscale_factor ** 2
        mean, factor = mean.repeat_interleave(each), factor.repeat_interleave(each)
        last.weight.mul_(factor[:, None, None, None])
    else:
        last.weight.mul_(factor[None, :, None, None])
    last.bias.sub_(mean).mul_(factor).add_(_MIDDLE)


def scale_channels(layer: Any, factor: Tensor) -> None:
    """Multiply the output channels of a convolution."""
    layer.weight.mul_(factor[:, None, None, None])
    layer.bias.mul_(factor)


def _unit_squares(count: int = 6, side: int = 128) -> Tensor:
    """Some packaged photographs in 0 to 1, (count, 3, side, side); 64 divides the side."""
    shape = (1, 3, 1, 1)
    mean, std = np.reshape(IMAGENET_MEAN, shape), np.reshape(IMAGENET_STD, shape)
    images = squares()[:count, :, :side, :side] * std + mean
    return torch.from_numpy(images.astype(np.float32))
