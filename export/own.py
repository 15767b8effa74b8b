"""Rows of a `--zoo` file for the most common models of your own; docs/adding-a-model.md shows each."""

from typing import Any

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.manifest import Head
from splitwatt.export.sc2bench.config import from_document
from splitwatt.export.spec import Checkpoint, Network, System, shorter

_SMALL = ("resnet18", "resnet34")  # of torchvision's ResNets, those with 64 channels after layer1


def student(
    name: str,
    trunk: str = "resnet50",
    width: int = 24,
    num_classes: int = 1000,
    key: str = "FPBasedResNetBottleneck",
    **bottleneck: Any,
) -> System:
    """A ResNet of torchvision after an sc2bench bottleneck; its checkpoint is NAME.pt.

    Args:
        name: of the model.
        trunk: torchvision's name.
        width: channels of the latent.
        key: sc2bench's class of the bottleneck.
        bottleneck: more arguments of that class.
    """
    kwargs = {
        "num_bottleneck_channels": width,
        "num_target_channels": 64 if trunk in _SMALL else 256,
        **bottleneck,
    }
    model = {
        "key": "splittable_resnet",
        "kwargs": {
            "resnet_name": trunk,
            "num_classes": num_classes,
            "bottleneck_config": {"key": key, "kwargs": kwargs},
        },
        "dst_ckpt": f"{name}.pt",
    }
    return from_document({"models": {"student_model": model}}, name, name)


def frankensplit(name: str, backbone: str, channels: int = 48, num_classes: int = 1000) -> System:
    """FrankenSplit's compressor before a Swin, ConvNeXt or ResNet of timm, for 224x224.

    Its checkpoints are NAME.pt (encoder, entropy_bottleneck and decoder) and BACKBONE.pt (timm's).

    Args:
        channels: of the latent.

    Raises:
        UsageError: no channels or no classes.
    """
    if channels < 1 or num_classes < 1:
        raise UsageError(f"{name}: channels and num_classes must be at least 1")

    def build(_rate: str | None) -> Network:
        from splitwatt.export.networks.frankensplit import FrankenSplit

        return FrankenSplit(backbone, channels, "0.128", f"{name}/encoder", num_classes=num_classes)

    return System(
        name=name,
        family="frankensplit",
        paper="none: a model of your own",
        citation=f"FrankenSplit's compressor before timm's {backbone}",
        tasks=("classification",),
        preprocess=shorter(256, crop=(224, 224)),
        postprocess={"classification": Head("tail", "imagenet1k", top_k=5)},
        build=build,
        checkpoints=lambda _rate: (
            Checkpoint("compressor", (f"{name}.pt",), None, archive=True),
            Checkpoint("backbone", (f"{backbone}.pt",), None, archive=True),
        ),
    )
