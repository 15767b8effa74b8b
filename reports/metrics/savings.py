"""What each configuration under test saves against the baselines, and what the paper states."""
# board: no

from dataclasses import dataclass

from splitwatt.reports.load.model import NO_LINK, Entry, Series
from splitwatt.reports.load.values import Value, exact, missing, ordered
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.metric import Metric, metrics
from splitwatt.reports.papers.published import Statement, stated


@dataclass(frozen=True)
class Saving:
    """What `entry` saves against the heaviest and the lightest row of a baseline, in percent."""

    series: Series
    entry: Entry
    metric: Metric
    baseline: str
    heaviest: Entry | None
    most: Value
    lightest: Entry | None
    least: Value

    @property
    def published(self) -> list[Statement]:
        """What the paper states about it; nothing if one of the two rows is not the paper's."""
        if not self.entry.papers or (self.heaviest is not None and not self.heaviest.papers):
            return []
        return stated(self.metric.stated, self.baseline, self.rate_kbit_s)

    @property
    def link_name(self) -> str:
        """The link's name; empty where the metric has none."""
        return self.metric.link.name if self.metric.link else ""

    @property
    def rate_kbit_s(self) -> float | None:
        """The link's rate; None where there is no simulated link."""
        link = self.metric.link
        return None if link in (None, NO_LINK) else link.rate_kbit_s


def savings(series: Series) -> list[Saving]:
    """Every saving of a series, by metric, then by configuration."""
    ours = [e for e in series.entries if e.under_test]
    return [
        _saving(series, entry, metric, baseline)
        for metric in saved_metrics(series)
        for entry in ours
        for baseline in metric.baselines
    ]


def saved_metrics(series: Series) -> list[Metric]:
    """The metrics with savings: the latency on each link, then the costs."""
    return [metric for metric in metrics(series.links) if metric.word]


def _saving(series: Series, entry: Entry, metric: Metric, baseline: str) -> Saving:
    own = metric.value(entry)
    rows = [(row, metric.value(row)) for row in series.entries if row.baseline == baseline]
    known = [(row, value) for row, value in rows if value.value is not None]
    if own.value is None:
        absent = missing(own.why or "not measured")
    elif not rows:
        absent = missing(f"the run has no {baseline} row")
    else:
        absent = missing(rows[0][1].why or "not measured")
    if own.value is None or not known:
        return Saving(series, entry, metric, baseline, None, absent, None, absent)
    heaviest = max(known, key=lambda item: item[1].value or 0.0)
    lightest = min(known, key=lambda item: item[1].value or 0.0)
    return Saving(
        series, entry, metric, baseline,
        heaviest[0], percent(entry, heaviest[0], metric), lightest[0], percent(entry, lightest[0], metric),
    )  # fmt: skip


def percent(ours: Entry, theirs: Entry, metric: Metric) -> Value:
    """What one entry saves of another, in percent; with an interval where there are samples."""
    a, b = metric.value(ours), metric.value(theirs)
    samples = metric.samples(ours), metric.samples(theirs)
    if a.value is None or b.value is None or not all(map(len, samples)):
        return saved(a, b)
    return stats.saving(*samples, *ordered((*a.sources, *b.sources)))


def saved(ours: Value, theirs: Value) -> Value:
    """What `ours` saves of `theirs`, in percent and without an interval."""
    if ours.value is None or not theirs.value:
        return missing(ours.why or theirs.why or "nothing to compare with")
    sources = ordered((*ours.sources, *theirs.sources))
    return exact(100 * (1 - ours.value / theirs.value), *sources)


def best(candidates: list[Saving]) -> Saving | None:
    """The largest saving, as in "up to"; None if no saving was measured."""
    measured = [s for s in candidates if s.most.value is not None]
    return max(measured, key=lambda s: s.most.value or 0.0, default=None)
