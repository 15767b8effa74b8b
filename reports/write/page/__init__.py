"""report.html: the whole report as one page that needs no other file."""

import json
import re
from importlib import resources
from typing import Any

from splitwatt.device_configs.printable import printable
from splitwatt.reports.figures.style import LOOKS
from splitwatt.reports.load.model import Series, runs_of
from splitwatt.reports.load.values import SOURCES, Value
from splitwatt.reports.tables.overview import SHORTFALLS, facts_for_people, run_facts
from splitwatt.reports.tables.table import Cell, Column, Table, group_of_row
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.escape import html_text
from splitwatt.reports.write.headlines import OF_BOARD, Headline
from splitwatt.reports.write.page.data import explorer

_SCRIPTS = ("base", "tables", "bars", "rates", "waterfall", "trace", "tradeoff", "main")
_SHORT = 8


def to_html(report: Report, title: str) -> str:
    """The page. A policy in its head forbids every request."""
    systems = _systems_of_models(report.series)
    colours = " ".join(f"--c{place}: {colour};" for place, (colour, _) in enumerate(LOOKS))
    body = [_section(report, table, systems) for table in report.tables if table.rows]
    turning = [h for h in report.headlines if h.unit == OF_BOARD]
    data = json.dumps(_shown(explorer(report)), allow_nan=False, separators=(",", ":"))
    words = (f"<dt>{name}<dd>{html_text(meaning)}" for name, meaning in SOURCES.items())
    places = {
        "TITLE": html_text(title),
        # The light theme has the colours of the printed figures; style.css has those of the dark
        # one.
        "STYLE": f":root {{ {colours} }}\n{_read('style.css')}",
        "HEADLINES": _folding("Where the order turns", [_headline(h) for h in turning])
        + _folding(
            "Savings in words", [_headline(h) for h in report.headlines if h not in turning]
        ),
        "MISSING": _folding(SHORTFALLS, [f"<li>{html_text(line)}" for line in report.shortfalls]),
        "RUNS": "".join(_run(run_facts(run)) for run in runs_of(report.series)),
        "SECTIONS": "\n".join(body),
        "SOURCES": f"<dl>{''.join(words)}</dl>",
        # No text of a record can end the element.
        "DATA": data.replace("<", "\\u003c"),
        "SCRIPT": "\n".join(_read(f"{name}.js") for name in _SCRIPTS),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: places[place[1]], _read("page.html"))


def _shown(data: Any) -> Any:
    """The same data with harmless texts, which the page draws."""
    if isinstance(data, dict):
        return {key: _shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_shown(item) for item in data]
    return printable(data) if isinstance(data, str) else data


def _folding(title: str, items: list[str]) -> str:
    """A list that folds and is open if it is short; empty without items."""
    if not items:
        return ""
    opened = " open" if len(items) <= _SHORT else ""
    listed = "".join(items)
    return f"<details{opened}><summary>{title} ({len(items)})</summary><ul>{listed}</ul></details>"


def _read(name: str) -> str:
    return (
        resources.files("splitwatt.reports.write.page").joinpath(name).read_text(encoding="utf-8")
    )


def _section(report: Report, table: Table, systems: dict[str, str]) -> str:
    """One table as a part of the page that folds, with the captions of its printed figures; `systems`:
    the system of a model.
    """
    name = table.name
    opened = " open" if name == "summary" else ""
    notes = "".join(f"<p>{html_text(note)}</p>" for note in table.notes)
    figures = "".join(
        f"<p><b>Printed figure {drawing.name}.</b> {html_text(f'{drawing.title}. {drawing.under}')}"
        for drawing in report.figures_of(table)
    )
    sources = table.sources()
    from_where = f"<p><b>Sources.</b> {html_text(sources)}</p>" if sources else ""
    return (
        f'<details class=table id="table-{name}"{opened}><summary>{html_text(table.title)}</summary>'
        f"<div class=scroll>{_table(table, systems)}</div>"
        f"<div class=notes>{from_where}{notes}{figures}</div></details>"
    )


def _run(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{html_text(key)}<td>{html_text(value or '-')}"
        for key, value in facts_for_people(facts)
    )
    return f"<details><summary>Run {html_text(facts['name'])} on board {html_text(facts['board'])}</summary><table class=facts>{rows}</table></details>"


def _systems_of_models(series: list[Series]) -> dict[str, str]:
    """Each model that only one system runs -> that system."""
    users: dict[str, set[str]] = {}
    for entry in (entry for s in series for entry in s.entries):
        for model in entry.models:
            users.setdefault(model, set()).add(entry.group)
    return {model: groups.pop() for model, groups in users.items() if len(groups) == 1}


def _table(table: Table, systems: dict[str, str]) -> str:
    columns = table.for_people()
    head = "".join(
        f'<th scope=col data-key="{html_text(c.key)}"{" class=n" if c.number else ""}><button>'
        f"{html_text(c.heading)}</button>"
        for c in columns
    )
    rows = []
    for row in table.rows:
        system = group_of_row(row) or systems.get(str(row.get("model", "")), "")
        marked = f' data-system="{html_text(system)}"' if system else ""
        rows.append(f"<tr{marked}>" + "".join(_cell(c, row[c.key]) for c in columns))
    caption = f"<caption>{html_text(table.title)}, {len(rows)} rows</caption>"
    return (
        f'<table data-name="{table.name}">{caption}<thead><tr>{head}<tbody>{"".join(rows)}</table>'
    )


def _headline(line: Headline) -> str:
    """A sentence as an item of a list, with the provenance of its number."""
    unit = html_text(line.unit)
    return f'<li data-unit="{unit}" {_facts_of(line.value)}>{html_text(line.text)}'


def _cell(column: Column, cell: Cell) -> str:
    shown = html_text(column.show(cell))
    if isinstance(cell, str):
        return f"<td>{shown}"
    return f"<td class=n {_facts_of(cell)}>{shown}"


def _facts_of(value: Value) -> str:
    """A number's full value, interval, count and sources as attributes; or why it is missing."""
    if value.value is None:
        word = f' data-word="{value.word}"' if value.word else ""
        return f'data-why="{html_text(value.why or "not measured")}"{word}'
    facts = [f'data-v="{value.value!r}"', f'data-s="{value.source}"']
    if value.low is not None and value.high is not None:
        facts.append(f'data-low="{value.low!r}" data-high="{value.high!r}"')
    if value.n is not None:
        facts.append(f'data-n="{value.n}"')
    return " ".join(facts)
