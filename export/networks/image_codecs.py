"""An input codec before an unmodified model: image -> bytes -> image in 0 to 1 -> the model."""

import functools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from compressai.models.google import JointAutoregressiveHierarchicalPriors, MeanScaleHyperprior
from compressai.zoo.image import cfgs, model_architectures
from compressai.zoo.pretrained import load_pretrained
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import CODECS, CodecSpec, Preprocess
from splitwatt.engines.codecs import open_codec
from splitwatt.export import ports
from splitwatt.export.graphs.codecs import Normalised, Synthesis
from splitwatt.export.networks.latent_codecs import Autoregressive, Entropic, Hyperprior
from splitwatt.export.spec import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Codec,
    Coding,
    LoadedFile,
    Network,
    Part,
    Photo,
    System,
)
from splitwatt.export.tracing.photos import photos as views
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import check_tables, fill
from splitwatt.export.weights.random_weights import (
    VARIATION,
    bits_between,
    fit_encoder,
    fit_factorized,
    fit_side,
    gaussian_widening,
    level,
    mix_gdns,
    pixels,
    scale_channels,
    seeded,
)

# Mean and deviation of what random weights decode to, about those of photographs in 0 to 1.
_MIDDLE, _CONTRAST = 0.5, 0.2


class FileCompressor(Codec):
    """A format of image files; both ends code with `splitwatt.engines.codecs`."""

    def __init__(self, kind: str, rate: str | None) -> None:
        quality = None if rate is None or rate == "lossless" else int(rate)
        self._coding = Coding(kind, quality=quality)
        no_engines: dict[str, Any] = {}
        self._codec = open_codec(CodecSpec(kind, [], quality), [], no_engines.__getitem__)

    def coding(self) -> Coding:
        """See `Codec.coding`."""
        return self._coding

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """At the start, the image as it is decoded from the file."""
        if "valid_size" not in outputs:
            return {}
        board = {name: outputs[name].numpy() for name in ("image", "valid_size")}
        height, width = outputs["image"].shape[2:]
        made = self._codec.decode(self._codec.encode(board), (height, width))
        return {name: torch.from_numpy(array) for name, array in made.items()}


class NeuralCompressor(Network):
    """A codec of CompressAI; its random weights are the same before every model.

    Args:
        name: the zoo's (`mbt2018_mean`).
        rate: CompressAI's quality.
    """

    def __init__(self, name: str, rate: str) -> None:
        self.key = f"{name}@{rate}"
        published = name.replace("_", "-")
        with seeded(self.key):
            size = cfgs[published][int(rate)]
            self.model: Any = model_architectures[published](*size).eval()
        qualities = sorted(cfgs[published])
        # CompressAI's lowest quality is the cheapest.
        self._bits = bits_between(qualities[-1] - int(rate), len(qualities))
        self._encoder = self.model.g_a
        if isinstance(self.model, JointAutoregressiveHierarchicalPriors):
            self.codec: Any = Autoregressive(self.model)
        elif hasattr(self.model, "h_a"):
            self.codec = Hyperprior(self.model, isinstance(self.model, MeanScaleHyperprior))
        else:
            self.codec = Entropic(self.model.entropy_bottleneck)
            self._encoder = nn.Sequential(OrderedDict(g_a=self.model.g_a))
        self.encoder_modules = (self.model.g_a, *self.codec.modules)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """Load the checkpoint `codec`, CompressAI's, with its saved tables if it has any."""
        loaded = states["codec"]
        state = load_pretrained(dict(loaded.state))
        fill(self.model, state, loaded)
        check_tables(self.model.entropy_bottleneck, state, "entropy_bottleneck.", loaded)
        self.model.load_state_dict(state)
        self.model.update()
        return []

    def fit_random(self, photos: Sequence[Photo] = (), key: str = "") -> None:
        """Make random weights that spread latents over some bits and decode to something visible."""
        model = self.model
        with seeded(self.key), torch.no_grad():
            mix_gdns(model)
            images = _unit_squares()
            if isinstance(self.codec, Hyperprior):
                latent = fit_encoder(model.g_a, images, lambda x: gaussian_widening(x, self._bits))
                rounded = latent.float().round()
                self._fit_prior(latent, rounded)
                model.update(force=True)
            else:
                prior = model.entropy_bottleneck
                rounded = fit_factorized(model.g_a, prior, images, self._bits)
            made = model.g_s(rounded)
            wanted = _CONTRAST / made.std(dim=(0, 2, 3))
            _brighten(model.g_s[-1], made.mean(dim=(0, 2, 3)), wanted)

    def _fit_prior(self, latent: Tensor, rounded: Tensor) -> None:
        """Make the predicted Gaussians about as wide as the latent's channels."""
        model, codec = self.model, self.codec
        given = latent if codec.means else latent.abs()
        hyper, last, made = fit_side(model.h_a, model.entropy_bottleneck, given), model.h_s, []
        side = hyper
        if isinstance(codec, Autoregressive):
            hyper = model.h_s(side)
            around = model.context_prediction(rounded)
            # Both contribute, whatever their random weights are.
            factor = (hyper.std() / around.std()).expand(len(around[0]))
            scale_channels(model.context_prediction, factor)
            side = torch.cat((hyper, model.context_prediction(rounded)), 1)
            last = model.entropy_parameters
        convolution: Any = [m for m in last if isinstance(m, nn.Conv2d)][-1]
        hook = convolution.register_forward_hook(lambda _m, _x, out: made.append(out))
        last(side)
        hook.remove()
        level(convolution, pixels(made[0]), 1.0)
        deviation = latent.std(dim=(0, 2, 3)).float()
        scale_channels(convolution, VARIATION * deviation.repeat(2 if codec.means else 1))
        convolution.bias[: model.M].add_(deviation)

    def parts(self) -> list[Part]:
        """encoder | what both ends run | decoder."""
        g_s, channels = self.model.g_s, int(self.model.M)
        decoder = Part(
            "decoder",
            "server",
            Synthesis(g_s).eval(),
            (ports.maps("latent", channels),),
            (ports.image(),),
            lambda latent: g_s(latent).clamp(0, 1),
            [g_s],
        )
        return [*self.codec.parts(self._encoder, channels), decoder]


class InputCompression(Network):
    """A compressor's parts, then `model`: the whole model on the server.

    The model has the same random weights as without a codec.

    Args:
        compressor: the codec.
        inner: the row of the model.
        preprocess: of the board: the model's, not normalised.
    """

    def __init__(
        self, compressor: FileCompressor | NeuralCompressor, inner: System, preprocess: Preprocess
    ) -> None:
        self.system, self.neural = inner, None
        self.codec = compressor
        if isinstance(compressor, NeuralCompressor):
            self.neural, self.codec = compressor, compressor.codec
            self.encoder_modules = compressor.encoder_modules
        with seeded(inner.name):
            self.inner = inner.build(None)
        self.fixed_size = self.inner.fixed_size
        self._padded = preprocess.pad_multiple != inner.preprocess.pad_multiple

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """Load the checkpoints `codec`, if the codec is neural, and `model`."""
        if self.neural:
            self.neural.load(states)
        return self.inner.load({"model": states["model"]})

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """The model's own random weights, and the codec's."""
        if self.neural:
            self.neural.fit_random()
        with seeded(self.system.name):
            self.inner.fit_random(views(self.system.preprocess), self.system.name)

    def parts(self) -> list[Part]:
        """The compressor's, and `model` on the server."""
        (part,) = self.inner.parts()
        takes_size = ports.VALID_SIZE in part.inputs
        whole = Normalised(part.module, self.system.preprocess, self._padded, takes_size).eval()
        part.original = functools.partial(whole.run, part.original or part.module)
        image = ports.image() if self._padded else part.inputs[0]
        part.inputs = (image, ports.VALID_SIZE) if whole.needs_size else (image,)
        part.module, part.placement = whole, "server"
        return [*(self.neural.parts() if self.neural else ()), part]


def compressor(name: str, rate: str | None) -> FileCompressor | NeuralCompressor:
    """An input codec by its name and rate point."""
    return FileCompressor(name, rate) if name in CODECS else NeuralCompressor(name, str(rate))


def _brighten(last: Any, mean: Tensor, factor: Tensor) -> None:
    """Make a synthesis' last layer give (x - mean) * factor, in the middle of 0 to 1."""
    if isinstance(last, nn.Sequential):  # a convolution whose channels become pixels
        last, each = last[0], last[1].upscale_factor ** 2
        mean, factor = mean.repeat_interleave(each), factor.repeat_interleave(each)
        last.weight.mul_(factor[:, None, None, None])
    else:
        last.weight.mul_(factor[None, :, None, None])
    last.bias.sub_(mean).mul_(factor).add_(_MIDDLE)


def _unit_squares() -> Tensor:
    """Some packaged photographs in 0 to 1, (6, 3, 128, 128); the sides are multiples of 64."""
    shape = (1, 3, 1, 1)
    mean, std = np.reshape(IMAGENET_MEAN, shape), np.reshape(IMAGENET_STD, shape)
    images = squares()[:6, :, :128, :128] * std + mean
    return torch.from_numpy(images.astype(np.float32))
