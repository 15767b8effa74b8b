"""Ladon: one encoder, one body and three heads on one preprocessing (Matsubara et al., WACV 2025).

Assembled as the authors' runtime does it: the heads of the detection and segmentation checkpoints
on the body of the classification one.
"""

from splitwatt.engines.bundle.manifest import Resize
from splitwatt.export.spec import (
    SC2_TASKS,
    Checkpoint,
    Network,
    System,
    detection_transform,
    shorter,
)
from splitwatt.export.zoo.whole import LADON

_PAGE = "https://github.com/yoshitomo-matsubara/ladon-multi-task-sc2/releases/tag/wacv2025"
_RATES = ("0.32", "1.28", "5.12", "10.24", "20.48")


def _system(name: str, kind: str, channels: int) -> System:
    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import bottlenecks, split, trunks
        from splitwatt.export.weights.random_weights import bits_at

        trunk = trunks.resnet(bottlenecks.Factorized(num_bottleneck_channels=channels), kind)
        return split.SplitNetwork(
            trunk,
            bits_at(str(rate)),
            f"{name}@{rate}/encoder",
            rcnn=split.faster_rcnn(trunk.model, min_size=416, max_size=416),
            segmenter=split.deeplab(trunk.model),
        )

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        stem = f"splittable_{kind}-fp-beta{rate}"
        segmentation = f"pascal_voc2012/ladon/pascal_voc2012-deeplabv3_{stem}"
        return tuple(
            Checkpoint(role, paths, _PAGE, archive=True)
            for role, paths in (
                ("classification", (f"ilsvrc2012/ladon/ilsvrc2012-{stem}_from_{kind}.pt",)),
                ("detection", (f"coco2017/ladon/coco2017-faster_rcnn_{stem}_fpn.pt",)),
                # The runtime's configurations leave out what the training's append.
                ("segmentation", (f"{segmentation}.pt", f"{segmentation}_two_stages.pt")),
            )
        )

    return System(
        name=name,
        family="ladon",
        paper=LADON,
        citation=f"{LADON}, WACV 2025, pages 4913-4922",
        tasks=tuple(SC2_TASKS),
        preprocess=detection_transform(416, 416, 32),
        postprocess={task: head for task, (_, _, head) in SC2_TASKS.items()},
        build=build,
        checkpoints=checkpoints,
        rates=_RATES,
        # Section 4.2, and the authors' configurations of segmentation, which resize to a square
        # (CustomRandomResize, square: True); detection's is the runtime's own.
        published_preprocess={
            "classification": shorter(448, crop=(416, 416)),
            "segmentation": shorter(416)._replace(
                resize=Resize("exact", (416, 416), None, "pillow-bilinear")
            ),
        },
    )


SYSTEMS = [_system("ladon_r50", "resnet50", 24), _system("ladon_resnest269e", "resnest269e", 32)]
