"""A comparison as a table and as JSON, and the sentences of the gate."""
# board: no

from typing import Any

from splitwatt.reports.compare.change import METHOD
from splitwatt.reports.compare.compare import Gate, Pair
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


def change_value(pair: Pair) -> Value:
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
        "change_percent": change_value(pair),
        "p_corrected": Value(p, ("estimated",)) if p is not None else missing("no test"),
        "verdict": pair.verdict,
    }


def gate_sentences(gate: Gate) -> list[str]:
    """The gate's result, one sentence per line."""
    limit = f"{gate.limit_percent:g} %"
    lines = []
    for pair in gate.failed:
        where = f" at {pair.link}" if pair.link else ""
        if pair.broken:
            lines.append(f"{pair.config}: {pair.metric}{where} is gone: {pair.b.why}.")
            continue
        sure = ""
        if pair.change and pair.change.low is not None and pair.change.high is not None:
            sure = f" ({percent(pair.change.low)} to {percent(pair.change.high)})"
        lines.append(
            f"{pair.config}: {pair.metric}{where} is worse by "
            f"{percent(pair.worse_percent or 0.0)} %{sure}."
        )
    if gate.unjudged:
        wanted = [p.change.wanted for p in gate.unjudged if p.change and p.change.wanted]
        remedy = f": run at least {max(wanted)} blocks (repeats) on each side" if wanted else ""
        lines.append(f"{len(gate.unjudged)} rows got no verdict and were not judged{remedy}.")
    lines.append(
        f"Passed: nothing is worse by more than {limit}."
        if gate.passed
        else f"Failed: {len(gate.failed)} rows are worse by more than {limit}."
    )
    return lines


def to_json(
    table: Table, names: tuple[str, str], gate: Gate | None, gate_lines: list[str]
) -> dict[str, Any]:
    """One document: the table with its intervals, and the gate's result."""
    judged = gate and {
        "fail_over_percent": gate.limit_percent,
        "passed": gate.passed,
        "failed": [{"config": p.config, "metric": p.metric, "link": p.link} for p in gate.failed],
        "sentences": gate_lines,
    }
    return {"format": 1, "a": names[0], "b": names[1], "table": table.to_json(), "gate": judged}
