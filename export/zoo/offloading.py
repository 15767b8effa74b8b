"""Whole models that a server runs unmodified: the models after an input codec (`png+swin_b`).

A bare name runs the whole model on the board. Behind any codec of `input_compression` it runs on
the server: full offloading, as the SC2 and FrankenSplit papers compare it.
"""

from __future__ import annotations

import importlib
from typing import Any

from splitwatt.engines.bundle.manifest import Head, Preprocess
from splitwatt.export.spec import Checkpoint, Network, System, detection_transform, shorter
from splitwatt.export.weights.sc2_release import PAPER

FRANKENSPLIT = (
    "Furutanpey, Raith, Dustdar: FrankenSplit: Efficient Neural Feature Compression with Shallow "
    "Variational Bottleneck Injection for Mobile Edge Computing"
)
_TORCHVISION = "https://download.pytorch.org/models/"
# What the SC2 benchmark's configurations of segmentation take, trained on PASCAL VOC 2012.
_TORCHDISTILL = "https://github.com/yoshitomo-matsubara/torchdistill/releases/download/v0.2.8/"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
_NOTE = "after an input codec the server runs all of it: png+{0}, jpeg@95+{0}"
_RESIZE = "the papers' resizing (shorter side 256, bilinear); its own weights were tuned to another"

_RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016"
_SWIN = "Liu et al.: Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, 2021"
_S3 = "Chen et al.: Searching the Search Space of Vision Transformer, NeurIPS 2021"
_CONVNEXT = "Liu et al.: A ConvNet for the 2020s, CVPR 2022"


def lazily(module: str, kind: str, *arguments: Any) -> Any:
    """A `build` that imports the class `kind` of `networks/MODULE.py` once it is called."""

    def build(_rate: str | None) -> Network:
        networks = importlib.import_module("splitwatt.export.networks." + module)
        return getattr(networks, kind)(*arguments)  # type: ignore[no-any-return]

    return build


def _system(
    name: str, paper: str, citation: str, url: str, build: Any, preprocess: Preprocess, **more: Any
) -> System:
    files = (url.rsplit("/", 1)[1], *more.get("others", ()))
    checkpoint = Checkpoint("model", files, url, hub=more.get("hub"))
    head = more.get("head", Head("model", "imagenet1k", top_k=5))
    task = more.get("task", "classification")
    return System(
        name=name,
        family="whole",
        paper=paper,
        citation=citation,
        tasks=(task,),
        preprocess=preprocess,
        postprocess={task: head},
        build=build,
        checkpoints=lambda _rate: (checkpoint,),
        notes=(_NOTE.format(name), *more.get("notes", ())),
    )


def _classifier(
    name: str, paper: str, citation: str, file: str, fixed: bool = False, timm: bool = False
) -> System:
    kind = ("backbones", "TimmClassifier") if timm else ("backbones", "WholeClassifier")
    return _system(
        name,
        paper,
        citation,
        (_TIMM if timm else _TORCHVISION) + file,
        lazily(*kind, name, fixed),
        shorter(256, crop=(224, 224)),
        notes=(_RESIZE,) if not name.startswith("resnet") else (),
        hub=f"timm/{name}.ms_in1k" if timm else None,
    )


def _deeplab(depth: int, file: str) -> System:
    name = f"deeplabv3_resnet{depth}"
    return _system(
        name,
        PAPER,
        "Chen et al.: Rethinking Atrous Convolution for Semantic Image Segmentation, 2017",
        f"{_TORCHDISTILL}pascal_voc2012-{name}.pt",
        lazily("segmentation", "Segmenter", name),
        shorter(513),
        task="segmentation",
        head=Head("model", "voc21"),
        others=(file,),  # torchvision's, trained on COCO with VOC's classes
    )


SYSTEMS = [
    _classifier("resnet50", PAPER, _RESNET, "resnet50-0676ba61.pth"),
    _classifier("resnet101", PAPER, _RESNET, "resnet101-63fe2227.pth"),
    _classifier("resnet152", PAPER, _RESNET, "resnet152-394f9c45.pth"),
    _classifier("swin_t", FRANKENSPLIT, _SWIN, "swin_t-704ceda3.pth", fixed=True),
    _classifier("swin_s", FRANKENSPLIT, _SWIN, "swin_s-5e29d889.pth", fixed=True),
    _classifier("swin_b", FRANKENSPLIT, _SWIN, "swin_b-68c6b09e.pth", fixed=True),
    _classifier("swin_s3_tiny_224", FRANKENSPLIT, _S3, "s3_t-1d53f6a8.pth", True, timm=True),
    _classifier("swin_s3_small_224", FRANKENSPLIT, _S3, "s3_s-3bb4c69d.pth", True, timm=True),
    _classifier("swin_s3_base_224", FRANKENSPLIT, _S3, "s3_b-a1e95db4.pth", True, timm=True),
    _classifier("convnext_tiny", FRANKENSPLIT, _CONVNEXT, "convnext_tiny-983f1562.pth"),
    _classifier("convnext_small", FRANKENSPLIT, _CONVNEXT, "convnext_small-0c510722.pth"),
    _classifier("convnext_base", FRANKENSPLIT, _CONVNEXT, "convnext_base-6075fbad.pth"),
    _system("fasterrcnn_resnet50_fpn", PAPER, "Ren et al.: Faster R-CNN, NeurIPS 2015",
            _TORCHVISION + "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
            lazily("detection", "RcnnNetwork", "fasterrcnn_resnet50_fpn"),
            detection_transform(800, 1333, 32), task="detection",
            head=Head("model", "coco91", score_threshold=0.05)),
    _deeplab(50, "deeplabv3_resnet50_coco-cd0a2569.pth"),
    _deeplab(101, "deeplabv3_resnet101_coco-586e9e4e.pth"),
]  # fmt: skip
