"""The best saving of each metric against each baseline, in sentences."""
# board: no

from dataclasses import dataclass, replace

from splitwatt.reports.load.model import Series
from splitwatt.reports.load.values import Value
from splitwatt.reports.metrics.savings import Saving, best, metrics, savings
from splitwatt.reports.papers.published import is_papers
from splitwatt.reports.tables.table import percent, significant


@dataclass(frozen=True)
class Headline:
    """A sentence, and the number in it: what is saved, in percent."""

    text: str
    saved: Value


def headlines(series: list[Series]) -> list[Headline]:
    """Sentences for each metric and kind of baseline that was measured.

    A user's own configuration is compared with the best baseline of the kind. The paper's are compared
    with the heaviest, as the paper's "up to" is, and what it states stands beside.
    """
    lines = []
    for s in series:
        found = savings(s)
        prefix = f"{s.label}: " if len(series) > 1 else ""
        for metric in metrics(s):
            for baseline in metric.baselines:
                here = [o for o in found if (o.metric.name, o.baseline) == (metric.name, baseline)]
                papers = [o for o in here if is_papers(o.entry.id)]
                own = [
                    replace(o, heaviest=o.lightest, most=o.least) for o in here if o not in papers
                ]
                for top, of_paper in ((best(own), False), (best(papers), True)):
                    if top:
                        lines.append(Headline(prefix + _sentence(top, of_paper), top.most))
    return lines


def _sentence(top: Saving, of_paper: bool) -> str:
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
    if not of_paper:
        kind = "local" if top.baseline == "LC" else "split"
        return f"{top.metric.name}: {pair}, the best {kind} baseline; {top.most.source}."
    stated = sorted({statement.percent for statement in top.published})
    paper = ", ".join(percent(value) for value in stated)
    beside = f" (the paper states up to {paper} % for its {top.baseline} rows)" if paper else ""
    return f"{top.metric.name}: {pair}{beside}; {top.most.source}."
