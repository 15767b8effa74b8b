"""The SC2 benchmark's released split systems (Matsubara et al., TMLR 2023), by the names of their files.

- CR + BQ: channel reduction and bottleneck quantisation, 1 to 12 channels of 8 bits a value.
- Compressible features learned end to end, without a teacher, on the Entropic Student's layers.
- Entropic Student. With ResNet-50 and the factorized prior one encoder serves three systems, each with
  its own preprocessing, body and head.
- Where to cut a plain ResNet-50 (section 5.3): after layer1 to layer4 or avgpool, with an entropy
  bottleneck, or with the features as JPEG or WebP files.
"""

from collections.abc import Callable
from typing import Any

from splitwatt.export.spec import SC2_TASKS, Checkpoint, Network, System, shorter
from splitwatt.export.zoo.whole import RESNET50, SC2, TORCHVISION

_PAGE = "https://github.com/yoshitomo-matsubara/sc2-benchmark/releases/tag/v0.0.3"
# task -> data set, and the name of a whole model on a backbone
_NAMES = {
    "classification": ("ilsvrc2012", "{}"),
    "detection": ("coco2017", "faster_rcnn_{}_fpn"),
    "segmentation": ("pascal_voc2012", "deeplabv3_{}"),
}
_HALF = (0.5, 0.5, 0.5)


def _checkpoint(task: str, method: str, student: str, teacher: str = "") -> tuple[Checkpoint, ...]:
    """The file of a student.

    Args:
        method: the folder, such as `entropic_student`.
        student: its backbone with the rate point; teacher: the backbone of its teacher, if any.
    """
    data_set, model = _NAMES[task]
    name = model.format(student) + (f"_from_{model.format(teacher)}" if teacher else "")
    path = f"{data_set}/supervised_compression/{method}/{data_set}-{name}.pt"
    return (Checkpoint(task, (path,), _PAGE, archive=True),)


def _system(
    name: str,
    task: str,
    build: Callable[[str | None], Network],
    checkpoints: Callable[[str | None], tuple[Checkpoint, ...]],
    rates: tuple[str, ...],
    **more: Any,
) -> System:
    """A row of one task, with the benchmark's preprocessing unless `more` has another."""
    _, preprocess, head = SC2_TASKS[task]
    own: dict[str, Any] = {
        "paper": SC2,
        "tasks": (task,),
        "preprocess": preprocess,
        "postprocess": {task: head},
        **more,
    }
    return System(name=name, build=build, checkpoints=checkpoints, rates=rates, **own)


def _on_resnet50(
    task: str,
    prefix: str,
    shared: str,
    rates: tuple[str, ...],
    make: Callable[[str], tuple[Any, float]],
    files: tuple[str, ...],
    **more: Any,
) -> System:
    """A student on ResNet-50.

    Args:
        prefix: of the name, before the task.
        shared: the name by which the encoder's random weights are seeded; "" for the row's own.
        make: the bottleneck of a rate point, and bits per symbol of random latents.
        files: as `_checkpoint` takes them; {} is the rate point.
    """
    name = f"{prefix}_{SC2_TASKS[task][0]}"
    method, student, *teacher = files

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import split

        bottleneck, bits = make(str(rate))
        return split.on_resnet50(task, bottleneck, bits, f"{shared or name}@{rate}/encoder")

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        if rate in more.get("assumed", ()):
            return ()
        return _checkpoint(task, method, student.format(rate), *teacher)

    return _system(name, task, build, checkpoints, rates, **more)


def _channel_reduction(rate: str) -> tuple[Any, float]:
    from splitwatt.export.networks.bottlenecks import ChannelReduction

    return ChannelReduction(int(rate)), 8.0


_END_TO_END = ("1.28e-8", "1.024e-7", "2.048e-7", "8.192e-7", "3.2768e-6")


def _end_to_end(rate: str) -> tuple[Any, float]:
    from splitwatt.export.weights.random_weights import bits_between

    return _entropic(rate)[0], bits_between(_END_TO_END.index(rate), len(_END_TO_END))


def _entropic(rate: str) -> tuple[Any, float]:
    from splitwatt.export.networks.bottlenecks import Factorized
    from splitwatt.export.weights.random_weights import bits_at

    return Factorized(num_bottleneck_channels=24), bits_at(rate)


_ENTROPIC = "entropic_student"
_WACV22 = (
    "Matsubara, Yang, Levorato, Mandt: Supervised Compression for Resource-Constrained Edge "
    "Computing Systems, WACV 2022"
)
# Those of Ladon's Table 3 first: a bare name is the first rate point.
_RATES = ("0.32", "0.64", "1.28", "2.56", "5.12", "10.24")
_SMALL = ("0.08", "0.16", "0.32", "0.64", "1.28", "2.56")
_VIT_RATES = (*_SMALL[1:], "5.12", "10.24", "15.36", "20.48")
_BICUBIC: dict[str, Any] = {"crop": (224, 224), "filter": "pillow-bicubic"}
# name -> (maker of the trunk, what the files call it, channels of encoder and decoder, preprocessing,
# citation, prior -> the rate points whose checkpoints were released)
_BACKBONES: dict[str, tuple[str, str, tuple[list[int], ...], Any, str, dict[str, Any]]] = {
    "": ("resnet50", "resnet50", (), None, "He et al., CVPR 2016", {"mshp": (*_SMALL, "3.84")}),
    "_resnet101": ("resnet101", "resnet101", (), None, "He et al., CVPR 2016",
                   {"fp": (*_SMALL, "5.12"), "mshp": _SMALL}),
    "_regnety_064": ("regnety_064", "regnety6.4gf", ([3, 64, 64, 64], [64, 288, 144, 144]),
                     shorter(256, **_BICUBIC), "Radosavovic et al., CVPR 2020",
                     {"fp": (*_SMALL, "5.12", "7.68"), "mshp": (*_SMALL, "4.48")}),
    "_vit_small_r26_s32": ("vit_small_r26_s32_224", "hybrid_vit_small_r26_s32_224",
                           ([3, 64, 64, 64], [64, 512, 256, 256]),
                           shorter(248, mean=_HALF, std=_HALF, **_BICUBIC),
                           "Steiner et al., TMLR 2022", {"fp": _VIT_RATES, "mshp": _VIT_RATES}),
}  # fmt: skip


def _classifier(backbone: str, prior: str) -> System:
    """An Entropic Student on another backbone, or with a mean-scale hyperprior (mshp)."""
    name = f"entropic_student_ic{backbone}{'_mshp' if prior == 'mshp' else ''}"
    kind, label, sizes, preprocess, citation, rates = _BACKBONES[backbone]

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import bottlenecks, split, trunks
        from splitwatt.export.weights.random_weights import bits_at

        layer: Any = bottlenecks.Factorized if prior == "fp" else bottlenecks.MeanScale
        ends = ("encoder", "decoder") if prior == "fp" else ("g_a", "g_s")
        channels = {f"{e}_channel_sizes": own for e, own in zip(ends, sizes, strict=False)}
        bottleneck = layer(num_bottleneck_channels=sizes[0][-1] if sizes else 24, **channels)
        make = {"regnety_064": trunks.regnety, "vit_small_r26_s32_224": trunks.hybrid_vit}
        trunk = make.get(kind, trunks.resnet)(bottleneck, kind)
        return split.SplitNetwork(trunk, bits_at(str(rate)), f"{name}@{rate}/encoder")

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        student = f"splittable_{label}-{prior}-beta{rate}"
        return _checkpoint("classification", _ENTROPIC, student, label)

    note = "mean-scale hyperprior: Minnen, Balle, Toderici, NeurIPS 2018"
    return _system(
        name,
        "classification",
        build,
        checkpoints,
        rates[prior],
        family=_ENTROPIC,
        citation=f"{_WACV22}; backbone: {citation}",
        notes=(note,) if prior == "mshp" else (),
        preprocess=preprocess or SC2_TASKS["classification"][1],
    )


# The betas of the released checkpoints, from the most to the fewest bytes.
_BETAS = {
    "layer1": ("1.0e-15", "5.0e-11", "8.0e-10", "1.28e-8", "1.024e-7", "8.192e-7", "6.5536e-6",
               "1.0e-5", "1.0e-4"),
    "layer2": ("1.0e-15", "1.0e-10", "1.0e-8", "1.0e-6", "1.0e-5", "1.0e-4"),
    "layer3": ("1.0e-15", "1.0e-10", "1.0e-8", "1.0e-6", "1.0e-5", "5.0e-5", "1.0e-4"),
    "layer4": ("1.0e-15", "1.0e-10", "1.0e-8", "1.0e-6", "1.0e-5", "5.0e-5", "1.0e-4", "5.0e-4",
               "1.0e-3"),
    "avgpool": ("1.0e-15", "1.0e-10", "8.0e-10", "6.5536e-6", "1.0e-4", "1.0e-2", "1.0e-1"),
}  # fmt: skip
_PLACED = "Matsubara, Yang, Levorato, Mandt: SC2 Benchmark, TMLR 2023, section 5.3"


def _placed(place: str) -> System:
    """ResNet-50 cut at a place, with an entropy bottleneck."""

    def build(_rate: str | None) -> Network:
        from splitwatt.export.networks.cut import EntropicResNet

        return EntropicResNet(place)

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        # Unlike all others of that release, not below supervised_compression.
        file = f"fine-tuning/ilsvrc2012-resnet50-eb_after_{place}-beta{rate}.pt"
        paths = (f"ilsvrc2012/{file}", f"ilsvrc2012/supervised_compression/{file}")
        return (Checkpoint("classification", paths, _PAGE, archive=True),)

    name = f"resnet50_{place}_eb"
    return _system(name, "classification", build, checkpoints, _BETAS[place], family="placement",
                   citation=_PLACED)  # fmt: skip


def _images(place: str, format: str) -> System:
    """ResNet-50 cut at a place, its features as image files."""

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks.cut import CutResNet
        from splitwatt.export.networks.latent_codecs import FeatureImages

        return CutResNet(place, FeatureImages(format, int(str(rate))))

    files = ("ilsvrc2012-resnet50.pt", RESNET50)
    return _system(
        f"resnet50_{place}_{format.lower()}",
        "classification",
        build,
        lambda rate: (Checkpoint("classification", files, TORCHVISION + RESNET50),),
        ("90", "70", "50", "30", "10"),
        family="placement",
        citation=f"{_PLACED}, after Alvar, Bajic: Pareto-Optimal Bit Allocation for Collaborative "
        "Intelligence, TIP 2021",
        notes=("the rate point is the files' quality; the released configurations use 90 after "
               "layer2",),
    )  # fmt: skip


SYSTEMS = [
    *(
        _on_resnet50(
            task,
            "cr_bq",
            "",
            ("1", "2", "3", "6", "9", "12"),
            _channel_reduction,
            ("ghnd-bq", "resnet50-bq{}ch", "resnet50"),
            family="channel_reduction",
            citation="Matsubara, Levorato: Neural Compression and Filtering for Edge-assisted "
            "Real-time Object Detection in Challenged Networks, ICPR 2020",
            notes=("the rate point is the number of the bottleneck's channels",),
        )
        for task in SC2_TASKS
    ),
    *(
        _on_resnet50(
            task,
            "end_to_end",
            "end_to_end",
            _END_TO_END,
            _end_to_end,
            ("end-to-end", "splittable_resnet50-fp-beta{}"),
            family="end_to_end",
            citation="Singh, Abu-El-Haija, Johnston, Balle, Shrivastava, Toderici: End-to-end "
            "Learning of Compressible Features, ICIP 2020",
        )
        for task in SC2_TASKS
    ),
    *(
        _on_resnet50(
            task,
            _ENTROPIC,
            _ENTROPIC,
            _RATES + (("0.16",) if task == "segmentation" else ("0.08", "0.16")),
            _entropic,
            (_ENTROPIC, "splittable_resnet50-fp-beta{}", "resnet50"),
            family=_ENTROPIC,
            citation=_WACV22,
            assumed=frozenset(("10.24",)),
            notes=("10.24 is assumed: Ladon's Table 3 names SC 6 and defines only SC 1 to 5",),
        )
        for task in SC2_TASKS
    ),
    *(_classifier(backbone, prior) for backbone, row in _BACKBONES.items() for prior in row[-1]),
    *(_placed(place) for place in _BETAS),
    *(_images(place, format) for format in ("JPEG", "WEBP") for place in _BETAS),
]
