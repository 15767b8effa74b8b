"""The best saving of each metric against each baseline, in sentences."""
# board: no

from dataclasses import dataclass

from splitwatt.reports.load.model import Series
from splitwatt.reports.load.values import Value
from splitwatt.reports.metrics.savings import Saving, best, saved_metrics, savings
from splitwatt.reports.tables.table import percent, significant


@dataclass(frozen=True)
class Headline:
    """A sentence, and the number in it: what is saved, in percent."""

    text: str
    saved: Value


def headlines(series: list[Series]) -> list[Headline]:
    """One sentence for each metric and baseline that was measured, the paper's beside it."""
    lines = []
    for s in series:
        found = savings(s)
        prefix = f"{s.label}: " if len(series) > 1 else ""
        for metric in saved_metrics(s):
            for baseline in metric.baselines:
                top = best(
                    [o for o in found if (o.metric.name, o.baseline) == (metric.name, baseline)]
                )
                if top:
                    lines.append(Headline(prefix + _sentence(top), top.most))
    return lines


def _sentence(top: Saving) -> str:
    if top.heaviest is None or top.most.value is None:
        raise ValueError("a saving without a number has no sentence")
    saved = top.most.value
    if saved >= 0:
        words = f"saves {percent(saved)} % against"
    elif saved >= -100:
        words = f"costs {percent(-saved)} % more than"
    else:
        words = f"costs {significant(1 - saved / 100)} times as much as"
    pair = f"{top.entry.marked} {words} {top.heaviest.marked}"
    stated = sorted({statement.percent for statement in top.published})
    paper = ", ".join(percent(value) for value in stated)
    beside = f" (the paper states up to {paper} % for its {top.baseline} rows)" if paper else ""
    return f"{top.metric.name}: {pair}{beside}; {top.most.source}."
