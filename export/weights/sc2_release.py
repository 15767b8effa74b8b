"""The SC2 benchmark's released systems: what their rows share, and the names of their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from splitwatt.export.spec import SC2_TASKS, Checkpoint, Network, System

PAPER = (
    "Matsubara, Yang, Levorato, Mandt: SC2 Benchmark: Supervised Compression for Split Computing"
)
PAGE = "https://github.com/yoshitomo-matsubara/sc2-benchmark/releases/tag/v0.0.3"
# task -> data set, and the name of a whole model on a backbone
_NAMES = {
    "classification": ("ilsvrc2012", "{}"),
    "detection": ("coco2017", "faster_rcnn_{}_fpn"),
    "segmentation": ("pascal_voc2012", "deeplabv3_{}"),
}


def checkpoint(task: str, method: str, student: str, teacher: str = "") -> tuple[Checkpoint, ...]:
    """The file of a student.

    Args:
        method: the folder, such as `entropic_student`.
        student: its backbone with the rate point; teacher: the backbone of its teacher, if any.
    """
    data_set, model = _NAMES[task]
    name = model.format(student) + (f"_from_{model.format(teacher)}" if teacher else "")
    path = f"{data_set}/supervised_compression/{method}/{data_set}-{name}.pt"
    return (Checkpoint(task, (path,), PAGE, archive=True),)


def system(
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
        "paper": PAPER,
        "tasks": (task,),
        "preprocess": preprocess,
        "postprocess": {task: head},
        **more,
    }
    return System(name=name, build=build, checkpoints=checkpoints, rates=rates, **own)
