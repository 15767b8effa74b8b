"""Entropic Student (Matsubara et al., WACV 2022), with the backbones and priors of the SC2 benchmark
(TMLR 2023), whose checkpoints these are.

With ResNet-50 and the factorized prior one encoder serves three systems, each with its own
preprocessing, body and head.
"""

from __future__ import annotations

from typing import Any

from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.export.spec import SC2_TASKS, Checkpoint, Network, System, shorter
from splitwatt.export.weights.sc2_release import checkpoint, system

_CITATION = (
    "Matsubara, Yang, Levorato, Mandt: Supervised Compression for Resource-Constrained Edge "
    "Computing Systems, WACV 2022"
)
_METHOD = "entropic_student"
# Those of Ladon's Table 3 first: a bare name is the first rate point.
_RATES = ("0.32", "0.64", "1.28", "2.56", "5.12", "10.24")
_ASSUMED = frozenset(("10.24",))
_NOTE = "10.24 is assumed: Ladon's Table 3 names SC 6 and defines only SC 1 to 5"


def _build(task: str, rate: str | None) -> Network:
    from splitwatt.export.networks import bottlenecks, split
    from splitwatt.export.weights.random_weights import bits_at

    bottleneck = bottlenecks.Factorized(num_bottleneck_channels=24)
    shared = f"entropic_student@{rate}/encoder"
    return split.on_resnet50(task, bottleneck, bits_at(str(rate)), shared)


def _system(task: str, more: tuple[str, ...]) -> System:
    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        if rate in _ASSUMED:
            return ()
        return checkpoint(task, _METHOD, f"splittable_resnet50-fp-beta{rate}", "resnet50")

    return system(
        f"{_METHOD}_{SC2_TASKS[task][0]}",
        task,
        lambda rate: _build(task, rate),
        checkpoints,
        _RATES + more,
        family=_METHOD,
        citation=_CITATION,
        assumed=_ASSUMED,
        notes=(_NOTE,),
    )


_IC = SC2_TASKS["classification"][1]
_HALF = (0.5, 0.5, 0.5)
_SMALL = ("0.08", "0.16", "0.32", "0.64", "1.28", "2.56")

# name -> (maker of the trunk, what the files call it, channels of the bottleneck, preprocessing)
_BACKBONES: dict[str, tuple[str, str, dict[str, Any], Preprocess]] = {
    "": ("resnet50", "resnet50", {}, _IC),
    "_resnet101": ("resnet101", "resnet101", {}, _IC),
    "_regnety_064": (
        "regnety_064",
        "regnety6.4gf",
        {"encoder": [3, 64, 64, 64], "decoder": [64, 288, 144, 144]},
        shorter(256, crop=(224, 224), filter="pillow-bicubic"),
    ),
    "_vit_small_r26_s32": (
        "vit_small_r26_s32_224",
        "hybrid_vit_small_r26_s32_224",
        {"encoder": [3, 64, 64, 64], "decoder": [64, 512, 256, 256]},
        shorter(248, crop=(224, 224), filter="pillow-bicubic", mean=_HALF, std=_HALF),
    ),
}
_CITATIONS = {
    "": "He et al., CVPR 2016",
    "_resnet101": "He et al., CVPR 2016",
    "_regnety_064": "Radosavovic et al., CVPR 2020",
    "_vit_small_r26_s32": "Steiner et al., TMLR 2022",
}
_VIT_RATES = (*_SMALL[1:], "5.12", "10.24", "15.36", "20.48")
# (backbone, prior) -> the rate points whose checkpoints were released
_POINTS = {
    ("", "mshp"): (*_SMALL, "3.84"),
    ("_resnet101", "fp"): (*_SMALL, "5.12"),
    ("_resnet101", "mshp"): _SMALL,
    ("_regnety_064", "fp"): (*_SMALL, "5.12", "7.68"),
    ("_regnety_064", "mshp"): (*_SMALL, "4.48"),
    ("_vit_small_r26_s32", "fp"): _VIT_RATES,
    ("_vit_small_r26_s32", "mshp"): _VIT_RATES,
}


def _build_classifier(name: str, backbone: str, prior: str, rate: str | None) -> Network:
    from splitwatt.export.networks import bottlenecks, split, trunks
    from splitwatt.export.weights.random_weights import bits_at

    kind, _, sizes, _ = _BACKBONES[backbone]
    bottleneck: bottlenecks.Bottleneck
    if prior == "mshp":
        names = {"encoder": "g_a_channel_sizes", "decoder": "g_s_channel_sizes"}
        bottleneck = bottlenecks.MeanScale(
            num_bottleneck_channels=sizes["encoder"][-1] if sizes else 24,
            **{names[end]: channels for end, channels in sizes.items()},
        )
    else:
        bottleneck = bottlenecks.Factorized(
            num_bottleneck_channels=sizes["encoder"][-1] if sizes else 24,
            **{f"{end}_channel_sizes": channels for end, channels in sizes.items()},
        )
    make = {"regnety_064": trunks.regnety, "vit_small_r26_s32_224": trunks.hybrid_vit}
    trunk = make.get(kind, trunks.resnet)(bottleneck, kind)
    return split.SplitNetwork(trunk, bits_at(str(rate)), f"{name}@{rate}/encoder")


def _classifier(backbone: str, prior: str) -> System:
    name = f"entropic_student_ic{backbone}{'_mshp' if prior == 'mshp' else ''}"
    _, label, _, preprocess = _BACKBONES[backbone]

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        student = f"splittable_{label}-{prior}-beta{rate}"
        return checkpoint("classification", _METHOD, student, label)

    notes: tuple[str, ...] = ()
    if prior == "mshp":
        notes = ("mean-scale hyperprior: Minnen, Balle, Toderici, NeurIPS 2018",)
    return system(
        name,
        "classification",
        lambda rate: _build_classifier(name, backbone, prior, rate),
        checkpoints,
        _POINTS[backbone, prior],
        family=_METHOD,
        citation=f"{_CITATION}; backbone: {_CITATIONS[backbone]}",
        preprocess=preprocess,
        notes=notes,
    )


SYSTEMS = [
    _system("classification", ("0.08", "0.16")),
    _system("detection", ("0.08", "0.16")),
    _system("segmentation", ("0.16",)),
    *(_classifier(backbone, prior) for backbone, prior in _POINTS),
]
