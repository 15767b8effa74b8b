"""CR + BQ: channel reduction and bottleneck quantisation, 1 to 12 channels of 8 bits a value
(Matsubara and Levorato, ICPR 2020), with the SC2 benchmark's checkpoints.
"""

from __future__ import annotations

from splitwatt.export.spec import SC2_TASKS, Network, System
from splitwatt.export.weights.sc2_release import checkpoint, system


def _system(task: str) -> System:
    name = f"cr_bq_{SC2_TASKS[task][0]}"

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import bottlenecks, split

        bottleneck = bottlenecks.ChannelReduction(int(str(rate)))
        return split.on_resnet50(task, bottleneck, 8.0, f"{name}@{rate}/encoder")

    return system(
        name,
        task,
        build,
        lambda rate: checkpoint(task, "ghnd-bq", f"resnet50-bq{rate}ch", "resnet50"),
        ("1", "2", "3", "6", "9", "12"),
        family="channel_reduction",
        citation="Matsubara, Levorato: Neural Compression and Filtering for Edge-assisted Real-time "
        "Object Detection in Challenged Networks, ICPR 2020",
        notes=("the rate point is the number of the bottleneck's channels",),
    )


SYSTEMS = [_system(task) for task in SC2_TASKS]
