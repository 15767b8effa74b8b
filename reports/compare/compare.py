"""Compare two runs: what changed, by how much, with which certainty."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from splitwatt.reports.compare.change import METHOD, Change, of_blocks, of_intervals
from splitwatt.reports.load.accuracy import MAIN_METRIC, Accuracy, Result
from splitwatt.reports.load.model import NO_LINK, Entry, Series
from splitwatt.reports.load.values import Value, missing, ordered, unique
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.metrics.metric import Block, metrics
from splitwatt.reports.tables.table import Column, Row, Table, percent

_CHANGED = {True: "worse", False: "better"}
UNSURE = "no difference shown"
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Pair:
    """One figure of one configuration on both sides; `change` in percent of a.

    `verdict`: worse, better, equal, "no difference shown", "no verdict", or why there is nothing to
    compare. `broken`: b should have the figure but does not. `blocks`: what the
    test compares; None for a figure that is counted or has its own interval.
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
    blocks: tuple[Sequence[Block], Sequence[Block]] | None = None
    counted: bool = False

    @property
    def tested(self) -> bool:
        """Whether it is one of the rows that a comparison tests."""
        if self.change is None or self.counted:
            return False
        intervals = _half(self.a) is not None and _half(self.b) is not None
        return intervals if self.blocks is None else all(self.blocks)

    @property
    def worse_percent(self) -> float | None:
        """By how much b is worse than a, in percent of a; negative: better."""
        if self.change is None:
            return None
        return -self.change.percent if self.higher_is_better else self.change.percent


def compare(
    a: Series, b: Series, accuracy_a: Accuracy, accuracy_b: Accuracy
) -> tuple[list[Pair], list[str]]:
    """Every figure that both sides have, and a sentence for what only one of them has."""
    pairs = [pair for x, y in _shared(a, b) for pair in _entries(a, b, x, y)]
    pairs += _accuracies(a, b, accuracy_a, accuracy_b)
    places = [metric.title for metric in metrics([NO_LINK], "compare")]
    pairs.sort(key=lambda p: places.index(p.metric) if p.metric in places else len(places))
    rows = max(1, sum(pair.tested for pair in pairs))
    return [_judged(pair, rows) for pair in pairs], _differences(a, b)


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
    shared = [link for link in a.links if link in b.links]
    for metric in metrics(shared if x.split else shared[:1] or [NO_LINK], "compare"):
        link = metric.link.name if metric.link and shared else ""
        pair = _pair(x.label, metric.title, link, metric.unit, metric.of(x), metric.of(y))
        if metric.sample is None and metric.blocks is None:
            pair = replace(pair, counted=True)
        else:
            pair = replace(pair, blocks=(metric.blocks_of(x), metric.blocks_of(y)))
        known = pair.a.value is not None or pair.b.value is not None
        if known or metric.link or (x.split and metric.sample):
            yield pair
    if x.split and not shared:
        yield _without_link(x, y)


def _without_link(x: Entry, y: Entry) -> Pair:
    """The row of a split configuration without a shared link: its latency cannot be compared."""
    measured = latency(x, NO_LINK).total, latency(y, NO_LINK).total
    absent = missing("A and B have no link in common, so their latency was not compared")
    pair = _pair(x.label, "End-to-end latency", "", "s", absent, absent)
    return replace(pair, broken=all(total.value is not None for total in measured))


def _half(value: Value) -> float | None:
    return None if value.low is None or value.high is None else (value.high - value.low) / 2


def _pair(
    config: str, metric: str, link: str, unit: str, a: Value, b: Value, higher: bool = False
) -> Pair:
    """The two figures and their change, not yet tested."""
    broken = a.value is not None and b.value is None
    change = None
    if a.value and b.value is not None:
        change = Change(100 * (b.value / a.value - 1))
    why = (
        "" if change else f"A: {a.why or 'nothing'}" if not a.value else f"B: {b.why or 'nothing'}"
    )
    return Pair(config, metric, link, unit, a, b, change, why, higher, broken)


def _judged(pair: Pair, rows: int) -> Pair:
    """The pair with its verdict; `rows`: how many rows the comparison tests."""
    change = pair.change
    if change is None:
        return pair
    worse = (change.percent > 0) != pair.higher_is_better
    if pair.counted:  # exactly known: any change that is printed is one
        same = f"{pair.a.value:.3g}" == f"{pair.b.value:.3g}"
        return replace(pair, verdict="equal" if same else _CHANGED[worse])
    if pair.blocks is not None:
        change = of_blocks(change.percent, *pair.blocks, rows)
    else:
        sides = pair.a.value or 0.0, pair.b.value or 0.0
        change = of_intervals(*sides, (_half(pair.a), _half(pair.b)), rows) or change
    return replace(pair, change=change, verdict=_verdict(change, worse))


def _verdict(change: Change, worse: bool) -> str:
    if change.low == change.high == 0:
        return "equal"
    if change.shown is not None:
        return _CHANGED[worse] if change.shown else UNSURE
    return NO_VERDICT


def _why_none(change: Change) -> str:
    """Why a change has no verdict."""
    if change.wanted is None:
        return "A figure without an interval has no verdict."
    a, b = change.blocks
    return f"{a} and {b} blocks give no verdict; {change.wanted} on each side are enough."


def _accuracies(a: Series, b: Series, left: Accuracy, right: Accuracy) -> list[Pair]:
    pairs = []
    for result in left.results:
        mine, theirs = _of_same(result, left), _of_same(result, right)
        other = _partner(result, mine, theirs)
        name = f"{MAIN_METRIC[result.task][1].split(' [')[0]}, {result.data_set}"
        if max(len(mine), len(theirs)) > 1:
            name += f", {result.backend}"
        value = other.main if other else missing("not evaluated in B")
        pair = _pair(result.model, name, "", "%", result.main, value, higher=True)
        pairs.append(pair if other else replace(pair, broken=False))
    return pairs


def _of_same(result: Result, accuracy: Accuracy) -> list[Result]:
    """The results of the same model, evaluated in the same way, on any backend."""

    def way(r: Result) -> tuple[object, ...]:
        return r.model, r.task, r.data_set, r.preprocess, bool(r.metrics)

    return [other for other in accuracy.results if way(other) == way(result)]


def _partner(result: Result, mine: list[Result], theirs: list[Result]) -> Result | None:
    """The result of the same backend; of another one if each side has only one, as two boards may."""
    same = [other for other in theirs if other.backend == result.backend]
    if same:
        return same[0]
    return theirs[0] if len(mine) == len(theirs) == 1 else None


def compare_table(pairs: list[Pair], names: tuple[str, str], notes: list[str]) -> Table:
    """A row for each figure that both sides have."""
    columns = [
        Column("metric", "Metric", number=False),
        Column("link", "Link", number=False, quiet=True, wraps=True),
        Column("config", "Config.", number=False),
        Column("a", "A"),
        Column("b", "B"),
        Column("unit", "Unit", number=False),
        Column(
            "change_percent",
            "Change",
            "%",
            interval=True,
            text=lambda number: "+" * (number > 0) + percent(number),
        ),
        Column("p_corrected", "p", quiet=True),
        Column("verdict", "B is", number=False, wraps=True),
    ]
    rows = [_row(pair) for pair in pairs]
    without = unique(_why_none(p.change) for p in pairs if p.change and p.verdict == NO_VERDICT)
    under = [
        f"A: {names[0]}. B: {names[1]}. Change: from A to B, in percent of A. In brackets: "
        f"{METHOD}. A row is worse or better where p is below 5 %. Accuracy is tested with the "
        "intervals that its file states; GMAC are counted, so that any printed change counts.",
        *without,
        *notes,
    ]
    return Table("compare", "Comparison", columns, rows, under)


def _change(pair: Pair) -> Value:
    """The change as a value with its sources; missing with the reason."""
    if pair.change is None:
        return missing(pair.verdict or "one of the two was not measured")
    change = pair.change
    sources = ordered((*pair.a.sources, *pair.b.sources))
    return Value(change.percent, sources, change.low, change.high)


def _row(pair: Pair) -> Row:
    p = pair.change.p if pair.change else None
    return {
        **{key: getattr(pair, key) for key in ("metric", "link", "config", "a", "b", "unit")},
        "change_percent": _change(pair),
        "p_corrected": Value(p, ("estimated",)) if p is not None else missing("no test"),
        "verdict": pair.verdict,
    }


def gate(pairs: list[Pair], limit_percent: float) -> dict[str, Any]:
    """What `--fail-over` says, as JSON: is nothing worse by more than `limit_percent`, and shown to be
    worse where there are samples? `sentences`: the same for people, one sentence per line.
    """
    failed = [
        pair
        for pair in pairs
        if pair.broken or (pair.verdict == "worse" and (pair.worse_percent or 0.0) > limit_percent)
    ]
    unjudged = [pair for pair in pairs if pair.verdict == NO_VERDICT]
    lines = [_failure(pair) for pair in failed]
    if unjudged:
        wanted = [p.change.wanted for p in unjudged if p.change and p.change.wanted]
        remedy = f": run at least {max(wanted)} blocks (repeats) on each side" if wanted else ""
        lines.append(f"{len(unjudged)} rows got no verdict and were not judged{remedy}.")
    limit = f"worse by more than {limit_percent:g} %."
    lines.append(
        f"Failed: {len(failed)} rows are {limit}" if failed else f"Passed: nothing is {limit}"
    )
    return {
        "fail_over_percent": limit_percent,
        "passed": not failed,
        "failed": [{"config": p.config, "metric": p.metric, "link": p.link} for p in failed],
        "sentences": lines,
    }


def _failure(pair: Pair) -> str:
    what = f"{pair.config}: {pair.metric}" + (f" at {pair.link}" if pair.link else "")
    if pair.broken:
        return f"{what} is gone: {pair.b.why}."
    sure = ""
    if pair.change and pair.change.low is not None and pair.change.high is not None:
        sure = f" ({percent(pair.change.low)} to {percent(pair.change.high)})"
    return f"{what} is worse by {percent(pair.worse_percent or 0.0)} %{sure}."
