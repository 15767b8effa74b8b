"""The tables and sentences of the page: plain HTML, every number with its provenance beside it."""
# board: no

from typing import Any

from splitwatt.reports.load.model import runs_of
from splitwatt.reports.load.values import SOURCES, Value
from splitwatt.reports.tables.overview import facts_for_people, run_facts
from splitwatt.reports.tables.table import Cell, Column, Table
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.escape import html_text
from splitwatt.reports.write.headlines import Headline

_OPEN = ("summary",)


def section(report: Report, name: str) -> str:
    """One table as a part of the page that folds, or "runs": what was run."""
    if name == "runs":
        return "".join(_run(run_facts(run)) for run in runs_of(report.series))
    table = report.table(name)
    opened = " open" if name in _OPEN else ""
    notes = "".join(f"<p>{html_text(note)}</p>" for note in table.notes)
    sources = table.sources()
    told = f"<p><b>Sources.</b> {html_text(sources)}</p>" if sources else ""
    return (
        f'<details class=table id="table-{name}"{opened}><summary>{html_text(table.title)} '
        f"<small>{len(table.rows)} rows</small></summary><div class=scroll>{_table(table)}</div>"
        f"<div class=notes>{told}{notes}</div></details>"
    )


def provenance_words() -> str:
    """What the sources' names mean, as a list."""
    items = (f"<dt>{name}<dd>{html_text(meaning)}" for name, meaning in SOURCES.items())
    return f"<dl>{''.join(items)}</dl>"


def _run(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{html_text(key)}<td>{html_text(value or '-')}"
        for key, value in facts_for_people(facts)
    )
    return f"<details><summary>Run {html_text(facts['name'])} on board {html_text(facts['board'])}</summary><table class=facts>{rows}</table></details>"


def _table(table: Table) -> str:
    columns = table.for_people()
    head = "".join(
        f'<th scope=col data-key="{html_text(c.key)}"{" class=n" if c.number else ""}><button>'
        f"{html_text(c.heading)}</button>"
        for c in columns
    )
    rows = "".join("<tr>" + "".join(_cell(c, row[c.key]) for c in columns) for row in table.rows)
    return f'<table data-name="{table.name}"><thead><tr>{head}<tbody>{rows}</table>'


def headline(told: Headline) -> str:
    """A sentence as an item of a list, with the provenance of its number."""
    unit = html_text(told.unit)
    return f'<li data-unit="{unit}" {_facts_of(told.value)}>{html_text(told.text)}'


def _cell(column: Column, cell: Cell) -> str:
    shown = html_text(column.show(cell))
    if isinstance(cell, str):
        return f"<td>{shown}"
    return f"<td class=n {_facts_of(cell)}>{shown}"


def _facts_of(value: Value) -> str:
    """A number's full value, interval, count and sources as attributes; or why there is none."""
    if value.value is None:
        return f'data-why="{html_text(value.why or "not measured")}"'
    facts = [f'data-v="{value.value!r}"', f'data-s="{value.source}"']
    if value.low is not None and value.high is not None:
        facts.append(f'data-low="{value.low!r}" data-high="{value.high!r}"')
    if value.n is not None:
        facts.append(f'data-n="{value.n}"')
    return " ".join(facts)
