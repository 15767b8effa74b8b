"""Whole models of torchvision and timm: one part, `model`.

The local models of the Ladon paper's Table 2 run on the board. All others are what a server runs
unmodified after an input codec (`png+swin_b`), as the SC2 and FrankenSplit papers compare it; under
its bare name such a model runs on the board too.

Weights are torchvision's IMAGENET1K_V1 and COCO ones, or timm's; of segmentation models also those
that were trained on PASCAL VOC, under the papers' names.
"""

import importlib
from typing import Any

from splitwatt.engines.bundle.manifest import Head, Preprocess
from splitwatt.export.spec import (
    SC2_TASKS,
    Checkpoint,
    Network,
    System,
    detection_transform,
    shorter,
)

LADON = (
    "Matsubara, Mendula, Levorato: A Multi-Task Supervised Compression Model for Split Computing"
)
SC2 = "Matsubara, Yang, Levorato, Mandt: SC2 Benchmark: Supervised Compression for Split Computing"
FRANKENSPLIT = (
    "Furutanpey, Raith, Dustdar: FrankenSplit: Efficient Neural Feature Compression with Shallow "
    "Variational Bottleneck Injection for Mobile Edge Computing"
)
TORCHVISION = "https://download.pytorch.org/models/"
RESNET50 = "resnet50-0676ba61.pth"
# What the SC2 benchmark's configurations of segmentation take, trained on PASCAL VOC 2012.
_TORCHDISTILL = "https://github.com/yoshitomo-matsubara/torchdistill/releases/download/v0.2.8/"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
_NOTE = "after an input codec the server runs all of it: png+{0}, jpeg@95+{0}"
_RESIZE = "the papers' resizing (shorter side 256, bilinear); its own weights were tuned to another"

_MNASNET = "Tan et al.: MnasNet, CVPR 2019"
_MOBILENET = "Howard et al.: Searching for MobileNetV3, ICCV 2019"
_RESNET = "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016"
_SWIN = "Liu et al.: Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, 2021"
_S3 = "Chen et al.: Searching the Search Space of Vision Transformer, NeurIPS 2021"
_CONVNEXT = "Liu et al.: A ConvNet for the 2020s, CVPR 2022"
_SSD = "Liu et al.: SSD: Single Shot MultiBox Detector, ECCV 2016"
_RCNN = "Ren et al.: Faster R-CNN, NeurIPS 2015"
_DEEPLAB = "Chen et al.: Rethinking Atrous Convolution for Semantic Image Segmentation, 2017"


def _system(
    name: str,
    paper: str,
    citation: str,
    kind: tuple[Any, ...],
    files: tuple[str, ...],
    url: str,
    task: str = "classification",
    head: Head | None = None,
    preprocess: Preprocess | None = None,
    notes: tuple[str, ...] = (),
    hub: str | None = None,
) -> System:
    """A row; `kind` is the module of networks/, the class in it, and its arguments after the name."""

    def build(_rate: str | None) -> Network:
        module, network, *more = kind
        networks = importlib.import_module("splitwatt.export.networks." + module)
        return getattr(networks, network)(name, *more)  # type: ignore[no-any-return]

    local = paper == LADON
    return System(
        name=name,
        family="local" if local else "whole",
        paper=paper,
        citation=citation,
        tasks=(task,),
        preprocess=preprocess or SC2_TASKS[task][1],
        postprocess={task: head or Head("model", "imagenet1k", top_k=5)},
        build=build,
        checkpoints=lambda _rate: (Checkpoint("model", files, url, hub=hub),),
        notes=notes if local else (_NOTE.format(name), *notes),
    )


def _classifier(name: str, paper: str, citation: str, file: str) -> System:
    timm, fixed = "_s3_" in name, name.startswith("swin")
    return _system(
        name,
        paper,
        citation,
        ("backbones", "TimmClassifier" if timm else "WholeClassifier", fixed),
        (file,),
        (_TIMM if timm else TORCHVISION) + file,
        notes=() if paper == LADON or name.startswith("resnet") else (_RESIZE,),
        hub=f"timm/{name}.ms_in1k" if timm else None,
    )


def _detector(
    name: str,
    paper: str,
    citation: str,
    file: str,
    kind: str,
    preprocess: Preprocess,
    threshold: float,
    *notes: str,
) -> System:
    head = Head("model", "coco91", score_threshold=threshold)
    network = ("detection", kind)
    url = TORCHVISION + file
    return _system(
        name, paper, citation, network, (file,), url, "detection", head, preprocess, notes
    )


def _segmenter(name: str, paper: str, citation: str, file: str, side: int) -> System:
    own = f"pascal_voc2012-{name}.pt"
    if paper == LADON:
        files, url = (f"pascal_voc2012/baseline/{own}", file), TORCHVISION + file
    else:
        files, url = (own, file), _TORCHDISTILL + own
    head, network = Head("model", "voc21"), ("segmentation", "Segmenter")
    return _system(name, paper, citation, network, files, url, "segmentation", head, shorter(side))


SYSTEMS = [
    _classifier("mobilenet_v3_large", LADON, _MOBILENET, "mobilenet_v3_large-8738ca79.pth"),
    _classifier("mobilenet_v2", LADON, "Sandler et al.: MobileNetV2, CVPR 2018",
                "mobilenet_v2-b0353104.pth"),
    _classifier("mnasnet1_3", LADON, _MNASNET, "mnasnet1_3-a4c69d6f.pth"),
    _classifier("mnasnet0_5", LADON, _MNASNET, "mnasnet0.5_top1_67.823-3ffadce67e.pth"),
    _detector("ssd300_vgg16", LADON, _SSD, "ssd300_vgg16_coco-b556d3b4.pth", "SsdNetwork",
              detection_transform((300, 300), mean=(0.48235, 0.45882, 0.40784),
                                  std=(1 / 255, 1 / 255, 1 / 255)), 0.01),
    _detector("ssdlite320_mobilenet_v3_large", LADON, _MOBILENET,
              "ssdlite320_mobilenet_v3_large_coco-a79551df.pth", "SsdNetwork",
              detection_transform((320, 320), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), 0.001,
              "torchvision's model has 3.4 M parameters; Table 2 prints 5.2 M"),
    _detector("fasterrcnn_mobilenet_v3_large_320_fpn", LADON, _RCNN,
              "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth", "RcnnNetwork",
              detection_transform(320, 640, 32), 0.05,
              "torchvision's 0.719 GMAC count no proposal; each costs 0.014 GMAC more"),
    _segmenter("deeplabv3_mobilenet_v3_large", LADON, _DEEPLAB,
               "deeplabv3_mobilenet_v3_large-fc3c493d.pth", 416),
    _segmenter("lraspp_mobilenet_v3_large", LADON, _MOBILENET,
               "lraspp_mobilenet_v3_large-d234d4ea.pth", 416),
    _classifier("resnet50", SC2, _RESNET, RESNET50),
    _classifier("resnet101", SC2, _RESNET, "resnet101-63fe2227.pth"),
    _classifier("resnet152", SC2, _RESNET, "resnet152-394f9c45.pth"),
    _classifier("swin_t", FRANKENSPLIT, _SWIN, "swin_t-704ceda3.pth"),
    _classifier("swin_s", FRANKENSPLIT, _SWIN, "swin_s-5e29d889.pth"),
    _classifier("swin_b", FRANKENSPLIT, _SWIN, "swin_b-68c6b09e.pth"),
    _classifier("swin_s3_tiny_224", FRANKENSPLIT, _S3, "s3_t-1d53f6a8.pth"),
    _classifier("swin_s3_small_224", FRANKENSPLIT, _S3, "s3_s-3bb4c69d.pth"),
    _classifier("swin_s3_base_224", FRANKENSPLIT, _S3, "s3_b-a1e95db4.pth"),
    _classifier("convnext_tiny", FRANKENSPLIT, _CONVNEXT, "convnext_tiny-983f1562.pth"),
    _classifier("convnext_small", FRANKENSPLIT, _CONVNEXT, "convnext_small-0c510722.pth"),
    _classifier("convnext_base", FRANKENSPLIT, _CONVNEXT, "convnext_base-6075fbad.pth"),
    _detector("fasterrcnn_resnet50_fpn", SC2, _RCNN, "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
              "RcnnNetwork", detection_transform(800, 1333, 32), 0.05),
    _segmenter("deeplabv3_resnet50", SC2, _DEEPLAB, "deeplabv3_resnet50_coco-cd0a2569.pth", 513),
    _segmenter("deeplabv3_resnet101", SC2, _DEEPLAB, "deeplabv3_resnet101_coco-586e9e4e.pth", 513),
]  # fmt: skip
