"""Random weights that make every stage do real work.

They are seeded by name, so that two exports agree, and fitted to the packaged photographs:
activations stay in range, latents have some bits per symbol, detectors find some boxes and segmenters
several classes. Their bytes and answers have no other meaning.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchvision.ops import FrozenBatchNorm2d

from splitwatt.device_configs.errors import ExportError
from splitwatt.export.spec import SEED

# Bits per symbol at the most and the least expensive rate point of the papers.
_MOST_BITS, _LEAST_BITS = 4.0, 1.2
# A logistic distribution of scale s has about log2(s) + 2.9 bits once rounded to integers.
_LOGISTIC_BITS = 2.9
# A side latent's deviation, and a scale's and a mean's, relative to the latent's own.
SIDE, VARIATION = 3.0, 0.3


@contextmanager
def seeded(key: str) -> Iterator[None]:
    """Seed PyTorch's random numbers with `key`; the caller's state is restored afterwards."""
    digest = hashlib.sha256(f"{SEED}:{key}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(digest[:6], "little"))
        yield


def fit_batch_norms(modules: Sequence[nn.Module], run: Callable[[], Any]) -> None:
    """Give every batch normalisation the statistics of what `run()` feeds it, first to last."""

    def fit(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        mean = x.mean(dim=(0, 2, 3))
        variance = x.var(dim=(0, 2, 3), unbiased=False)
        # A few pooled values may be nearly equal: their differences must not be amplified.
        floor = 0.02 * (mean.square() + variance).mean() + 1e-6
        layer.running_mean.copy_(mean)  # type: ignore[operator, union-attr]
        layer.running_var.copy_(variance.clamp(min=float(floor)))  # type: ignore[operator, union-attr]

    norms = [
        layer
        for module in modules
        for layer in module.modules()
        if isinstance(layer, nn.BatchNorm2d | FrozenBatchNorm2d)
    ]
    _run_with([layer.register_forward_pre_hook(fit) for layer in norms], run)


def _run_with(hooks: Sequence[RemovableHandle], run: Callable[[], Any]) -> None:
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()


def bits_at(
    rate: str,
    betas: tuple[float, float] = (0.32, 20.48),
    bits: tuple[float, float] = (_MOST_BITS, _LEAST_BITS),
) -> float:
    """Bits per symbol of a rate point's random latents: `bits` at `betas`, falling with the logarithm."""
    low, high = betas
    return bits[0] + math.log2(float(rate) / low) / math.log2(high / low) * (bits[1] - bits[0])


def bits_between(index: int, count: int) -> float:
    """Bits per symbol of a rate point by its index, if rates are no betas; 0 is the most expensive."""
    return _MOST_BITS + index / max(1, count - 1) * (_LEAST_BITS - _MOST_BITS)


def fit_encoder(
    encoder: Any,
    inputs: Tensor,
    widen: Callable[[Tensor], Tensor],
    last: Callable[[Any], Sequence[Any]] = lambda layer: [layer],
) -> Tensor:
    """Widen the channels of an encoder's latent; returns the latent of `inputs`, double.

    Computed in double precision and rounded, so that weights do not depend on the number of threads: the
    three Entropic Students of a beta have the same encoder, byte for byte.

    Args:
        widen: the factors of the channels of a double latent.
        last: the convolutions of the encoder's last layer whose sum is the latent.
    """
    latent: Tensor = encoder.double()(inputs.double())
    factor = _rounded(widen(latent))
    for layer in last(encoder[-1]):
        scale_channels(layer, factor)
    encoder.float()
    return latent * factor[:, None, None]


def fit_factorized(
    encoder: Any, bottleneck: Any, images: Tensor, bits: float, **more: Any
) -> Tensor:
    """Fit an encoder and CompressAI's bottleneck of its latent; returns the latent as decoded."""
    latent = fit_encoder(encoder, images, lambda latent: widening(latent, bits), **more)
    fit_entropy(bottleneck, latent)
    return quantised(bottleneck, latent.float())


def fit_side(h_a: Any, bottleneck: Any, latent: Tensor) -> Tensor:
    """Fit the side latent of a hyperprior and its entropy model; returns it as decoded.

    Args:
        h_a: makes the side latent.
        bottleneck: CompressAI's, of the side latent.
        latent: what `h_a` takes, double.
    """
    side = fit_encoder(h_a, latent, lambda side: SIDE / _deviation(side).clamp(min=1e-9))
    fit_entropy(bottleneck, side)
    return quantised(bottleneck, side.float())


def scale_channels(layer: Any, factor: Tensor) -> None:
    """Multiply the output channels of a convolution."""
    layer.weight.mul_(factor[:, None, None, None])
    if layer.bias is not None:
        layer.bias.mul_(factor)


def fit_hyperprior(layer: Any, images: Tensor, bits: float, means: bool = True) -> None:
    """Spread both latents of sc2bench's hyperprior layer, and make its Gaussians about as wide.

    The synthesis has no biases: positive weights after rectifiers make positive scales.
    """
    mix_gdns(layer)
    with torch.no_grad():
        latent = fit_encoder(layer.g_a, images, lambda latent: gaussian_widening(latent, bits))
        side = fit_side(layer.h_a, layer.entropy_bottleneck, latent if means else latent.abs())
        last, channels = layer.h_s[-1], latent.shape[1]
        last.weight[:channels].abs_()
        made = layer.h_s(side)
        # The features before have both signs: negative scales get the smallest table.
        spread = _deviation(latent).float()
        factor = spread / made[:, :channels].abs().mean(dim=(0, 2, 3))
        if means:
            narrower = _deviation(made[:, channels:]).clamp(min=1e-6)
            factor = torch.cat((factor, VARIATION * spread / narrower))
        scale_channels(last, factor)
        layer.update(force=True)
        features = layer.g_s(latent.float().round())
        layer.g_s[-1].weight.div_(features.std())


def gaussian_widening(latent: Tensor, bits: float) -> Tensor:
    """The factor of each channel of a latent for about `bits` per value under a Gaussian."""
    # A Gaussian of deviation s has about log2(s) + 2.05 bits once rounded to integers.
    factor: Tensor = 2.0 ** (bits - 2.05) / _deviation(latent)
    return factor


def _deviation(values: Tensor) -> Tensor:
    return values.std(dim=(0, 2, 3))


def widening(latent: Tensor, bits: float) -> Tensor:
    """The factor of each channel of a double latent (N, C, H, W) for about `bits` per rounded value; it
    does not depend on the number of threads.
    """
    deviation = _deviation(latent)
    wanted = 2.0 ** (bits - _LOGISTIC_BITS) * math.pi / math.sqrt(3.0)
    # Channels differ, as trained ones do.
    return _rounded(wanted * torch.linspace(0.4, 1.3, len(deviation)).double() / deviation)


def fit_entropy(bottleneck: Any, latent: Tensor) -> None:
    """Fit CompressAI's entropy bottleneck to a double latent (N, C, H, W), and make its tables."""
    _fit_logistic(
        bottleneck,
        _rounded(latent.mean(dim=(0, 2, 3))),
        _rounded(_deviation(latent).clamp(min=1e-2) * math.sqrt(3.0) / math.pi),
    )
    bottleneck.update(force=True, update_quantiles=True)


def quantised(bottleneck: Any, latent: Tensor) -> Tensor:
    """The latent (N, C, H, W) as decoded: rounded around each channel's median."""
    medians = bottleneck._get_medians().detach().reshape(1, -1, 1, 1)
    rounded: Tensor = torch.round(latent - medians) + medians
    return rounded


def mix_gdns(layer: Any) -> None:
    """Let every channel's norm depend on all others a little: a new GDN normalises each channel alone."""
    with torch.no_grad():
        for module in layer.modules():
            if hasattr(module, "gamma_reparam"):
                channels = module.gamma.shape[0]
                mixed = 0.1 * torch.eye(channels) + torch.rand(channels, channels) / channels
                module.gamma.copy_(module.gamma_reparam.init(mixed))


def _fit_logistic(bottleneck: Any, mean: Tensor, scale: Tensor) -> None:
    """Make the cumulative of CompressAI's bottleneck sigmoid((x - mean) / scale) per channel.

    Without its tanh terms the network is affine: its slope is the product of the softplus of its
    matrices, each of which sums over the filters of the layer before.
    """
    last = len(bottleneck.matrices) - 1
    for i, matrix in enumerate(bottleneck.matrices):
        slope = torch.ones(matrix.shape[0], dtype=torch.float64)
        if i == 0:
            slope = slope / scale
        fan_in = matrix.shape[2] if i else 1
        weight = (slope / fan_in)[:, None, None].expand(matrix.shape)
        matrix.copy_(torch.log(torch.expm1(weight)))
        bias = -mean / scale if i == last else torch.zeros_like(mean)
        bottleneck.biases[i].copy_(bias[:, None, None].expand(bottleneck.biases[i].shape))
    for factor in bottleneck.factors:
        factor.zero_()


def _rounded(values: Tensor) -> Tensor:
    """Round to ten binary digits, so that differences in the last bits of a sum disappear."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 1024) / 1024, exponent)


def level(layer: nn.Module, outputs: Tensor, spread: float) -> Tensor:
    """Rescale a last layer so that its outputs have mean 0 and standard deviation `spread`.

    Args:
        layer: a Conv2d or Linear with a bias.
        outputs: its present outputs, (samples, channels); each channel is levelled separately.

    Returns:
        The factor of each channel.
    """
    deviation = outputs.std(dim=0)
    factor = spread / deviation.clamp(min=float(deviation.mean()) * 1e-3 + 1e-12)
    weight, bias = layer.weight, layer.bias
    with torch.no_grad():
        weight.mul_(factor.reshape([-1] + [1] * (weight.dim() - 1)))  # type: ignore[operator, union-attr, arg-type]
        bias.sub_(outputs.mean(dim=0)).mul_(factor)  # type: ignore[operator, union-attr, arg-type]
    return factor


def shift_bias(layer: Any, offsets: Tensor) -> None:
    """Add `offsets`, repeated over the layer's channels, to its bias."""
    with torch.no_grad():
        layer.bias.add_(offsets.repeat(len(layer.bias) // len(offsets)))


def level_while(layers: Sequence[nn.Module], spread: float, run: Callable[[], Any]) -> None:
    """`level` the outputs of convolutions as `run()` makes them."""

    def hook(layer: nn.Module, _: Any, output: Tensor) -> None:
        level(layer, pixels(output), spread)  # a hook that returns something replaces the output

    _run_with([layer.register_forward_hook(hook) for layer in layers], run)


def class_offsets(classes: int) -> Tensor:
    """Offsets for random class logits, background first: six classes stay, the others sink.

    With all of COCO's classes the number of boxes depends on the far tail of the logits, where a busy
    photograph has a thousand times the boxes of a smooth one.
    """
    offsets = torch.full((classes,), -8.0)
    offsets[0] = 0.0
    offsets[1 + torch.randperm(classes - 1)[:6]] = 0.0
    return offsets


def pixels(maps: Tensor) -> Tensor:
    """(N, C, H, W) as (N * H * W, C): what `level` takes."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def tune(count: Callable[[float], list[int]], what: str, low: float, high: float) -> float:
    """A bias at which every photograph has 5 to 100 boxes, the poorest of them about 12.

    Args:
        count: boxes per photograph at a bias; fewer, the higher it is.

    Raises:
        ExportError: there is no such bias.
    """
    best = None
    for _ in range(12):
        middle = (low + high) / 2
        boxes = count(middle)
        if min(boxes) >= 5 and max(boxes) <= 100:
            best = middle
        # Not at the limits: 5 boxes here may be 4 after another machine's rounding.
        if max(boxes) <= 100 and min(boxes) < 12:
            high = middle
        else:
            low = middle
    if best is None:
        raise ExportError(
            f"random weights of {what} give some photograph fewer than 5 or more than 100 boxes",
            "report this: it is a defect of export/weights/random_weights.py",
        )
    return best
