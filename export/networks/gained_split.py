"""A timm backbone cut in two around a learned bottleneck: one encoder and decoder for all its rates.

The encoder is the backbone's first stages, unchanged, a copy of its next block, which is trained,
and a 1x1 convolution to the latent; the decoder is a convolution from the latent and trained copies
of the blocks after the cut; the tail is the backbone's own, unchanged. A rate scales each channel
of the latent by a gain before rounding, as in Cui et al., "Asymmetric Gained Deep Image Compression
with Continuous Rate Adaptation", CVPR 2021. Exported, the gains of a rate are folded into the two
convolutions.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Port, Preprocess
from splitwatt.export import ports
from splitwatt.export.networks.backbones import LOGIT_SPREAD, load_timm, make_timm
from splitwatt.export.networks.latent_codecs import Entropic
from splitwatt.export.networks.timm_cut import Cut
from splitwatt.export.spec import LoadedFile, Network, Part, Photo
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import fill
from splitwatt.export.weights.random_weights import fit_batch_norms, fit_entropy, level, quantised

# The most channels of the latent.
_CHANNELS = 64


class GainedBottleneck(nn.Module):
    """Features (N, width, H, W) -> latent (N, channels, H, W) -> features, at one of several rates.

    Attributes:
        gains: logarithms of the channels' gains, (rates, channels); `inverse` those after decoding.
        entropy: an entropy model for each rate.
    """

    def __init__(self, width: int, channels: int, rates: int) -> None:
        super().__init__()
        self.down: Any = nn.Conv2d(width, channels, 1)
        self.up: Any = nn.Conv2d(channels, width, 3, padding=1)
        self.gains = nn.Parameter(torch.zeros(rates, channels))
        self.inverse = nn.Parameter(torch.zeros(rates, channels))
        self.entropy = nn.ModuleList(
            EntropyBottleneck(channels, init_scale=2) for _ in range(rates)
        )

    def fit(self, features: Tensor, steps: Sequence[float]) -> None:
        """Start from the principal components of `features`, rounded at `steps` (one for each rate).

        Args:
            features: (N, width, H, W).
        """
        flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).double()
        mean = flat.mean(0)
        basis = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat)).eigenvectors
        basis = basis.flip(1)[:, : self.down.out_channels].float()
        with torch.no_grad():
            self.down.weight.copy_(basis.T[:, :, None, None])
            self.down.bias.copy_(-(basis.T @ mean.float()))
            self.up.weight.zero_()
            self.up.weight[:, :, 1, 1] = basis
            self.up.bias.copy_(mean.float())
            for rate, step in enumerate(steps):
                self.gains[rate] = -torch.log(torch.tensor(step))
                self.inverse[rate] = torch.log(torch.tensor(step))

    def latent(self, features: Tensor, rate: int) -> Tensor:
        """The latent before the entropy model of `rate` rounds it."""
        latent: Tensor = self.down(features) * self.gains[rate].exp()[:, None, None]
        return latent

    def restored(self, latent: Tensor, rate: int) -> Tensor:
        """The features of a rounded latent."""
        features: Tensor = self.up(latent * self.inverse[rate].exp()[:, None, None])
        return features

    def folded(self, rate: int) -> tuple[nn.Conv2d, nn.Conv2d]:
        """The two convolutions with the gains of a rate in their weights."""
        down, up = copy.deepcopy(self.down), copy.deepcopy(self.up)
        with torch.no_grad():
            gain = self.gains[rate].exp()
            down.weight.mul_(gain[:, None, None, None])
            down.bias.mul_(gain)
            up.weight.mul_(self.inverse[rate].exp()[None, :, None, None])
        return down, up


class GainedSplit(nn.Module):
    """The model to train: `cut` around a bottleneck.

    Args:
        cut: of a backbone.
        rates: how many.
    """

    def __init__(self, cut: Cut, rates: int) -> None:
        super().__init__()
        self.front, self.before, self.maps = cut.front, cut.before, cut.maps
        self.own, self.after, self.tail = cut.own, cut.after, cut.tail
        self.latent = cut.latent
        width = cut.latent[0]
        self.bottleneck = GainedBottleneck(width, min(_CHANNELS, width), rates)
        self.eval()


def trained(split: GainedSplit) -> nn.ModuleDict:
    """The modules that training changes and that a checkpoint has."""
    return nn.ModuleDict(
        {"before": split.before, "after": split.after, "bottleneck": split.bottleneck}
    )


def shipped(split: GainedSplit) -> dict[str, Tensor]:
    """The tensors of a checkpoint, without the entropy models' tables, which are made on loading."""
    state = trained(split).state_dict()
    tables = ("_quantized_cdf", "_offset", "_cdf_length", "num_batches_tracked")
    return {k: v.contiguous() for k, v in state.items() if not k.endswith(tables)}


class SplitBackbone(Network):
    """image -> latent | latent -> features -> logits, at one of the trained rates.

    Args:
        backbone: timm's name.
        at: the module that ends the encoder.
        classes: of the backbone's head.
        preprocess: to a square image.
        rate: the number of the rate, from 0.
        rates: how many rates the weights have.
    """

    fixed_size = True

    def __init__(
        self, backbone: str, at: str, classes: int, preprocess: Preprocess, rate: int, rates: int
    ) -> None:
        self.at, self.class_count, self.preprocess = at, classes, preprocess
        self.rate, self.rates, self.side = rate, rates, (preprocess.crop or (0,))[0]
        self.backbone: Any = make_timm(backbone, classes)
        self._assemble()

    def _assemble(self) -> None:
        """The split model's modules on the backbone as it is now."""
        self.cut = Cut(self.backbone, self.at, self.side)
        self.split = GainedSplit(self.cut, self.rates)
        self.bottleneck: Any = self.split.bottleneck.entropy[self.rate]
        self.codec = Entropic(self.bottleneck)
        self._fold()

    def _fold(self) -> None:
        """Encoder and decoder with the gains of the rate in their convolutions."""
        split = self.split
        down, up = split.bottleneck.folded(self.rate)
        self.encoder = nn.Sequential(split.front, split.before, split.maps, down).eval()
        self.decoder = nn.Sequential(up, split.own, split.after).eval()
        self.encoder_modules = (self.encoder, self.bottleneck)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """Load `compressor`, the trained weights, and `model`, the backbone's."""
        load_timm(self.backbone, states["model"])
        self._assemble()
        fill(trained(self.split), states["compressor"].state, states["compressor"])
        self.bottleneck.update(force=True)
        self._fold()
        return []

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: fitted statistics, a bottleneck of principal components, spread classes."""
        images = torch.from_numpy(squares(self.preprocess))
        with torch.no_grad():
            fit_batch_norms([self.backbone], lambda: self.backbone(images))
            self._assemble()
            features = self.split.maps(self.split.before(self.split.front(images)))
            step = float(features.std())
            self.split.bottleneck.fit(features, [step / 2**r for r in range(self.rates)])
            self._fold()
            latent = self.encoder(images)
            fit_entropy(self.bottleneck, latent)
            logits = self.split.tail(self.decoder(quantised(self.bottleneck, latent)))
            level(self.backbone.get_classifier(), logits, LOGIT_SPREAD)

    def parts(self) -> list[Part]:
        """encoder | decoder, tail."""
        channels = self.split.bottleneck.down.out_channels
        latent = Port("latent", "float32", (1, channels, *self.cut.latent[1:]))
        features = Port("features", "float32", (1, *self.cut.features))
        image, logits = ports.image((self.side, self.side)), ports.logits(self.class_count)
        return [
            Part("encoder", "board", self.encoder, (image,), (latent,)),
            Part("decoder", "server", self.decoder, (latent,), (features,)),
            Part("tail", "server", self.split.tail, (features,), (logits,)),
        ]
