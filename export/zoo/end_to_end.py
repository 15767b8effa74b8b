"""Compressible features learned end to end, without a teacher (Singh et al., ICIP 2020), on the Entropic
Student's layers, as the SC2 benchmark trains and releases it.
"""

from __future__ import annotations

from splitwatt.export.spec import SC2_TASKS, Checkpoint, Network, System

_PAGE = "https://github.com/yoshitomo-matsubara/sc2-benchmark/releases/tag/v0.0.3"
_FOLDER = "supervised_compression/end-to-end"
_RATES = ("1.28e-8", "1.024e-7", "2.048e-7", "8.192e-7", "3.2768e-6")
_FILES = {
    "classification": "ilsvrc2012/{d}/ilsvrc2012-splittable_resnet50-fp-beta{r}.pt",
    "detection": "coco2017/{d}/coco2017-faster_rcnn_splittable_resnet50-fp-beta{r}_fpn.pt",
    "segmentation": "pascal_voc2012/{d}/pascal_voc2012-deeplabv3_splittable_resnet50-fp-beta{r}.pt",
}


def _system(task: str) -> System:
    short, preprocess, head = SC2_TASKS[task]

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import bottlenecks, split
        from splitwatt.export.weights.random_weights import bits_between

        bottleneck = bottlenecks.Factorized(num_bottleneck_channels=24)
        bits = bits_between(_RATES.index(str(rate)), len(_RATES))
        return split.on_resnet50(task, bottleneck, bits, f"end_to_end@{rate}/encoder")

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        return (Checkpoint(task, (_FILES[task].format(d=_FOLDER, r=rate),), _PAGE, archive=True),)

    return System(
        name=f"end_to_end_{short}",
        family="end_to_end",
        paper="Matsubara, Yang, Levorato, Mandt: SC2 Benchmark: Supervised Compression for Split "
        "Computing",
        citation="Singh, Abu-El-Haija, Johnston, Balle, Shrivastava, Toderici: End-to-end Learning of "
        "Compressible Features, ICIP 2020",
        tasks=(task,),
        preprocess=preprocess,
        postprocess={task: head},
        build=build,
        checkpoints=checkpoints,
        rates=_RATES,
    )


SYSTEMS = [_system(task) for task in SC2_TASKS]
