"""torchvision's detectors as one local part, and what all Faster R-CNN heads share."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.image_list import ImageList

from splitwatt.engines.bundle.manifest import Port
from splitwatt.export import ports
from splitwatt.export.graphs.boxes import best, clip, decode, nms
from splitwatt.export.graphs.rcnn import Rcnn
from splitwatt.export.networks.backbones import WholeModel
from splitwatt.export.spec import Part, Photo
from splitwatt.export.weights.random_weights import (
    class_offsets,
    fit_batch_norms,
    level,
    level_while,
    pixels,
    shift_bias,
    tune,
)

# Standard deviations of a random detector's logits and regressions.
CLASS_SPREAD, OBJECT_SPREAD, BOX_SPREAD = 2.0, 1.5, 0.8
# SSDLite's heads end in ReLU6: large weights saturate it, and smooth and busy photographs give similar
# outputs.
SATURATION = 32.0


class Detector(WholeModel):
    """A whole torchvision detector of COCO's 91 classes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=91
        ).eval()

    def _whole(
        self, graph: nn.Module, inputs: tuple[Port, ...], checks: tuple[str, ...]
    ) -> list[Part]:
        original, counted = self._original, [self.model]
        outputs = ports.DETECTIONS
        return [Part("model", "board", graph, inputs, outputs, original, counted, checks, "boxes")]

    def _original(self, *inputs: Any) -> tuple[Tensor, ...]:
        raise NotImplementedError


class Ssd(nn.Module):
    """torchvision's SSD: image (1, 3, H, W) of its fixed size -> boxes, labels, scores.

    What torchvision's `SSD.postprocess_detections` computes: a class's `topk_candidates` best boxes
    above the score threshold are suppressed among themselves, and the best of all are kept. A class
    is a batch of the NonMaxSuppression, so that each sees its own candidates only.
    """

    anchors: Tensor
    size: Tensor

    def __init__(self, ssd: Any, size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = ssd.backbone
        self.head = ssd.head
        self.weights = ssd.box_coder.weights
        self.candidates = int(ssd.topk_candidates)
        self.score_threshold = float(ssd.score_thresh)
        self.iou_threshold = float(ssd.nms_thresh)
        self.detections = int(ssd.detections_per_img)
        image = torch.zeros(1, 3, *size)
        with torch.no_grad():
            features = list(self.backbone(image).values())
            anchors = ssd.anchor_generator(ImageList(image, [size]), features)[0]
        self.register_buffer("anchors", anchors)
        self.register_buffer("size", torch.tensor(size))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """boxes (n, 4) xyxy in the image's pixels, labels int64 (n,), scores (n,), best first."""
        outputs = self.head(list(self.backbone(image).values()))
        return self.pick(outputs["bbox_regression"][0], outputs["cls_logits"][0])

    def pick(self, deltas: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The detections among regressions (n, 4) and class logits (n, classes)."""
        boxes = clip(decode(deltas, self.anchors, self.weights), self.size)
        scores = logits.softmax(-1).t()[1:]
        k = min(self.candidates, scores.shape[1])
        scores, index = scores.topk(k, dim=1)
        boxes = boxes[index]
        limit = min(k, self.detections)
        kept = nms(boxes, scores[:, None], limit, self.iou_threshold, self.score_threshold)
        flat = kept[:, 0] * k + kept[:, 2]
        scores, order = best(scores.reshape(-1)[flat], self.detections)
        return boxes.reshape(-1, 4)[flat[order]], kept[order, 0] + 1, scores


class SsdNetwork(Detector):
    """SSD300 and SSDLite320: image of a fixed size -> boxes, labels, scores."""

    @property
    def size(self) -> tuple[int, int]:
        """The (height, width) of the model's input."""
        height, width = self.model.transform.fixed_size
        return int(height), int(width)

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: fitted statistics, and a bias that leaves some boxes on each photograph."""
        images = torch.cat([torch.from_numpy(photo.tensor) for photo in photos])
        heads = [self.model.head.classification_head, self.model.head.regression_head]
        last = [[_last_conv(m) for m in head.module_list] for head in heads]
        with torch.no_grad():
            for norm in heads[0].modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.weight.fill_(SATURATION)
                    norm.bias.fill_(3.0)
            features: list[Tensor] = []

            def run() -> None:
                features.extend(self.model.backbone(images).values())
                self.model.head(features)

            fit_batch_norms(
                [self.model],
                lambda: level_while(
                    last[0], CLASS_SPREAD, lambda: level_while(last[1], BOX_SPREAD, run)
                ),
            )
            offsets = class_offsets(91)
            graph = Ssd(self.model, self.size)
            outputs = self.model.head(features)
            logits, deltas = outputs["cls_logits"] + offsets, outputs["bbox_regression"]

            def count(bias: float) -> list[int]:
                shifted = logits.clone()
                shifted[..., 0] += bias
                return [len(graph.pick(d, x)[0]) for d, x in zip(deltas, shifted, strict=True)]

            offsets[0] = tune(count, self.name, 0.0, 30.0)
            for layer in last[0]:
                shift_bias(layer, offsets)

    def parts(self) -> list[Part]:
        """`model` alone."""
        return self._whole(Ssd(self.model, self.size).eval(), (ports.image(self.size),), ())

    def _original(self, image: Tensor) -> tuple[Tensor, ...]:
        features = list(self.model.backbone(image).values())
        anchors = self.model.anchor_generator(ImageList(image, [self.size]), features)
        outputs = self.model.head(features)
        (answer,) = self.model.postprocess_detections(outputs, anchors, [self.size])
        return answer["boxes"], answer["labels"], answer["scores"]


class LocalRcnn(nn.Module):
    """image, valid_size -> boxes, labels, scores, and the proposals for checks."""

    def __init__(self, model: Any, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.body = model.backbone.body
        self.rcnn = Rcnn(model, strides)

    def forward(self, image: Tensor, valid_size: Tensor) -> tuple[Tensor, ...]:
        """As `Rcnn.forward`."""
        input_size = torch._shape_as_tensor(image)[2:]
        return self.rcnn(list(self.body(image).values()), input_size, valid_size)  # type: ignore[no-any-return]


class RcnnNetwork(Detector):
    """Faster R-CNN with MobileNetV3: padded image -> boxes, labels, scores."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        with torch.no_grad():
            features = self.model.backbone.body(torch.zeros(1, 3, 320, 320))
        self.strides = tuple(320 // feature.shape[2] for feature in features.values())
        self.graph = LocalRcnn(self.model, self.strides).eval()

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights: fitted statistics, and proposals and classes that spread."""
        images = [torch.from_numpy(photo.tensor) for photo in photos]
        same = torch.cat([nn.functional.interpolate(image, (320, 416)) for image in images])
        fit_batch_norms([self.model.backbone], lambda: self.model.backbone(same))
        with torch.no_grad():
            fit_rcnn(
                self.model,
                self.graph.rcnn,
                [functools.partial(self._features, image) for image in images],
                photos,
                self.name,
            )

    def _features(self, image: Tensor) -> list[Tensor]:
        return list(self.graph.body(image).values())

    def parts(self) -> list[Part]:
        """`model` alone."""
        return self._whole(self.graph, (ports.image(), ports.VALID_SIZE), ("proposals",))

    def _original(self, image: Tensor, valid_size: Tensor) -> tuple[Tensor, ...]:
        size = torch.tensor(image.shape[2:])
        return detections(self.model, self.graph.body(image), size, valid_size)


def detections(
    model: Any, features: Mapping[str, Tensor], input_size: Tensor, valid_size: Tensor
) -> tuple[Tensor, ...]:
    """Boxes, labels, scores and proposals of torchvision's own Faster R-CNN, before resizing.

    Args:
        features: of the backbone.
        input_size, valid_size: int64 [2], (height, width) of the image with and without its padding.
    """
    sizes = [tuple(valid_size.tolist())]
    images = ImageList(torch.zeros(1).expand(1, 3, *input_size.tolist()), sizes)
    pyramid = model.backbone.fpn(features)
    proposals, _ = model.rpn(images, pyramid)
    (answer,) = model.roi_heads(pyramid, proposals, images.image_sizes)[0]
    return answer["boxes"], answer["labels"], answer["scores"], proposals[0]


def fit_rcnn(
    model: Any,
    graph: Rcnn,
    features: Sequence[Callable[[], list[Tensor]]],
    photos: Sequence[Photo],
    name: str,
) -> None:
    """Random heads of a Faster R-CNN that find 5 to 100 boxes on every photograph.

    The list ends at 100, so only too few boxes are a problem: smooth photographs are used, and a busy one
    so that the statistics do not depend on smooth ones only.

    Args:
        features: for each photograph a function that computes the backbone's features, which are too
            large to keep.
    """
    chosen = _smooth_and_busy(photos)
    features = [features[i] for i in chosen]
    sizes = [
        (torch.tensor(photos[i].input_size), torch.tensor(photos[i].valid_size)) for i in chosen
    ]
    maps = features[0]()
    _fit_proposals(model, maps)
    looks = []
    for i, (make, (input_size, valid_size)) in enumerate(zip(features, sizes, strict=True)):
        pyramid = _pyramid(model, maps if i == 0 else make())
        proposals = graph.propose(pyramid, input_size, valid_size)
        looks.append(graph.look(pyramid[: len(graph.strides)], proposals))
    predictor = model.roi_heads.box_predictor
    offsets = class_offsets(predictor.cls_score.out_features)
    logits = _levelled(predictor.cls_score, [look[0] for look in looks], CLASS_SPREAD)
    deltas = _levelled(predictor.bbox_pred, [look[1] for look in looks], BOX_SPREAD)

    def count(bias: float) -> list[int]:
        shift = offsets.clone()
        shift[0] += bias
        return [
            len(graph.pick(x + shift, d, look[2], valid_size)[0])
            for x, d, look, (_, valid_size) in zip(logits, deltas, looks, sizes, strict=True)
        ]

    offsets[0] = tune(count, name, 0.0, 30.0)
    shift_bias(predictor.cls_score, offsets)


def _smooth_and_busy(photos: Sequence[Photo]) -> list[int]:
    """The busiest photograph and the two smoothest, by their mean gradient."""
    busy = [float(np.abs(np.diff(photo.tensor, axis=3)).mean()) for photo in photos]
    order = sorted(range(len(photos)), key=lambda i: busy[i])
    return [order[-1], *order[:2]]


def _pyramid(model: Any, maps: Sequence[Tensor]) -> list[Tensor]:
    return list(model.backbone.fpn({str(i): x for i, x in enumerate(maps)}).values())


def _fit_proposals(model: Any, maps: Sequence[Tensor]) -> None:
    """Spread the objectness and the regressions of the proposal network."""
    head = model.rpn.head
    hidden = [head.conv(x) for x in _pyramid(model, maps)]
    for layer, spread in ((head.cls_logits, OBJECT_SPREAD), (head.bbox_pred, BOX_SPREAD / 2)):
        level(layer, torch.cat([pixels(layer(x)) for x in hidden]), spread)


def _levelled(layer: nn.Module, outputs: Sequence[Tensor], spread: float) -> list[Tensor]:
    """Level a last layer; returns its new outputs."""
    every = torch.cat(list(outputs))
    factor = level(layer, every, spread)
    return [(x - every.mean(dim=0)) * factor for x in outputs]


def _last_conv(module: nn.Module) -> nn.Conv2d:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)][-1]
