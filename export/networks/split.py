"""Split systems of sc2bench's ResNets: encoder on the board; body and heads on the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from compressai.models.utils import remap_old_keys
from sc2bench.models.backbone import (
    FeatureExtractionBackbone,
    splittable_resnest,
    splittable_resnet,
)
from sc2bench.models.detection.rcnn import create_faster_rcnn_fpn
from sc2bench.models.segmentation.deeplabv3 import create_deeplabv3
from torch import Tensor, nn
from torch.nn.functional import interpolate

from engines.rangecoder import Tables
from export.checkpoints import differences, fill, fill_bottleneck, subset
from export.graphs.bottleneck import Body, PooledClassifier, fixed
from export.graphs.rcnn import Rcnn
from export.graphs.segmentation import Segmenter
from export.networks import ports
from export.networks.detection import detections, fit_rcnn
from export.networks.segmentation import LOGIT_SPREAD as MASK_SPREAD
from export.photos import squares
from export.random_weights import (
    fit_batch_norms,
    fit_bottleneck,
    level,
    level_while,
    quantised,
    seeded,
)
from export.spec import Coding, LoadedFile, Network, Part, Photo

# Standard deviation of random logits: the best of 1000 classes then gets some tenths.
LOGIT_SPREAD = 4.0
FEATURES = {"f1": 256, "f2": 512, "f3": 1024, "f4": 2048}
# The stages whose outputs are f1 to f4, as the papers' configurations return them to the pyramid.
_RETURNED = {"bottleneck_layer": "1", "layer2": "2", "layer3": "3", "layer4": "4"}
_LAYERS = ("layer2", "layer3", "layer4")


def backbone(kind: str, channels: int, **more: Any) -> Any:
    """sc2bench's splittable ResNet with a factorized-prior bottleneck.

    Args:
        kind: `resnet50` (torchvision's) or `resnest269e` (timm's).
        channels: of the latent.
        more: what the ResNet itself takes.
    """
    bottleneck = {
        "key": "FPBasedResNetBottleneck",
        "kwargs": {"num_bottleneck_channels": channels, "num_target_channels": 256},
    }
    common: dict[str, Any] = {"skips_avgpool": False, "skips_fc": False, "num_classes": 1000}
    if kind.startswith("resnest"):
        return splittable_resnest(bottleneck, resnest_name=kind, inplanes=2048, **common, **more)
    return splittable_resnet(bottleneck, resnet_name=kind, **common, **more)


def faster_rcnn(model: Any, **more: Any) -> Any:
    """sc2bench's Faster R-CNN with a pyramid on a splittable ResNet, for COCO's 91 classes."""
    return create_faster_rcnn_fpn(
        model,
        return_layer_dict=dict(_RETURNED),
        in_channels_list=list(FEATURES.values()),
        out_channels=256,
        num_classes=91,
        analyzable_layer_key="bottleneck_layer",
        **more,
    )


def deeplab(model: Any) -> Any:
    """sc2bench's DeepLabv3 on a splittable ResNet, for PASCAL VOC's 21 classes, without its
    auxiliary classifier, which only training needs.
    """
    body = FeatureExtractionBackbone(model, {"layer4": "out"}, [])
    return create_deeplabv3(body, num_input_channels=2048, num_classes=21)


class SplitNetwork(Network):
    """An encoder, a body and a head per task, on one splittable ResNet.

    Args:
        model: what `backbone` makes; its modules are shared with the heads' models.
        rate: the beta, as text.
        shared: what the encoder's random weights are seeded by.
        rcnn, segmenter: models on `model` from `faster_rcnn` and `deeplab`, where they are served.
        classifies: whether `model` itself is served as a classifier.
    """

    def __init__(
        self,
        model: Any,
        rate: str,
        shared: str,
        rcnn: Any = None,
        segmenter: Any = None,
        classifies: bool = True,
    ) -> None:
        self.model, self.rcnn, self.segmenter = model.eval(), rcnn, segmenter
        self.rate, self.shared, self.classifies = rate, shared, classifies
        self.layer = model.bottleneck_layer
        self.stages = [getattr(model, name) for name in _LAYERS]
        for head in (rcnn, segmenter):
            if head is not None:
                head.eval()
        self.rcnn_graph = None if rcnn is None else Rcnn(rcnn, (4, 8, 16, 32)).eval()

    @property
    def bottleneck(self) -> Any:
        """CompressAI's entropy bottleneck."""
        return self.layer.entropy_bottleneck

    def coding(self) -> Coding:
        """The range coder under the bottleneck's tables."""
        return Coding("rangecoder", (Tables.from_compressai(self.bottleneck),))

    def coded(self, found: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The latent as it comes out of the coder."""
        return {n: quantised(self.bottleneck, t) for n, t in found.items() if n == "latent"}

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """Encoder and entropy model."""
        return (self.layer.encoder, self.layer.entropy_bottleneck)

    def features(self, latent: Tensor) -> list[Tensor]:
        """f1 to f4 by the papers' own modules."""
        found = [self.layer.decoder(latent)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found

    # -- weights ---------------------------------------------------------------------------------

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """The body from the first file; heads from theirs, their copies of the body compared."""
        notes: list[str] = []
        for role, loaded in states.items():
            is_body = not notes and role == next(iter(states))
            notes += _LOADERS[role](self, loaded, is_body)
        return notes

    # -- random weights --------------------------------------------------------------------------

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """An encoder seeded by what shares it; statistics, classes and boxes that spread."""
        images = torch.from_numpy(squares())
        with seeded(self.shared):
            for module in self.layer.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
            latents = fit_bottleneck(self.layer, images, self.rate)
        with torch.no_grad():
            f4 = self._fit_body(latents)
            if self.classifies:
                fc = self.model.fc
                level(fc, fc(f4.mean(dim=(2, 3))), LOGIT_SPREAD)
            if self.rcnn is not None and self.rcnn_graph is not None:
                makers = [self._features_of(photo) for photo in photos]
                fit_rcnn(self.rcnn, self.rcnn_graph, makers, photos, key)

    def _fit_body(self, latents: Tensor) -> Tensor:
        """Fit body and segmenter in one pass; returns its f4."""
        last: list[nn.Module] = []
        modules: list[nn.Module] = list(self.stages)
        if self.segmenter is not None:
            modules.append(self.segmenter.classifier)
            last.append(self.segmenter.classifier[-1])
        found = []

        def run() -> None:
            found.append(self.features(latents)[-1])
            if self.segmenter is not None:
                self.segmenter.classifier(found[0])

        fit_batch_norms(modules, lambda: level_while(last, MASK_SPREAD, run))
        return found[0]

    def _features_of(self, photo: Photo) -> Callable[[], list[Tensor]]:
        def make() -> list[Tensor]:
            latent = self.layer.encoder(torch.from_numpy(photo.tensor))
            return self.features(quantised(self.bottleneck, latent))

        return make

    # -- parts -----------------------------------------------------------------------------------

    def parts(self) -> list[Part]:
        """encoder, body, and a head per task."""
        channels = int(self.bottleneck.channels)
        latent = ports.maps("latent", channels)
        every = self.rcnn is not None
        outputs = [ports.maps(n, c) for n, c in FEATURES.items() if every or n == "f4"]
        encoder = self.layer.encoder
        parts = [
            Part(
                "encoder",
                "board",
                fixed(encoder),
                (ports.image(),),
                (latent,),
                lambda tensors: {"latent": encoder(tensors["image"])},
                [encoder],
            ),
            Part(
                "body",
                "server",
                Body(self.layer, self.stages, every),
                (latent,),
                tuple(outputs),
                lambda tensors: dict(zip(FEATURES, self.features(tensors["latent"]), strict=True)),
                [self.layer.decoder, *self.stages],
            ),
        ]
        if self.classifies:
            parts.append(self._classifier())
        if self.rcnn is not None:
            parts.append(self._detector())
        if self.segmenter is not None:
            parts.append(self._segmenter())
        return parts

    def _classifier(self) -> Part:
        def reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            pooled = torch.flatten(self.model.avgpool(tensors["f4"]), 1)
            return {"logits": self.model.fc(pooled)}

        return Part(
            "classifier",
            "server",
            PooledClassifier(self.model.fc),
            (ports.maps("f4", FEATURES["f4"]),),
            (ports.LOGITS,),
            reference,
            [self.model.fc],
        )

    def _detector(self) -> Part:
        def reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            named = {str(i): tensors[name] for i, name in enumerate(FEATURES, 1)}
            return detections(self.rcnn, named, tensors)

        features = [ports.maps(n, c) for n, c in FEATURES.items()]
        return Part(
            "detector",
            "server",
            _SplitRcnn(self.rcnn_graph),
            (*features, ports.INPUT_SIZE, ports.VALID_SIZE),
            ports.DETECTIONS,
            reference,
            [self.rcnn.backbone.fpn, self.rcnn.rpn, self.rcnn.roi_heads],
            checks=("proposals",),
            compare="boxes",
        )

    def _segmenter(self) -> Part:
        classifier = self.segmenter.classifier

        def reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            size = [int(n) for n in tensors["input_size"]]
            small = classifier(tensors["f4"])
            logits = interpolate(small, size=size, mode="bilinear", align_corners=False)
            return {"mask": logits.argmax(1), "logits": logits}

        return Part(
            "segmenter",
            "server",
            Segmenter(classifier),
            (ports.maps("f4", FEATURES["f4"]), ports.INPUT_SIZE),
            (ports.MASK,),
            reference,
            [classifier],
            checks=("logits",),
        )


class _SplitRcnn(nn.Module):
    """f1, f2, f3, f4, input_size, valid_size -> boxes, labels, scores, proposals."""

    def __init__(self, rcnn: Any) -> None:
        super().__init__()
        self.rcnn = rcnn

    def forward(
        self, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor, input_size: Tensor, valid_size: Tensor
    ) -> tuple[Tensor, ...]:
        """As `Rcnn.forward`."""
        return self.rcnn([f1, f2, f3, f4], input_size, valid_size)  # type: ignore[no-any-return]


def _load_body(network: SplitNetwork, loaded: LoadedFile, prefix: str) -> None:
    """The bottleneck and layer2 to layer4 from the entries below `prefix`."""
    state = subset(loaded.state, prefix)
    fill_bottleneck(network.layer, subset(state, "bottleneck_layer."), loaded)
    layers = nn.ModuleDict(dict(zip(_LAYERS, network.stages, strict=True)))
    own = {k: v for k, v in state.items() if k.startswith(_LAYERS)}
    fill(layers, own, loaded)


def _compare_body(network: SplitNetwork, loaded: LoadedFile, prefix: str) -> list[str]:
    state = remap_old_keys(
        "bottleneck_layer.entropy_bottleneck", dict(subset(loaded.state, prefix))
    )
    return differences(state, network.model, loaded.path)


def _classification(network: SplitNetwork, loaded: LoadedFile, is_body: bool) -> list[str]:
    if is_body:
        _load_body(network, loaded, "")
    # The layers that the bottleneck replaces may still be in the file: sc2bench drops them.
    replaced = ("conv1.", "bn1.", "layer1.")
    fill(network.model, loaded.state, loaded, replaced, ("bottleneck_layer.", *_LAYERS))
    return []


def _detection(network: SplitNetwork, loaded: LoadedFile, is_body: bool) -> list[str]:
    prefix = "backbone.body."
    if is_body:
        _load_body(network, loaded, prefix)
    fill(network.rcnn, loaded.state, loaded, handled=(prefix,))
    return [] if is_body else _compare_body(network, loaded, prefix)


def _segmentation(network: SplitNetwork, loaded: LoadedFile, is_body: bool) -> list[str]:
    prefix = "backbone."
    if is_body:
        _load_body(network, loaded, prefix)
    fill(network.segmenter, loaded.state, loaded, ("aux_classifier.",), (prefix,))
    return [] if is_body else _compare_body(network, loaded, prefix)


_Loader = Callable[[SplitNetwork, LoadedFile, bool], list[str]]
_LOADERS: dict[str, _Loader] = {
    "classification": _classification,
    "detection": _detection,
    "segmentation": _segmentation,
}
