"""A comparison as a table, and the gate's result."""
# board: no

from typing import Any

from splitwatt.reports.compare.change import METHOD
from splitwatt.reports.compare.compare import NO_VERDICT, Pair
from splitwatt.reports.load.values import Value, missing, ordered
from splitwatt.reports.tables.table import Column, Row, Table, percent


def compare_table(pairs: list[Pair], names: tuple[str, str], notes: list[str]) -> Table:
    """A row for each figure that both sides have."""
    columns = [
        Column("metric", "Metric", number=False),
        Column("link", "Link", number=False, quiet=True),
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
        Column("p_corrected", "p"),
        Column("verdict", "B is", number=False),
    ]
    rows = [_row(pair) for pair in pairs]
    under = [
        f"A: {names[0]}. B: {names[1]}. Change: from A to B, in percent of A. In brackets: "
        f"{METHOD}. A row is worse or better where p is below 5 %. Accuracy is tested with the "
        "intervals that its file states; GMAC are counted, so that any printed change counts.",
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
        "metric": pair.metric,
        "link": pair.link,
        "config": pair.config,
        "a": pair.a,
        "b": pair.b,
        "unit": pair.unit,
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
    unjudged = [pair for pair in pairs if pair.verdict.startswith(NO_VERDICT)]
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
