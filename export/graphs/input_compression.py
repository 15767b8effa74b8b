"""The graph between an input codec and an unmodified model, and CompressAI's transforms."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.export.graphs.gdn import fixed
from splitwatt.export.graphs.hyperprior import Parameters


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
