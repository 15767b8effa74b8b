"""FrankenSplit: one small encoder on the board; decoder and the rest of a backbone on the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck
from timm.models.convnext import ConvNeXt
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from splitwatt.device_configs.errors import CheckpointError, UsageError
from splitwatt.engines.bundle.manifest import Port
from splitwatt.export import ports
from splitwatt.export.graphs import frankensplit as graphs
from splitwatt.export.networks.backbones import (
    LOGIT_SPREAD,
    SIDE,
    enliven,
    load_timm,
    make_timm,
)
from splitwatt.export.networks.latent_codecs import Entropic
from splitwatt.export.spec import LoadedFile, Network, Part, Photo
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import fill, subset
from splitwatt.export.weights.random_weights import (
    bits_at,
    fit_batch_norms,
    fit_factorized,
    level,
    seeded,
)

# The smallest and the largest beta, and bits per symbol there: the paper's lossless files have 1.1 to 1.5.
_BETAS, _BITS = (0.015, 1.024), (2.0, 0.8)


@dataclass(frozen=True)
class Blueprint:
    """A decoder's kind and sizes: the widths of its stages and of its output, and blocks per stage."""

    kind: str
    widths: tuple[int, ...]
    depths: tuple[int, int]
    heads: tuple[int, int] = (0, 0)

    def decoder(self, channels: int) -> nn.Sequential:
        """For a latent with that number of channels."""
        if self.kind == "swin":
            return graphs.swin_decoder(channels, self.widths, self.depths, self.heads)
        make = {"convnext": graphs.convnext_decoder, "resnet": graphs.resnet_decoder}[self.kind]
        return make(channels, self.widths, self.depths)


_SWIN = Blueprint("swin", (96, 192, 384), (2, 2), (3, 6))
_CONVNEXT = Blueprint("convnext", (96, 192, 384), (3, 4))
# Backbone -> blueprint. The paper's Table 5 has overheads but no sizes: where a depth or width differs
# from the backbone's own, it is chosen to match that overhead.
BLUEPRINTS = {
    "swin_s3_tiny_224": _SWIN,
    "swin_s3_small_224": _SWIN,
    "swin_s3_base_224": _SWIN,
    "convnext_tiny": _CONVNEXT,
    "convnext_small": _CONVNEXT,
    "convnext_base": Blueprint("convnext", (96, 256, 512), (3, 3)),
    "resnet50": Blueprint("resnet", (64, 128), (3, 5)),
    "resnet101": Blueprint("resnet", (64, 128), (3, 5)),
    "resnet152": Blueprint("resnet", (64, 128), (3, 9)),
}


class FrankenSplit(Network):
    """image -> latent | latent -> features -> logits.

    Args:
        backbone: timm's name of a Swin, ConvNeXt or ResNet.
        channels: of the latent: 48 (S), 96 (M), 128 (L).
        rate: the beta, as text.
        shared: the seed of the encoder's random weights, which all backbones share.
        num_classes: of the backbone's head.
    """

    fixed_size = True

    def __init__(
        self, backbone: str, channels: int, rate: str, shared: str, num_classes: int = 1000
    ) -> None:
        self.rate, self.shared, self.channels = rate, shared, channels
        self.backbone: Any = make_timm(backbone, num_classes)
        if not isinstance(self.backbone, SwinTransformer | ConvNeXt | ResNet):
            raise UsageError(
                f"FrankenSplit's compressor is for a Swin, ConvNeXt or ResNet of timm, not {backbone}",
                "docs/trained.md shows how to train a split model on any other",
            )
        self.encoder = graphs.Encoder(channels).eval()
        self.bottleneck: Any = EntropyBottleneck(channels).eval()
        self.codec = Entropic(self.bottleneck)
        self.encoder_modules = (self.encoder, self.bottleneck)
        self.decoder = self._decoder(backbone, channels)
        self.tail = graphs.Tail(self.backbone).eval()

    def _decoder(self, name: str, channels: int) -> nn.Sequential:
        """The paper's decoder, or for another backbone one with the widths of its own stages."""
        widths = tuple(stage["num_chs"] for stage in self.backbone.feature_info)
        if name in BLUEPRINTS:
            blueprint = BLUEPRINTS[name]
        elif hasattr(self.backbone, "layer3"):
            blueprint = Blueprint("resnet", (widths[1] // 4, widths[2] // 4), (3, 3))
        elif hasattr(self.backbone, "layers"):
            heads = (widths[0] // 32, widths[1] // 32)
            blueprint = Blueprint("swin", widths[:3], (2, 2), heads)
        else:
            blueprint = Blueprint("convnext", widths[:3], (3, 3))
        return blueprint.decoder(channels).eval()

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """`compressor`: a state_dict of encoder, entropy_bottleneck and decoder; `backbone`: timm's.

        Raises:
            CheckpointError: weights that do not fit.
        """
        loaded = states["compressor"]
        known = ("encoder.", "entropy_bottleneck.", "decoder.")
        modules = (self.encoder, self.bottleneck, self.decoder)
        for prefix, module in zip(known, modules, strict=True):
            fill(module, subset(loaded.state, prefix), loaded)
        unknown = [key for key in loaded.state if not key.startswith(known)]
        if unknown:
            raise CheckpointError(
                f"{loaded.path} has weights of neither encoder, entropy_bottleneck nor decoder: "
                f"{unknown[0]}",
                "save the state_dicts of these three under those names",
            )
        self.bottleneck.update(force=True)
        whole: Any = make_timm(self.backbone.default_cfg["architecture"], self.backbone.num_classes)
        load_timm(whole, states["backbone"])
        nn.Module.load_state_dict(self.backbone, whole.state_dict(), strict=False)
        return []

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: the encoder is seeded by `shared`, and classes are spread."""
        images = torch.from_numpy(squares())
        with torch.no_grad():
            latent = self._fit_encoder(images)
            enliven(self.decoder)
            enliven(self.backbone)
            features: list[Tensor] = []
            fit_batch_norms([self.decoder], lambda: features.append(self.decoder(latent)))
            logits: list[Tensor] = []
            fit_batch_norms([self.tail], lambda: logits.append(self.tail(features[0])))
            level(self.backbone.get_classifier(), logits[0], LOGIT_SPREAD)

    def _fit_encoder(self, images: Tensor) -> Tensor:
        """Fit the encoder; returns the rounded latents of `images`.

        All bundles of a rate have the same bytes of encoder and tables, see `fit_encoder`.
        """
        with seeded(self.shared):
            for module in self.encoder.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
            fresh = EntropyBottleneck(self.channels)
        self.bottleneck.load_state_dict(fresh.state_dict(), strict=False)
        return fit_factorized(
            self.encoder,
            self.bottleneck,
            images,
            bits_at(self.rate, _BETAS, _BITS),
            last=lambda block: (block.conv2, block.skip),
        )

    def parts(self) -> list[Part]:
        """encoder | decoder, tail."""
        shape = (1, self.channels, graphs.LATENT_SIDE, graphs.LATENT_SIDE)
        latent = Port("latent", "float32", shape)
        made = self.decoder(torch.zeros(shape))
        features = Port("features", "float32", tuple(made.shape))
        logits = ports.logits(self.backbone.num_classes)
        return [
            Part("encoder", "board", self.encoder, (ports.image((SIDE, SIDE)),), (latent,)),
            Part("decoder", "server", self.decoder, (latent,), (features,)),
            Part("tail", "server", self.tail, (features,), (logits,), counted=self.tail.counted),
        ]
