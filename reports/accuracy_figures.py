"""The figures of accuracy: Ladon's Figs. 2 to 4 and SC2's Figs. 5 to 10, a pair for each task."""
# board: no

from reports.accuracy import Accuracy
from reports.accuracy_table import tasks_with_results
from reports.drawing import Drawing
from reports.figures.tradeoff import rate_distortion, three_way
from reports.tradeoffs import Curve, axis_name, curves
from reports.words import by_source

_PAPER = {
    "classification": ("Fig. 2", "SC2 Figs. 5, 8 to 10"),
    "detection": ("Fig. 3", "SC2 Fig. 6"),
    "segmentation": ("Fig. 4", "SC2 Fig. 7"),
}


def accuracy_drawings(accuracy: Accuracy) -> list[Drawing]:
    """Two figures for each task that has accuracy; none without."""
    return [
        drawing
        for task in tasks_with_results(accuracy)
        for drawing in _of_task(accuracy, task, curves(accuracy, task))
    ]


def _of_task(accuracy: Accuracy, task: str, shown: list[Curve]) -> list[Drawing]:
    found = accuracy.of_task(task)
    said = list(dict.fromkeys(text for result in found for text in result.intervals))
    bars = f" Error bars: {', '.join(said)}." if said else " No interval was recorded."
    sets = ", ".join(dict.fromkeys(result.data_set for result in found))
    told = by_source(
        (curve.label.removesuffix(" (published)"), point.percent.source)
        for curve in shown
        for point in curve.points
    )
    notes = [f"Sources: {told}."]
    if any(curve.published for curve in shown):
        notes.append("Hollow markers and dashed lines: published, not of this run.")
    if any(not result.trained for result in found):
        notes.append("Untrained (random) weights: their accuracy and bytes mean nothing.")
    if any(not result.whole for result in found):
        notes.append("Evaluated on a part of the data set: not comparable with published figures.")
    first, second = _PAPER[task]
    ylabel = axis_name(task)
    result = [
        Drawing(
            f"rate_distortion_{task}",
            f"Rate-distortion, {task} ({first})",
            f"{ylabel} against the mean bytes of one image on {sets}; level lines: local "
            f"computing, which sends nothing.{bars}",
            told,
            lambda: rate_distortion(shown, ylabel, notes),
        )
    ]
    if any(point.exr.value is not None for curve in shown for point in curve.points):
        result.append(
            Drawing(
                f"three_way_{task}",
                f"Three-way tradeoff, {task} ({second})",
                f"Left: rate-distortion; middle: against encoder size times data size (ExR-D); "
                f"right: both sizes in space, projections in grey. {sets}. Encoder size: fp32 "
                f"parameters of encoder and entropy model.{bars}",
                told,
                lambda: three_way(shown, ylabel, notes),
            )
        )
    return result
