"""The stages of a classifier after a bottleneck, and its head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sc2bench.models.backbone import SplittableHybridViT, SplittableRegNet, SplittableResNet
from timm.models import regnet, resnest, vision_transformer_hybrid
from torch import Tensor, nn
from torchvision import models

from splitwatt.engines.bundle.manifest import Port
from splitwatt.export import ports
from splitwatt.export.networks.bottlenecks import Bottleneck


@dataclass(frozen=True)
class Trunk:
    """A splittable classifier of sc2bench, taken apart.

    model: the whole; its state_dict is a checkpoint's.
    stages: after the decoder, in order; the last one's output is `f4`.
    head: f4 -> logits; `fc` is its last layer.
    replaced: prefixes of the layers that the bottleneck replaces, which files may still have.
    size: (height, width) of the only images that it takes; None for any.

    The number of classes is the `num_classes` of torchvision's or timm's own arguments.
    """

    model: Any
    bottleneck: Bottleneck
    stages: Sequence[nn.Module]
    head: nn.Module
    fc: nn.Linear
    f4: Port
    replaced: tuple[str, ...]
    size: tuple[int, int] | None = None


class PooledClassifier(nn.Module):
    """Global average pooling and the fully-connected layer: f4 -> logits."""

    def __init__(self, fc: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = fc

    def forward(self, f4: Tensor) -> Tensor:
        """Logits (1, classes)."""
        logits: Tensor = self.fc(torch.flatten(self.pool(f4), 1))
        return logits


def resnet(bottleneck: Bottleneck, kind: str = "resnet50", **more: Any) -> Trunk:
    """torchvision's ResNet `kind`, or timm's ResNeSt of that name."""
    if kind.startswith("resnest"):
        whole = getattr(resnest, kind)(**more)
    else:
        whole = getattr(models, kind)(**more)
    inplanes = 2048 if kind.startswith("resnest") else None
    model = SplittableResNet(
        bottleneck.layer, whole, inplanes, skips_avgpool=False, skips_fc=False
    ).eval()
    return Trunk(
        model,
        bottleneck,
        (model.layer2, model.layer3, model.layer4),
        PooledClassifier(model.fc),
        model.fc,
        ports.maps("f4", model.fc.in_features),
        ("conv1.", "bn1.", "layer1."),
    )


def regnety(bottleneck: Bottleneck, kind: str = "regnety_064", **more: Any) -> Trunk:
    """timm's RegNetY."""
    whole = getattr(regnet, kind)(**more)
    if whole.num_features != whole.feature_info[-1]["num_chs"]:
        raise ValueError("sc2bench leaves out the last convolution of this RegNet")
    model = SplittableRegNet(bottleneck.layer, whole, skips_head=False).eval()
    fc = model.head.fc
    f4 = ports.maps("f4", fc.in_features)
    return Trunk(
        model,
        bottleneck,
        (model.s2, model.s3, model.s4),
        PooledClassifier(fc),
        fc,
        f4,
        ("stem.", "s1."),
    )


def hybrid_vit(
    bottleneck: Bottleneck, kind: str = "vit_small_r26_s32_224", pruned: int = 1, **more: Any
) -> Trunk:
    """timm's hybrid ViT without its first `pruned` stages; its position embedding fixes the
    image's size.
    """
    whole = getattr(vision_transformer_hybrid, kind)(**more)
    size = whole.patch_embed.img_size
    whole.pre_logits = nn.Identity()  # timm dropped it; sc2bench still asks for it
    for block in whole.blocks:
        block.attn.fused_attn = False  # has no ONNX operator
    model = SplittableHybridViT(bottleneck.layer, whole, pruned, skips_head=False).eval()
    f4 = Port("f4", "float32", (1, model.head.in_features))
    return Trunk(model, bottleneck, (_Tokens(model),), model.head, model.head, f4, (), size)


class _Tokens(nn.Module):
    """Features -> the class token, (N, channels): sc2bench's forward between decoder and head."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.patches = nn.Sequential(
            model.patch_embed_pruned_stages,
            model.patch_embed_norm,
            model.patch_embed_head,
            model.patch_embed_proj,
        )
        self.cls_token, self.pos_embed = model.cls_token, model.pos_embed
        self.blocks, self.norm = model.blocks, model.norm

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels) of (N, 256, 56, 56)."""
        patches = self.patches(features).flatten(2).transpose(1, 2)
        token = self.cls_token.expand(patches.shape[0], -1, -1)
        tokens = torch.cat((token, patches), dim=1) + self.pos_embed
        return self.norm(self.blocks(tokens))[:, 0]  # type: ignore[no-any-return]
