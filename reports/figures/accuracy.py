"""The figures of accuracy (Ladon's Figs. 2 to 4, SC2's Figs. 5 to 10), and of agreement, over bytes."""

from splitwatt.reports.figures.style import Drawing
from splitwatt.reports.figures.tradeoff import rate_distortion, three_way
from splitwatt.reports.load.accuracy import Accuracy, Result
from splitwatt.reports.load.model import Series
from splitwatt.reports.load.values import by_source
from splitwatt.reports.metrics.agreement import NAMES, Agreement, agreements
from splitwatt.reports.metrics.tradeoffs import Curve, axis_name, curves, curves_of, subsets
from splitwatt.reports.tables.accuracy import tasks_with_results

_PAPER = {
    "classification": ("Fig. 2", "SC2 Fig. 5"),
    "detection": ("Fig. 3", "SC2 Fig. 6"),
    "segmentation": ("Fig. 4", "SC2 Fig. 7"),
}


def accuracy_drawings(accuracy: Accuracy, series: list[Series]) -> list[Drawing]:
    """Two figures for each task with accuracy, and those of systems that the papers draw separately."""
    return [
        drawing
        for task in tasks_with_results(accuracy)
        for name, paper, shown in subsets(curves(accuracy, task))
        for drawing in _of_task(accuracy, series, task, name, paper, shown)
    ]


def _of_task(
    accuracy: Accuracy, series: list[Series], task: str, name: str, paper: str, shown: list[Curve]
) -> list[Drawing]:
    systems = {curve.system for curve in shown}
    results = [result for result in accuracy.of_task(task) if result.system in systems]
    sets = ", ".join(dict.fromkeys(result.data_set for result in results))
    bars = _bars(results)
    sources = _sources(shown)
    first, second = (paper, paper) if name else _PAPER[task]
    ylabel, suffix = axis_name(task), f"_{name}" if name else ""
    about = task + (f", {name.replace('_', ' ')}" if name else "")
    notes = _notes(results, shown)
    result = [
        Drawing(
            f"rate_distortion_{task}{suffix}",
            f"Rate-distortion, {about} ({first})",
            f"{ylabel} against the mean bytes of one image on {sets}; level lines: local "
            f"computing, which sends nothing.{bars}{notes}",
            sources,
            lambda: rate_distortion(shown, series, ylabel),
        )
    ]
    if any(point.exr.value is not None for curve in shown for point in curve.points):
        result.append(
            Drawing(
                f"three_way_{task}{suffix}",
                f"Three-way tradeoff, {about} ({second})",
                f"Left: rate-distortion; middle: against encoder size times data size (ExR-D); "
                f"right: both sizes in space, projections in grey. {sets}. Encoder size: fp32 "
                f"parameters of encoder and entropy model.{bars}{notes}",
                sources,
                lambda: three_way(shown, series, ylabel),
            )
        )
    return result


def _sources(shown: list[Curve]) -> str:
    return by_source(
        (curve.label.removesuffix(" (published)"), point.percent.source)
        for curve in shown
        for point in curve.points
    )


def _bars(results: list[Result]) -> str:
    said = list(dict.fromkeys(text for result in results for text in result.intervals))
    return f" Error bars: {', '.join(said)}." if said else " No interval was recorded."


def _notes(results: list[Result], shown: list[Curve]) -> str:
    notes = []
    if any(curve.published for curve in shown):
        notes.append("Hollow markers and dashed lines: published, not of this run.")
    if any(not result.trained for result in results):
        notes.append("Untrained (random) weights: their accuracy and bytes mean nothing.")
    if any(not result.whole for result in results):
        notes.append("Evaluated on a part of the data set: not comparable with published figures.")
    return "".join(f" {note}" for note in notes)


def agreement_drawings(series: list[Series]) -> list[Drawing]:
    """A figure for each run and task that was compared with another model's answers."""
    shown = agreements(series)
    several = len({made.run.path for made in shown}) > 1
    return [_agreement(made, series, f"_{i}" if several else "") for i, made in enumerate(shown, 1)]


def _agreement(made: Agreement, series: list[Series], number: str) -> Drawing:
    shown = curves_of(made.results)
    bars = f" Error bars: {made.intervals}." if made.intervals else ""
    title = NAMES[made.task][1]
    warning = ""
    if not all(result.trained for result in made.results):
        warning = " Untrained (random) weights: these answers and bytes mean nothing."
    return Drawing(
        f"agreement_{made.task}{number}",
        f"Rate-agreement, {made.task}" + (f", {made.run.name}" if number else ""),
        f"{title} with {made.about}, against the mean bytes of one of them.{bars}{warning}",
        _sources(shown),
        lambda: rate_distortion(shown, series, f"{title} [%]"),
    )
