"""The rate-agreement curves: how often models give another one's answers, against their bytes."""
# board: no

from splitwatt.reports.figures.drawing import Drawing
from splitwatt.reports.figures.tradeoff import rate_distortion
from splitwatt.reports.load.agreement import Agreement
from splitwatt.reports.load.model import Series
from splitwatt.reports.load.words import by_source
from splitwatt.reports.metrics.agreement import NAMES
from splitwatt.reports.metrics.tradeoffs import agreements, curves_of


def agreement_drawings(series: list[Series]) -> list[Drawing]:
    """A figure for each run and task that was compared with another model's answers."""
    shown = agreements(series)
    several = len({made.run.path for made in shown}) > 1
    return [_drawing(made, series, f"_{i}" if several else "") for i, made in enumerate(shown, 1)]


def _drawing(made: Agreement, series: list[Series], number: str) -> Drawing:
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
        by_source((curve.label, p.percent.source) for curve in shown for p in curve.points),
        lambda: rate_distortion(shown, series, f"{title} [%]"),
    )
