"""Entropic Student: one encoder for three systems, each with its own preprocessing, body and head
(Matsubara et al., WACV 2022; checkpoints of the SC2 benchmark, TMLR 2023).
"""

from __future__ import annotations

from engines.manifest import Head
from export.spec import Checkpoint, Network, System, detection_transform, shorter

_PAPER = (
    "Matsubara, Yang, Levorato, Mandt: SC2 Benchmark: Supervised Compression for Split Computing"
)
_CITATION = (
    "Matsubara, Yang, Levorato, Mandt: Supervised Compression for Resource-Constrained Edge "
    "Computing Systems, WACV 2022"
)
_PAGE = "https://github.com/yoshitomo-matsubara/sc2-benchmark/releases/tag/v0.0.3"
_RATES = ("0.32", "0.64", "1.28", "2.56", "5.12", "10.24")
_ASSUMED = frozenset(("10.24",))
_NOTE = "10.24 is assumed: Ladon's Table 3 names SC 6 and defines only SC 1 to 5"
_FILES = {
    "classification": "ilsvrc2012/{d}/ilsvrc2012-splittable_resnet50-fp-beta{r}_from_resnet50.pt",
    "detection": "coco2017/{d}/coco2017-faster_rcnn_splittable_resnet50-fp-beta{r}"
    "_fpn_from_faster_rcnn_resnet50_fpn.pt",
    "segmentation": "pascal_voc2012/{d}/pascal_voc2012-deeplabv3_splittable_resnet50-fp-beta{r}"
    "_from_deeplabv3_resnet50.pt",
}


def _build(task: str, rate: str | None) -> Network:
    from export.networks import split

    dilation = {"replace_stride_with_dilation": [False, True, True]}
    model = split.backbone("resnet50", 24, **(dilation if task == "segmentation" else {}))
    return split.SplitNetwork(
        model,
        str(rate),
        f"entropic_student@{rate}/encoder",
        rcnn=split.faster_rcnn(model) if task == "detection" else None,
        segmenter=split.deeplab(model) if task == "segmentation" else None,
        classifies=task == "classification",
    )


def _system(name: str, task: str, preprocess: object, head: Head) -> System:
    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        if rate in _ASSUMED:
            return ()
        path = _FILES[task].format(d="supervised_compression/entropic_student", r=rate)
        return (Checkpoint(task, (path,), _PAGE, archive=True),)

    return System(
        name=name,
        family="entropic_student",
        paper=_PAPER,
        citation=_CITATION,
        tasks=(task,),
        preprocess=preprocess,  # type: ignore[arg-type]
        postprocess={task: head},
        build=lambda rate: _build(task, rate),
        checkpoints=checkpoints,
        rates=_RATES,
        assumed=_ASSUMED,
        notes=(_NOTE,),
    )


SYSTEMS = [
    _system("entropic_student_ic", "classification", shorter(256, crop=(224, 224)),
            Head("classifier", "imagenet1k", top_k=5)),
    _system("entropic_student_od", "detection", detection_transform(800, 1333, 32),
            Head("detector", "coco91", score_threshold=0.05)),
    _system("entropic_student_ss", "segmentation", shorter(513), Head("segmenter", "voc21")),
]  # fmt: skip
