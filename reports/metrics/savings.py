"""What each split configuration with one shared pass saves, beside what the paper states."""
# board: no

from collections.abc import Callable
from dataclasses import dataclass

from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series
from splitwatt.reports.load.values import Value, exact, missing, ordered
from splitwatt.reports.metrics import costs, stats
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.papers.published import Statement, stated

# Savings are told for every entry that is none of these: Ladon's rows (Ours), a user's own.
BASELINES = ("LC", "SC")


@dataclass(frozen=True)
class Quantity:
    """A figure of an entry that can be saved: its samples, or its one number."""

    value: Value
    samples: tuple[float, ...] = ()


@dataclass(frozen=True)
class Metric:
    """What is compared: its key, its name, the link where it depends on one, how to get it."""

    key: str
    title: str
    of: Callable[[Entry], Quantity]
    link: Link | None = None
    baselines: tuple[str, ...] = BASELINES

    @property
    def name(self) -> str:
        """The metric in words, with its link: `End-to-end latency at 100 kbit/s`."""
        return f"{self.title} at {self.link.name}" if self.link else self.title

    @property
    def link_name(self) -> str:
        """The link's name; empty where the metric has none."""
        return self.link.name if self.link else ""

    @property
    def rate_kbit_s(self) -> float | None:
        """The link's rate; None where there is no simulated link."""
        return None if self.link in (None, NO_LINK) else self.link.rate_kbit_s

    def published(self, baseline: str) -> list[Statement]:
        """What the paper states on it."""
        return stated(self.key, baseline, self.rate_kbit_s)


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
        """What the paper states on it; nothing where the baseline's row is none of its own."""
        own = self.heaviest is None or self.heaviest.group == self.baseline
        return self.metric.published(self.baseline) if own else []


def savings(series: Series) -> list[Saving]:
    """Every saving of a series, by metric, then by configuration."""
    ours = [e for e in series.entries if not e.baseline]
    return [
        _saving(series, entry, metric, baseline)
        for metric in metrics(series)
        for entry in ours
        for baseline in metric.baselines
    ]


def metrics(series: Series) -> list[Metric]:
    """What is compared in a series: the latency on each link, then the costs."""
    result = [
        Metric("end_to_end", "End-to-end latency", _end_to_end(link), link) for link in series.links
    ]
    result.append(Metric("gmac", "Local GMAC", lambda e: Quantity(costs.local_gmac(e))))
    result.append(Metric("memory", "Peak memory", lambda e: Quantity(costs.peak_memory_gb(e))))
    result.append(Metric("energy", "Energy", lambda e: Quantity(costs.energy_j(e))))
    result.append(
        Metric("payload", "Data size", lambda e: Quantity(costs.payload_kib(e)), baselines=("SC",))
    )
    return result


def _end_to_end(link: Link) -> Callable[[Entry], Quantity]:
    def quantity(entry: Entry) -> Quantity:
        found = latency(entry, link)
        return Quantity(found.total, found.totals_s)

    return quantity


def _saving(series: Series, entry: Entry, metric: Metric, baseline: str) -> Saving:
    own = metric.of(entry)
    rows = [(row, metric.of(row)) for row in series.entries if row.baseline == baseline]
    known = [(row, q) for row, q in rows if q.value.value is not None]
    if own.value.value is None:
        absent = missing(own.value.why or "not measured")
    elif not rows:
        absent = missing(f"the run has no {baseline} row")
    else:
        absent = missing(rows[0][1].value.why or "not measured")
    if own.value.value is None or not known:
        return Saving(series, entry, metric, baseline, None, absent, None, absent)
    heaviest = max(known, key=lambda item: item[1].value.value or 0.0)
    lightest = min(known, key=lambda item: item[1].value.value or 0.0)
    return Saving(
        series, entry, metric, baseline,
        heaviest[0], _percent(own, heaviest[1]), lightest[0], _percent(own, lightest[1]),
    )  # fmt: skip


def _percent(ours: Quantity, theirs: Quantity) -> Value:
    if ours.samples and theirs.samples:
        sources = ordered((*ours.value.sources, *theirs.value.sources))
        return stats.saving(ours.samples, theirs.samples, *sources)
    return saved(ours.value, theirs.value)


def saved(ours: Value, theirs: Value) -> Value:
    """What `ours` saves of `theirs`, in percent and without an interval."""
    if ours.value is None or not theirs.value:
        return missing(ours.why or theirs.why or "nothing to compare with")
    sources = ordered((*ours.sources, *theirs.sources))
    return exact(100 * (1 - ours.value / theirs.value), *sources)


def best(found: list[Saving]) -> Saving | None:
    """The saving that an "up to" would name; None where none was measured."""
    measured = [s for s in found if s.most.value is not None]
    return max(measured, key=lambda s: s.most.value or 0.0, default=None)
