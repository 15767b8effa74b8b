"""CR + BQ: channel reduction and bottleneck quantisation, 1 to 12 channels of 8 bits a value
(Matsubara and Levorato, ICPR 2020), with the SC2 benchmark's checkpoints.
"""

from __future__ import annotations

from splitwatt.export.spec import SC2_TASKS, Checkpoint, Network, System

_PAGE = "https://github.com/yoshitomo-matsubara/sc2-benchmark/releases/tag/v0.0.3"
_FOLDER = "supervised_compression/ghnd-bq"
_FILES = {
    "classification": "ilsvrc2012/{d}/ilsvrc2012-resnet50-bq{r}ch_from_resnet50.pt",
    "detection": "coco2017/{d}/coco2017-faster_rcnn_resnet50-bq{r}ch_fpn"
    "_from_faster_rcnn_resnet50_fpn.pt",
    "segmentation": "pascal_voc2012/{d}/pascal_voc2012-deeplabv3_resnet50-bq{r}ch"
    "_from_deeplabv3_resnet50.pt",
}


def _system(task: str) -> System:
    short, preprocess, head = SC2_TASKS[task]
    name = f"cr_bq_{short}"

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import bottlenecks, split

        bottleneck = bottlenecks.ChannelReduction(int(str(rate)))
        return split.on_resnet50(task, bottleneck, 8.0, f"{name}@{rate}/encoder")

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        return (Checkpoint(task, (_FILES[task].format(d=_FOLDER, r=rate),), _PAGE, archive=True),)

    return System(
        name=name,
        family="channel_reduction",
        paper="Matsubara, Yang, Levorato, Mandt: SC2 Benchmark: Supervised Compression for Split "
        "Computing",
        citation="Matsubara, Levorato: Neural Compression and Filtering for Edge-assisted Real-time "
        "Object Detection in Challenged Networks, ICPR 2020",
        tasks=(task,),
        preprocess=preprocess,
        postprocess={task: head},
        build=build,
        checkpoints=checkpoints,
        rates=("1", "2", "3", "6", "9", "12"),
        notes=("the rate point is the number of the bottleneck's channels",),
    )


SYSTEMS = [_system(task) for task in SC2_TASKS]
