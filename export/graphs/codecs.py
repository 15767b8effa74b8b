"""The transforms and entropy models of CompressAI and sc2bench, as they are once training is over."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from compressai.layers import GDN, GDN1
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Preprocess


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


class Parameters(nn.Module):
    """side -> indexes, int32, of the latent's tables, and for a mean-scale hyperprior its means.

    An index is how many table scales, without the last, are below a scale: CompressAI's `build_indexes`
    as a binary search, because a logarithm may differ between the two ends.

    Args:
        h_s: the synthesis of scales, or of scales and then means, from the side latent.
        gaussian: CompressAI's GaussianConditional, its scale table filled.
        channels: of the latent; as many of the channels from `h_s` are scales.
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


class Normalised(nn.Module):
    """An image in 0 to 1, as it comes out of a codec -> the model's outputs.

    Removes the codec's padding, normalises, and sets the model's own padding to zero, because torchvision
    pads after normalising.

    Args:
        model: takes the normalised image, and `valid_size` where it takes that.
        own: the model's preprocessing.
        padded: whether the codec pads to other multiples than the model.
        takes_size: whether `model` takes `valid_size`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, own: Preprocess, padded: bool, takes_size: bool) -> None:
        super().__init__()
        self.model, self.takes_size, self.cuts = model, takes_size, padded
        self.multiple = own.pad_multiple
        exact = own.crop or (own.resize.size if own.resize.rule == "exact" else None)
        self.fixed = exact if isinstance(exact, tuple) else None
        self.register_buffer("mean", torch.tensor(own.mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(own.std, dtype=torch.float32).view(1, 3, 1, 1))

    @property
    def needs_size(self) -> bool:
        """Whether it takes `valid_size` besides the image."""
        return self.takes_size or self.multiple is not None or (self.cuts and self.fixed is None)

    def prepare(self, image: Tensor, valid_size: Tensor | None = None) -> Tensor:
        """The model's normalised input."""
        if self.cuts:
            image = self._cut(image, valid_size)
        image = (image - self.mean) / self.std
        if self.multiple is not None and valid_size is not None:
            rows = torch.arange(image.shape[2]) < valid_size[0]
            columns = torch.arange(image.shape[3]) < valid_size[1]
            image = image * (rows[:, None] & columns[None, :]).to(image.dtype)
        return image

    def forward(self, image: Tensor, valid_size: Tensor | None = None) -> Any:
        """image (1, 3, H, W), valid_size int64 [2] where `needs_size`; the model's outputs."""
        return self.run(self.model, image, valid_size)

    def run(self, model: Any, image: Tensor, valid_size: Tensor | None = None) -> Any:
        """Like `forward`, with another model of the same inputs."""
        ready = self.prepare(image, valid_size)
        return model(ready, valid_size) if self.takes_size else model(ready)

    def _cut(self, image: Tensor, valid_size: Tensor | None) -> Tensor:
        if self.fixed is not None:
            return image[:, :, : self.fixed[0], : self.fixed[1]]
        if valid_size is None:
            raise TypeError("a padded image of any size comes with its valid_size")
        step = self.multiple or 1
        height, width = (
            torch.div(valid_size + (step - 1), step, rounding_mode="floor") * step
        ).unbind()
        return image[:, :, :height, :width]


class Context(nn.Module):
    """The decoded values around a position, and its features of the side latent -> its indexes and means.

    Args:
        model: CompressAI's joint autoregressive one.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        masked = model.context_prediction.weight * model.context_prediction.mask
        self.register_buffer("weight", masked.detach().clone())
        self.register_buffer("bias", model.context_prediction.bias.detach().clone())
        self.parameters_of = Parameters(
            model.entropy_parameters, model.gaussian_conditional, int(model.M), True
        )

    def forward(self, window: Tensor, place: Tensor) -> tuple[Tensor, ...]:
        """window (1, C, 5, 5), place (1, P, 1, 1); indexes int32 and means, (1, C, 1, 1)."""
        around = F.conv2d(window, self.weight, self.bias)  # type: ignore[arg-type]
        return self.parameters_of(torch.cat((place, around), 1))  # type: ignore[no-any-return]


class Analysis(nn.Module):
    """image -> latent, and its side latent.

    Args:
        h_a: the side latent's encoder.
        of_sizes: whether it takes the latent without its signs.
    """

    def __init__(self, g_a: nn.Sequential, h_a: nn.Module, of_sizes: bool) -> None:
        super().__init__()
        self.g_a, self.h_a, self.of_sizes = g_a, h_a, of_sizes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(latent, side)."""
        latent = self.g_a(image)
        return latent, self.h_a(latent.abs() if self.of_sizes else latent)


class Synthesis(nn.Module):
    """latent -> image in 0 to 1."""

    def __init__(self, g_s: nn.Sequential) -> None:
        super().__init__()
        self.g_s = fixed(g_s)

    def forward(self, latent: Tensor) -> Tensor:
        """image (1, 3, H, W)."""
        return self.g_s(latent).clamp(0, 1)  # type: ignore[no-any-return]
