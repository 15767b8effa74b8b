"""FrankenSplit's encoder, and its decoder blueprints for three families of backbones.

After section 5.3 of the paper: the encoder is three residual blocks of two 3x3 convolutions each,
every one halving the image; a blueprint replaces a backbone's first two stages (with the reduction
after them) by its own two stages, each a restoration block, then blocks of the backbone's kind
at the latent's size, then a residual connection. Blocks come from timm, as the backbones do.
"""

from collections.abc import Sequence
from typing import Any

from timm.layers.norm import LayerNorm2d
from timm.models.convnext import ConvNeXtBlock
from timm.models.resnet import Bottleneck
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor, nn

# Of an image of 224: the encoder divides the sides by 8.
LATENT_SIDE = 28
# Channels between the encoder's blocks; the last block's are the latent's.
_ENCODER_WIDTHS = (48, 64)
_WINDOW = 7


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 one where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.activation = activation
        same = stride == 1 and inputs == outputs
        self.skip: nn.Module = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        inner = self.activation(self.conv2(self.activation(self.conv1(x))))
        return inner + self.skip(x)  # type: ignore[no-any-return]


class Encoder(nn.Sequential):
    """Normalised image (N, 3, H, W) -> latent (N, channels, H / 8, W / 8)."""

    def __init__(self, channels: int) -> None:
        widths = (3, *_ENCODER_WIDTHS, channels)
        super().__init__(
            *(ResidualBlock(a, b, 2, nn.ReLU()) for a, b in zip(widths, widths[1:], strict=False))
        )


class Stage(nn.Module):
    """Restoration, then blueprint blocks with a residual connection around them.

    Args:
        restoration: (N, inputs, h, w) -> (N, width, h, w).
        blocks: of the backbone's kind; they keep that shape, or carry their own residuals.
        residual: whether the connection goes around all blocks.
    """

    def __init__(
        self, restoration: nn.Module, blocks: Sequence[nn.Module], residual: bool = True
    ) -> None:
        super().__init__()
        self.restoration, self.blocks = restoration, nn.Sequential(*blocks)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, width, h, w)."""
        restored = self.restoration(x)
        made = self.blocks(restored)
        return made + restored if self.residual else made  # type: ignore[no-any-return]


class Permute(nn.Module):
    """A tensor with its axes in another order: NCHW <-> NHWC, which Swin's blocks take."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """Axis i of the result is axis order[i] of x."""
        return x.permute(*self.order)


def _restore(inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, 1, nn.LeakyReLU())


def swin_decoder(
    channels: int, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int]
) -> nn.Sequential:
    """latent -> what the third stage of a Swin takes: (N, 14, 14, widths[2])."""
    stages: list[nn.Module] = []
    for before, width, depth, head in zip((channels, *widths), widths, depths, heads, strict=False):
        blocks = [
            SwinTransformerBlock(
                width,
                (LATENT_SIDE, LATENT_SIDE),
                num_heads=head,
                window_size=_WINDOW,
                shift_size=0 if i % 2 == 0 else _WINDOW // 2,
            )
            for i in range(depth)
        ]
        layers = [Permute(0, 2, 3, 1), *blocks, Permute(0, 3, 1, 2)]
        stages.append(Stage(_restore(before, width), layers))
    merging = PatchMerging(widths[1], widths[2])
    return nn.Sequential(*stages, Permute(0, 2, 3, 1), merging, nn.LayerNorm(widths[2]))


def convnext_decoder(channels: int, widths: Sequence[int], depths: Sequence[int]) -> nn.Sequential:
    """latent -> what the third stage of a ConvNeXt takes after its reduction."""
    stages = [
        Stage(_restore(before, width), [ConvNeXtBlock(width) for _ in range(depth)])
        for before, width, depth in zip((channels, *widths), widths, depths, strict=False)
    ]
    reduction = nn.Conv2d(widths[1], widths[2], 2, 2)
    return nn.Sequential(*stages, LayerNorm2d(widths[1]), reduction)


def resnet_decoder(channels: int, widths: Sequence[int], depths: Sequence[int]) -> nn.Sequential:
    """latent -> what the third stage of a ResNet takes: (N, 4 * widths[1], 28, 28).

    Its bottlenecks widen fourfold and carry their own residual connections.
    """
    stages: list[nn.Module] = []
    before = channels
    for width, depth in zip(widths, depths, strict=True):
        outputs = width * Bottleneck.expansion
        widen = nn.Sequential(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        blocks = [Bottleneck(width, width, downsample=widen)]
        blocks += [Bottleneck(outputs, width) for _ in range(depth - 1)]
        stages.append(Stage(_restore(before, width), blocks, residual=False))
        before = outputs
    return nn.Sequential(*stages)


class Tail(nn.Module):
    """A timm backbone from its third stage on, after that stage's reduction.

    Attributes:
        counted: the modules that it runs; the backbone's others are replaced.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        name = "layers" if hasattr(backbone, "layers") else "stages"
        if hasattr(backbone, name):
            stages = list(getattr(backbone, name))
            stages[2].downsample = nn.Identity()
            self.stages = nn.Sequential(*stages[2:])
            self.norm = backbone.norm if name == "layers" else backbone.norm_pre
        else:
            self.stages = nn.Sequential(backbone.layer3, backbone.layer4)
            self.norm = nn.Identity()
        head = backbone.head if hasattr(backbone, "head") else backbone.fc
        self.counted: list[nn.Module] = [self.stages, self.norm, head]

    def forward(self, features: Tensor) -> Tensor:
        """Logits (1, classes)."""
        logits: Tensor = self.backbone.forward_head(self.norm(self.stages(features)))
        return logits
