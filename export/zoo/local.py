"""The nine local models of the Ladon paper's Table 2, from torchvision.

One part, `model`, runs on the board. Weights are torchvision's IMAGENET1K_V1 and COCO ones; for the
two segmentation models also the paper's own PASCAL VOC checkpoints, under their names.
"""

from __future__ import annotations

from typing import Any

from splitwatt.engines.bundle.manifest import Head, Preprocess
from splitwatt.export.spec import SC2_TASKS, Checkpoint, System, detection_transform, shorter
from splitwatt.export.zoo.offloading import lazily

_LADON = (
    "Matsubara, Mendula, Levorato: A Multi-Task Supervised Compression Model for Split Computing"
)
_FILES = "https://download.pytorch.org/models/"


def _local(
    name: str,
    task: str,
    head: Head,
    preprocess: Preprocess,
    build: Any,
    files: tuple[str, ...],
    citation: str,
    notes: tuple[str, ...] = (),
) -> System:
    """A row; the last of `files` is torchvision's."""
    checkpoint = Checkpoint("model", files, _FILES + files[-1])
    return System(
        name=name,
        family="local",
        paper=_LADON,
        citation=citation,
        tasks=(task,),
        preprocess=preprocess,
        postprocess={task: head},
        build=build,
        checkpoints=lambda _rate: (checkpoint,),
        notes=notes,
    )


def _classifier(name: str, file: str, citation: str) -> System:
    build = lazily("backbones", "WholeClassifier", name)
    _, preprocess, head = SC2_TASKS["classification"]
    return _local(
        name, "classification", head._replace(part="model"), preprocess, build, (file,), citation
    )


def _detector(
    name: str,
    file: str,
    citation: str,
    kind: str,
    preprocess: Preprocess,
    threshold: float,
    notes: tuple[str, ...] = (),
) -> System:
    head = Head("model", "coco91", score_threshold=threshold)
    build = lazily("detection", kind, name)
    return _local(name, "detection", head, preprocess, build, (file,), citation, notes)


def _segmenter(name: str, file: str, citation: str) -> System:
    files = (f"pascal_voc2012/baseline/pascal_voc2012-{name}.pt", file)
    build = lazily("segmentation", "Segmenter", name)
    return _local(
        name, "segmentation", Head("model", "voc21"), shorter(416), build, files, citation
    )


SYSTEMS = [
    _classifier("mobilenet_v3_large", "mobilenet_v3_large-8738ca79.pth",
                "Howard et al.: Searching for MobileNetV3, ICCV 2019"),
    _classifier("mobilenet_v2", "mobilenet_v2-b0353104.pth",
                "Sandler et al.: MobileNetV2, CVPR 2018"),
    _classifier("mnasnet1_3", "mnasnet1_3-a4c69d6f.pth",
                "Tan et al.: MnasNet, CVPR 2019"),
    _classifier("mnasnet0_5", "mnasnet0.5_top1_67.823-3ffadce67e.pth",
                "Tan et al.: MnasNet, CVPR 2019"),
    _detector("ssd300_vgg16", "ssd300_vgg16_coco-b556d3b4.pth",
              "Liu et al.: SSD: Single Shot MultiBox Detector, ECCV 2016", "SsdNetwork",
              preprocess=detection_transform((300, 300), mean=(0.48235, 0.45882, 0.40784),
                                             std=(1 / 255, 1 / 255, 1 / 255)),
              threshold=0.01),
    _detector("ssdlite320_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
              "Howard et al.: Searching for MobileNetV3, ICCV 2019", "SsdNetwork",
              preprocess=detection_transform((320, 320), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
              threshold=0.001,
              notes=("torchvision's model has 3.4 M parameters; Table 2 prints 5.2 M",)),
    _detector("fasterrcnn_mobilenet_v3_large_320_fpn",
              "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
              "Ren et al.: Faster R-CNN, NeurIPS 2015", "RcnnNetwork",
              preprocess=detection_transform(320, 640, 32), threshold=0.05,
              notes=("torchvision's 0.719 GMAC count no proposal; each costs 0.014 GMAC more",)),
    _segmenter("deeplabv3_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
               "Chen et al.: Rethinking Atrous Convolution for Semantic Image Segmentation, 2017"),
    _segmenter("lraspp_mobilenet_v3_large", "lraspp_mobilenet_v3_large-d234d4ea.pth",
               "Howard et al.: Searching for MobileNetV3, ICCV 2019"),
]  # fmt: skip
