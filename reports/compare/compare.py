"""Two runs side by side: what changed, by how much, how sure; and the gate of a user's CI."""
# board: no

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from splitwatt.profiler.analyse.times import end_to_end_s, local_s, server_s
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.sample import Sample
from splitwatt.reports.compare.change import Change, holm, of_medians, of_values
from splitwatt.reports.load.accuracy import MAIN_METRIC, Accuracy, Result
from splitwatt.reports.load.model import NO_LINK, Entry, Series
from splitwatt.reports.load.values import Value, missing
from splitwatt.reports.metrics import costs
from splitwatt.reports.metrics.latency import latency

_SAMPLED = ("End-to-end latency", "Local", "Server", "Data size")
_ORDER = {name: i for i, name in enumerate((*_SAMPLED, "Energy", "Peak memory", "Local GMAC"))}
_CHANGED = {True: "worse", False: "better"}
UNSURE = "no difference shown"
FEW = "too few samples to tell"


@dataclass(frozen=True)
class Pair:
    """One figure of one configuration on both sides; `change` in percent of a.

    `verdict`: worse, better, equal, "no difference shown", "too few samples to tell", or why
    there is nothing to compare. `broken`: b should have it and has not.
    """

    config: str
    metric: str
    link: str
    unit: str
    a: Value
    b: Value
    change: Change | None
    verdict: str
    higher_is_better: bool = False
    broken: bool = False

    @property
    def worse_percent(self) -> float | None:
        """By how much b is worse than a, in percent of a; negative: better."""
        if self.change is None:
            return None
        return -self.change.percent if self.higher_is_better else self.change.percent


@dataclass(frozen=True)
class Gate:
    """Which pairs are worse by more than allowed; `unjudged` have too few samples to tell."""

    limit_percent: float
    failed: tuple[Pair, ...]
    unjudged: tuple[Pair, ...]

    @property
    def passed(self) -> bool:
        """Is nothing worse by more than allowed?"""
        return not self.failed


@dataclass(frozen=True)
class _Metric:
    name: str
    unit: str
    of: Callable[[Sample], float | None]
    value: Callable[[Entry], Value]
    link: str = ""


def compare(
    a: Series, b: Series, accuracy_a: Accuracy, accuracy_b: Accuracy
) -> tuple[list[Pair], list[str]]:
    """Every figure that both sides have, and a sentence for what only one of them has."""
    pairs = [pair for x, y in _shared(a, b) for pair in _entries(a, b, x, y)]
    pairs += _accuracies(a, b, accuracy_a, accuracy_b)
    families: dict[tuple[str, str], list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: _ORDER.get(pair.metric, len(_ORDER))):
        families.setdefault((pair.metric, pair.link), []).append(pair)
    judged = []
    for family in families.values():
        changes = holm([pair.change for pair in family])
        judged += [_judged(pair, change) for pair, change in zip(family, changes, strict=True)]
    return judged, _differences(a, b)


def gate(pairs: list[Pair], limit_percent: float) -> Gate:
    """What is worse by more than `limit_percent`, and shown to be worse where there are samples."""
    failed = [
        pair
        for pair in pairs
        if pair.broken or (pair.verdict == "worse" and (pair.worse_percent or 0.0) > limit_percent)
    ]
    return Gate(limit_percent, tuple(failed), tuple(p for p in pairs if p.verdict == FEW))


def _shared(a: Series, b: Series) -> Iterator[tuple[Entry, Entry]]:
    for entry in a.entries:
        other = b.entry(entry.id)
        if other is not None:
            yield entry, other


def _differences(a: Series, b: Series) -> list[str]:
    lines = []
    for one, other, name in ((a, b, "B"), (b, a, "A")):
        absent = [e.label for e in one.entries if other.entry(e.id) is None]
        if absent:
            lines.append(f"Not in {name}: {', '.join(absent)}.")
        alone = [link.name for link in one.links if link not in other.links]
        if alone:
            lines.append(f"Links not in {name}: {', '.join(alone)}.")
        lines += [f"{sentence}." for sentence in one.run.damaged]
    for x, y in _shared(a, b):
        if x.models != y.models:
            lines.append(f"{x.label} runs other models in B: {', '.join(y.models)}.")
    if a.run.same_machine != b.run.same_machine:
        lines.append("Board and server shared one machine on one side only.")
    if a.run.config.server_backend != b.run.config.server_backend:
        lines.append(
            f"The servers' backends differ: {a.run.config.server_backend} and "
            f"{b.run.config.server_backend}."
        )
    return lines


def _entries(a: Series, b: Series, x: Entry, y: Entry) -> Iterator[Pair]:
    links = [link for link in a.links if link in b.links]
    for metric in _metrics(x, links):
        yield _sampled(metric, x, y)
    if x.split and not links:
        yield _without_link(x, y)
    for name, unit, of in (
        ("Energy", "J", costs.energy_j),
        ("Peak memory", "GB", costs.peak_memory_gb),
        ("Local GMAC", "GMAC", costs.local_gmac),
    ):
        found = _single(x.label, name, unit, of(x), of(y))
        if found.a.value is not None or found.b.value is not None:
            yield found


def _without_link(x: Entry, y: Entry) -> Pair:
    """What stands for the latency of a split configuration that no link lets compare."""
    measured = latency(x, NO_LINK).total, latency(y, NO_LINK).total
    absent = missing("A and B have no link in common, so their latency was not compared")
    pair = _pair(x.label, "End-to-end latency", "", "s", absent, absent, None)
    return replace(pair, broken=all(total.value is not None for total in measured))


def _metrics(entry: Entry, links: list[Link]) -> list[_Metric]:
    found = [
        _Metric(
            "End-to-end latency",
            "s",
            lambda sample, at=link: end_to_end_s(sample, at),  # type: ignore[misc]
            lambda e, at=link: latency(e, at).total,  # type: ignore[misc]
            link.name if links else "",
        )
        for link in (links if entry.split else links[:1] or [NO_LINK])
    ]
    found.append(_Metric("Local", "s", local_s, lambda e: latency(e, NO_LINK).local))
    if entry.split:
        found.append(_Metric("Server", "s", server_s, lambda e: latency(e, NO_LINK).server))
        found.append(_Metric("Data size", "KiB", _payload_kib, costs.payload_kib))
    return found


def _payload_kib(sample: Sample) -> float | None:
    return None if sample.payload_bytes is None else sample.payload_bytes / costs.KIB


def _sampled(metric: _Metric, x: Entry, y: Entry) -> Pair:
    sides = [_blocks(entry, metric.of) for entry in (x, y)]
    values = metric.value(x), metric.value(y)
    change = of_medians(*sides) if all(v.value is not None for v in values) else None
    return _pair(x.label, metric.name, metric.link, metric.unit, *values, change)


def _blocks(entry: Entry, of: Callable[[Sample], float | None]) -> list[list[float]]:
    found: dict[str, list[float]] = {}
    for sample in entry.samples:
        value = of(sample)
        if value is not None:
            found.setdefault(sample.block, []).append(value)
    return list(found.values())


def _single(config: str, name: str, unit: str, a: Value, b: Value, higher: bool = False) -> Pair:
    change = None
    if a.value is not None and b.value is not None:
        change = of_values(a.value, b.value, (_half(a), _half(b)))
    return _pair(config, name, "", unit, a, b, change, higher)


def _half(value: Value) -> float | None:
    return None if value.low is None or value.high is None else (value.high - value.low) / 2


def _pair(
    config: str, metric: str, link: str, unit: str, a: Value, b: Value, change: Change | None,
    higher: bool = False,
) -> Pair:  # fmt: skip
    broken = a.value is not None and b.value is None
    why = "" if change else f"A: {a.why}" if a.value is None else f"B: {b.why or 'nothing'}"
    return Pair(config, metric, link, unit, a, b, change, why, higher, broken)


def _judged(pair: Pair, change: Change | None) -> Pair:
    verdict = pair.verdict
    if change is not None:
        worse = (change.percent > 0) != pair.higher_is_better
        if change.percent == 0:
            verdict = "equal"
        elif change.shown is None:
            verdict = FEW if pair.metric in _SAMPLED else _CHANGED[worse]
        else:
            verdict = _CHANGED[worse] if change.shown else UNSURE
    return Pair(
        pair.config, pair.metric, pair.link, pair.unit, pair.a, pair.b, change, verdict,
        pair.higher_is_better, pair.broken,
    )  # fmt: skip


def _accuracies(a: Series, b: Series, left: Accuracy, right: Accuracy) -> list[Pair]:
    found = []
    for result in left.results:
        mine, theirs = _of_same(result, left), _of_same(result, right)
        other = _partner(result, mine, theirs)
        name = f"{MAIN_METRIC[result.task][1].split(' [')[0]}, {result.data_set}"
        if max(len(mine), len(theirs)) > 1:
            name += f", {result.backend}"
        value = other.main if other else missing("not evaluated in B")
        pair = _single(result.model, name, "%", result.main, value, higher=True)
        found.append(pair if other else _unbroken(pair))
    return found


def _of_same(result: Result, accuracy: Accuracy) -> list[Result]:
    """What was evaluated of the same model in the same way, on any backend."""
    key = result.model, result.task, result.data_set, result.preprocess
    return [r for r in accuracy.results if (r.model, r.task, r.data_set, r.preprocess) == key]


def _partner(result: Result, mine: list[Result], theirs: list[Result]) -> Result | None:
    """That of the same backend; of another where each side has one alone, as two boards have."""
    same = [other for other in theirs if other.backend == result.backend]
    if same:
        return same[0]
    return theirs[0] if len(mine) == len(theirs) == 1 else None


def _unbroken(pair: Pair) -> Pair:
    return Pair(
        pair.config, pair.metric, pair.link, pair.unit, pair.a, pair.b, None, pair.verdict, True
    )
