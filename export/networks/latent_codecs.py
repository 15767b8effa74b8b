"""The codecs of latents, on the PyTorch side: what a network that is cut in two may send."""

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from compressai.entropy_models import EntropyBottleneck
from sc2bench.transforms.codec import PILTensorModule
from sc2bench.transforms.misc import SimpleDequantizer, SimpleQuantizer
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Port
from splitwatt.engines.codecs.autoregressive import CONTEXT, HYPER, KERNEL
from splitwatt.engines.codecs.hyperprior import PART
from splitwatt.engines.rangecoder import Tables
from splitwatt.export import ports
from splitwatt.export.graphs.codecs import Analysis, Context, Parameters, fixed
from splitwatt.export.spec import Codec, Coding, Part
from splitwatt.export.weights.random_weights import fit_entropy, quantised


class LatentCodec(Codec):
    """A codec of one latent, each value by itself or each channel under its own distribution."""

    @abstractmethod
    def received(self, latent: Tensor) -> Tensor:
        """A latent (N, C, H, W) as the server decodes it, item by item."""

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Codec.coded`."""
        return {name: self.received(t) for name, t in outputs.items() if name == "latent"}

    def fit(self, latents: Tensor) -> None:
        """Fit the learned parameters to latents (N, C, H, W)."""
        del latents  # most codecs have no parameters

    def parts(self, encoder: nn.Sequential, channels: int) -> list[Part]:
        """The parts before the server's: `encoder` makes a latent of `channels`."""
        latent = ports.maps("latent", channels)
        return [Part("encoder", "board", fixed(encoder), (ports.image(),), (latent,), encoder)]


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
    """A factorized prior under the range coder.

    Args:
        bottleneck: CompressAI's EntropyBottleneck, or the number of channels of a new one.
    """

    def __init__(self, bottleneck: Any) -> None:
        if isinstance(bottleneck, int):
            bottleneck = EntropyBottleneck(bottleneck).eval()
        self.bottleneck, self.modules = bottleneck, (bottleneck,)

    def coding(self) -> Coding:
        """Under the bottleneck's tables."""
        return Coding("rangecoder", (Tables.from_compressai(self.bottleneck),))

    def received(self, latent: Tensor) -> Tensor:
        """See `LatentCodec.received`."""
        return quantised(self.bottleneck, latent)

    def fit(self, latents: Tensor) -> None:
        """Logistics of each channel's spread."""
        with torch.no_grad():
            fit_entropy(self.bottleneck, latents.double())


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


class Hyperprior(Codec):
    """A latent under Gaussians that a side latent predicts, for any encoder.

    Args:
        model: a module of CompressAI or sc2bench: its `h_a` makes the side latent of the latent, its
            `h_s` the scales (and means) of the side latent.
        means: whether `h_s` makes means after the scales.
    """

    kind = "hyperprior"

    def __init__(self, model: Any, means: bool = True) -> None:
        self.bottleneck, self.gaussian = model.entropy_bottleneck, model.gaussian_conditional
        self.h_a, self.h_s, self.means = model.h_a, model.h_s, means
        self.modules = (self.h_a, self.bottleneck, self.gaussian, self.h_s)

    def coding(self) -> Coding:
        """With the tables of the side latent and of the latent."""
        models = (self.bottleneck, self.gaussian)
        return Coding(self.kind, tuple(Tables.from_compressai(model) for model in models))

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The side latent, or the latent once its indexes are known."""
        if "side" in outputs:
            return {"side": quantised(self.bottleneck, outputs["side"])}
        if "indexes" not in outputs:
            return {}
        means = outputs.get("means", torch.zeros(()))
        return {"latent": torch.round(tensors["latent"] - means) + means}

    def parts(self, encoder: nn.Sequential, channels: int) -> list[Part]:
        """The encoder, which gives both latents, and what both ends run."""
        side = ports.maps("side", int(self.bottleneck.channels))
        own = Analysis(encoder, self.h_a, not self.means)
        made = Part(
            "encoder",
            "board",
            Analysis(fixed(encoder), self.h_a, not self.means).eval(),
            (ports.image(),),
            (ports.maps("latent", channels), side),
            own.eval(),
        )
        return [made, *self.shared(side, channels)]

    def shared(self, side: Port, channels: int) -> list[Part]:
        """The part `parameters`, which the codec runs."""
        maps = (1, channels, None, None)
        outputs = [Port("indexes", "int32", maps)]
        if self.means:
            outputs.append(Port("means", "float32", maps))
        graph = Parameters(self.h_s, self.gaussian, channels, self.means).eval()

        def original(side: Tensor) -> tuple[Tensor, ...]:
            return self._split(self.h_s(side))

        return [Part(PART, "both", graph, (side,), tuple(outputs), original, [self.h_s])]

    def _split(self, made: Tensor) -> tuple[Tensor, ...]:
        """Indexes and means by CompressAI's own code."""
        scales, *means = made.chunk(2, 1) if self.means else (made,)
        return self.gaussian.build_indexes(scales), *means


class Autoregressive(Hyperprior):
    """A hyperprior whose Gaussians also depend on the positions before: mbt2018 and cheng2020-anchor.

    Args:
        model: CompressAI's.
    """

    kind = "autoregressive"

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.model = model
        self.modules = (*self.modules, model.context_prediction, model.entropy_parameters)

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The side latent; then the latent, and the middle position as input of the part `context`."""
        if "hyper" not in outputs:
            return super().coded({k: v for k, v in outputs.items() if k == "side"}, tensors)
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
                means = self._at(window, hyper[:, :, y : y + 1, x : x + 1])[1]
                value = torch.round(latent[:, :, y, x] - means[:, :, 0, 0]) + means[:, :, 0, 0]
                known[:, :, y + edge, x + edge] = value
        return known

    def _at(self, window: Tensor, place: Tensor) -> tuple[Tensor, ...]:
        """Indexes and means of a position by CompressAI's own modules."""
        context = self.model.context_prediction
        around = F.conv2d(window, context.weight * context.mask, context.bias)
        return self._split(self.model.entropy_parameters(torch.cat((place, around), 1)))

    def shared(self, side: Port, channels: int) -> list[Part]:
        """The parts `hyper` and `context`."""
        model, place = self.model, (1, channels, 1, 1)
        hyper = ports.maps("hyper", 2 * channels)
        context = Part(
            CONTEXT,
            "both",
            Context(model).eval(),
            (
                Port("window", "float32", (1, channels, KERNEL, KERNEL)),
                Port("place", "float32", (1, 2 * channels, 1, 1)),
            ),
            (Port("indexes", "int32", place), Port("means", "float32", place)),
            self._at,
            [model.context_prediction, model.entropy_parameters],
        )
        return [Part(HYPER, "both", model.h_s, (side,), (hyper,)), context]
