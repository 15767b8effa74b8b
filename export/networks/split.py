"""Split systems of sc2bench's backbones: encoder on the board; body and heads on the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from compressai.models.utils import remap_old_keys
from sc2bench.models.backbone import FeatureExtractionBackbone
from sc2bench.models.detection.rcnn import create_faster_rcnn_fpn
from sc2bench.models.segmentation.deeplabv3 import create_deeplabv3
from torch import Tensor, nn

from splitwatt.engines.bundle.manifest import Port
from splitwatt.export import ports
from splitwatt.export.graphs.codecs import fixed
from splitwatt.export.graphs.rcnn import Rcnn
from splitwatt.export.networks.bottlenecks import Bottleneck
from splitwatt.export.networks.detection import detections, fit_rcnn
from splitwatt.export.networks.segmentation import LOGIT_SPREAD as MASK_SPREAD
from splitwatt.export.networks.segmentation import SegmentationHead
from splitwatt.export.networks.trunks import Trunk, resnet
from splitwatt.export.spec import LoadedFile, Network, Part, Photo, shorter
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import differences, fill, subset
from splitwatt.export.weights.random_weights import fit_batch_norms, level, level_while, seeded

# Standard deviation of random logits: the best of 1000 classes then gets a probability of some tenths.
LOGIT_SPREAD = 4.0
FEATURES = ("f1", "f2", "f3", "f4")
# The stages whose outputs are f1 to f4, as the papers' configurations return them to the pyramid.
RETURNED = {"bottleneck_layer": "1", "layer2": "2", "layer3": "3", "layer4": "4"}

# What each role's file puts before the names of the body's tensors.
_BODIES = {"classification": "", "detection": "backbone.body.", "segmentation": "backbone."}
# The layers of a ResNet's body that detection and segmentation files repeat.
_LAYERS = ("layer2", "layer3", "layer4")


def faster_rcnn(model: Any, num_classes: int = 91, **more: Any) -> Any:
    """sc2bench's Faster R-CNN with a pyramid on a splittable ResNet; classes with the background."""
    return create_faster_rcnn_fpn(
        model,
        return_layer_dict=dict(RETURNED),
        in_channels_list=list(channels(model)),
        num_classes=num_classes,
        analyzable_layer_key="bottleneck_layer",
        **more,
    )


def deeplab(model: Any, num_classes: int = 21) -> Any:
    """sc2bench's DeepLabv3 on a splittable ResNet, without its auxiliary classifier, which only
    training needs; classes with the background.
    """
    body = FeatureExtractionBackbone(model, {"layer4": "out"}, [])
    return create_deeplabv3(body, channels(model)[-1], num_classes=num_classes)


def channels(model: Any) -> tuple[int, ...]:
    """The numbers of channels of f1 to f4 of a splittable ResNet."""
    f1 = [m for m in model.bottleneck_layer.modules() if isinstance(m, nn.Conv2d)][-1].out_channels
    ends = []
    for layer in (model.layer2, model.layer3, model.layer4):
        block = layer[-1]
        ends.append((block.conv3 if hasattr(block, "conv3") else block.conv2).out_channels)
    return (f1, *ends)


def on_resnet50(task: str, bottleneck: Bottleneck, bits: float, shared: str) -> SplitNetwork:
    """A system of one task on ResNet-50, as the SC2 benchmark builds it.

    Args:
        task: classification; detection by Faster R-CNN; segmentation by DeepLabv3.
        bits, shared: as `SplitNetwork`'s.
    """
    more: dict[str, Any] = {}
    if task == "segmentation":
        more["replace_stride_with_dilation"] = [False, True, True]
    trunk = resnet(bottleneck, **more)
    return SplitNetwork(
        trunk,
        bits,
        shared,
        rcnn=faster_rcnn(trunk.model) if task == "detection" else None,
        segmenter=deeplab(trunk.model) if task == "segmentation" else None,
        classifies=task == "classification",
    )


class SplitNetwork(Network):
    """An encoder, a body and a head per task, on one splittable backbone.

    Args:
        trunk: from `splitwatt.export.networks.trunks`; its modules are shared with the heads' models.
        bits: bits per symbol of random latents.
        shared: the seed of the encoder's random weights.
        rcnn, segmenter: models from `faster_rcnn` and `deeplab` on the trunk's model, a ResNet; None
            if the task is not served.
        classifies: whether the trunk's own head is served.
    """

    def __init__(
        self,
        trunk: Trunk,
        bits: float,
        shared: str,
        rcnn: Any = None,
        segmenter: Any = None,
        classifies: bool = True,
    ) -> None:
        self.trunk, self.model, self.rcnn, self.segmenter = trunk, trunk.model, rcnn, segmenter
        self.bits, self.shared, self.classifies = bits, shared, classifies
        self.bottleneck = trunk.bottleneck
        self.codec = self.bottleneck.codec
        self.encoder_modules = self.bottleneck.encoder_modules
        self.fixed_size = trunk.size is not None
        for head in (rcnn, segmenter):
            if head is not None:
                head.eval()
        self.rcnn_graph = None if rcnn is None else Rcnn(rcnn, (4, 8, 16, 32)).eval()

    def features(self, latent: Tensor) -> list[Tensor]:
        """f1 to f4 by the papers' own modules; with fewer stages the last one is f4."""
        outputs = [self.bottleneck.decoder(latent)]
        for stage in self.trunk.stages:
            outputs.append(stage(outputs[-1]))
        return outputs

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """Load the body from the first file and each head from its own; copies of the body are compared."""
        notes: list[str] = []
        for number, (role, loaded) in enumerate(states.items()):
            prefix = _BODIES[role]
            body = subset(loaded.state, prefix)
            if number:
                body = remap_old_keys("bottleneck_layer.entropy_bottleneck", body)
                notes += differences(body, self.model, loaded.path, self.trunk.replaced)
            else:
                self.bottleneck.load(subset(body, "bottleneck_layer."), loaded)
            if role == "classification":
                # The file may still have the layers that the bottleneck replaces: sc2bench ignores them.
                left_out = self.trunk.replaced
                fill(self.model, loaded.state, loaded, left_out, ("bottleneck_layer.",))
                continue
            if not number:
                layers = nn.ModuleDict({name: getattr(self.model, name) for name in _LAYERS})
                fill(layers, {k: v for k, v in body.items() if k.startswith(_LAYERS)}, loaded)
            head = self.rcnn if role == "detection" else self.segmenter
            fill(head, loaded.state, loaded, ("aux_classifier.",), (prefix,))
        return notes

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: the encoder is seeded by `shared`, and classes and boxes are spread."""
        size = self.trunk.size or (224, 224)
        images = torch.from_numpy(squares(shorter(min(size) * 256 // 224, crop=size)))
        with seeded(self.shared):
            latents = self.bottleneck.fit(images, self.bits)
        with torch.no_grad():
            f4 = self._fit_body(latents)
            if self.classifies:
                level(self.trunk.fc, self.trunk.head(f4), LOGIT_SPREAD)
            if self.rcnn is not None and self.rcnn_graph is not None:
                makers = [self._features_of(photo) for photo in photos]
                fit_rcnn(self.rcnn, self.rcnn_graph, makers, photos, key)

    def _fit_body(self, latents: Tensor) -> Tensor:
        """Fit body and segmenter in one pass; returns f4."""
        last: list[nn.Module] = []
        modules: list[nn.Module] = list(self.trunk.stages)
        if self.segmenter is not None:
            modules.append(self.segmenter.classifier)
            last.append(self.segmenter.classifier[-1])
        parts = []

        def run() -> None:
            parts.append(self.features(latents)[-1])
            if self.segmenter is not None:
                self.segmenter.classifier(parts[0])

        fit_batch_norms(modules, lambda: level_while(last, MASK_SPREAD, run))
        return parts[0]

    def _features_of(self, photo: Photo) -> Callable[[], list[Tensor]]:
        return lambda: self.features(self.bottleneck.received(torch.from_numpy(photo.tensor)))

    def classes(self, task: str) -> int | None:
        """See `Network.classes`."""
        if task == "detection" and self.rcnn is not None:
            return int(self.rcnn.roi_heads.box_predictor.cls_score.out_features)
        if task == "segmentation" and self.segmenter is not None:
            return int(self.segmenter.classifier[-1].out_channels)
        return int(self.trunk.fc.out_features)

    def parts(self) -> list[Part]:
        """encoder, what the codec runs, body, and a head per task."""
        parts = [*self.bottleneck.parts(), self._body()]
        if self.classifies:
            parts.append(self._classifier())
        if self.rcnn is not None:
            parts.append(self._detector())
        if self.segmenter is not None:
            parts.append(self._segmenter())
        return parts

    def _body(self) -> Part:
        every = self.rcnn is not None
        outputs = self._features() if every else (self.trunk.f4,)
        decoder, stages = self.bottleneck.decoder, self.trunk.stages
        return Part(
            "body",
            "server",
            _Body(decoder, stages, every),
            (self._batched(ports.maps("latent", self.bottleneck.channels)),),
            tuple(map(self._batched, outputs)),
            lambda latent: tuple(self.features(latent)[0 if every else -1 :]),
            [decoder, *stages],
        )

    def _classifier(self) -> Part:
        trunk = self.trunk
        given = self._batched(trunk.f4)
        made = self._batched(ports.logits(trunk.fc.out_features))
        return Part("classifier", "server", trunk.head, (given,), (made,), counted=[trunk.fc])

    def _features(self) -> tuple[Port, ...]:
        return tuple(map(ports.maps, FEATURES, channels(self.model)))

    def _batched(self, port: Port) -> Port:
        """The port for any number of images, unless the trunk takes features of one size only."""
        return port if self.fixed_size else ports.batched(port)

    def _detector(self) -> Part:
        def original(*given: Tensor) -> tuple[Tensor, ...]:
            *features, input_size, valid_size = given
            named = {str(i): feature for i, feature in enumerate(features, 1)}
            return detections(self.rcnn, named, input_size, valid_size)

        return Part(
            "detector",
            "server",
            _SplitRcnn(self.rcnn_graph),
            (*self._features(), ports.INPUT_SIZE, ports.VALID_SIZE),
            ports.DETECTIONS,
            original,
            [self.rcnn.backbone.fpn, self.rcnn.rpn, self.rcnn.roi_heads],
            checks=("proposals",),
            compare="boxes",
        )

    def _segmenter(self) -> Part:
        return Part(
            "segmenter",
            "server",
            SegmentationHead(self.segmenter.classifier),
            (self.trunk.f4, ports.INPUT_SIZE),
            (ports.MASK,),
            checks=("logits",),
        )


class _Body(nn.Module):
    """Decoder and residual layers: rounded latent -> features.

    Args:
        decoder: of a bottleneck layer.
        layers: the stages of the backbone after it.
        every: whether f1 (the decoder's output) to f4 are wanted, or f4 alone.
    """

    def __init__(self, decoder: nn.Sequential, layers: Sequence[nn.Module], every: bool) -> None:
        super().__init__()
        self.decoder = fixed(decoder)
        self.layers = nn.ModuleList(layers)
        self.every = every

    def forward(self, latent: Tensor) -> tuple[Tensor, ...]:
        """(f1, f2, f3, f4) or (f4,)."""
        features = [self.decoder(latent)]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return tuple(features) if self.every else (features[-1],)


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
