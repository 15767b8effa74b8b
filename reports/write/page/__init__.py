"""report.html: the whole report as one page that needs no other file."""
# board: no

import json
import re
from importlib import resources
from typing import Any

from splitwatt.device_configs.printable import printable
from splitwatt.reports.figures.style import LOOKS
from splitwatt.reports.tables.overview import SHORTFALLS
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.escape import html_text
from splitwatt.reports.write.headlines import OF_BOARD
from splitwatt.reports.write.page.data import explorer
from splitwatt.reports.write.page.tables import (
    headline,
    provenance_words,
    runs_section,
    section,
    systems_of_models,
)

_SCRIPTS = (
    "base.js",
    "tables.js",
    "bars.js",
    "rates.js",
    "waterfall.js",
    "trace.js",
    "tradeoff.js",
    "main.js",
)
_SHORT = 8


def to_html(report: Report, title: str) -> str:
    """The page. A policy in its head forbids every request."""
    systems = systems_of_models(report.series)
    colours = " ".join(f"--c{place}: {colour};" for place, (colour, _) in enumerate(LOOKS))
    body = [section(report, table, systems) for table in report.tables if table.rows]
    turning = [h for h in report.headlines if h.unit == OF_BOARD]
    data = json.dumps(_shown(explorer(report)), allow_nan=False, separators=(",", ":"))
    places = {
        "TITLE": html_text(title),
        # A light page has the colours of the printed figures; style.css has those of a dark one.
        "STYLE": f":root {{ {colours} }}\n{_read('style.css')}",
        "HEADLINES": _folding("Where the order turns", [headline(h) for h in turning])
        + _folding("Savings in words", [headline(h) for h in report.headlines if h not in turning]),
        "MISSING": _folding(SHORTFALLS, [f"<li>{html_text(line)}" for line in report.shortfalls]),
        "RUNS": runs_section(report.series),
        "SECTIONS": "\n".join(body),
        "SOURCES": provenance_words(),
        # No text of a record can end the element.
        "DATA": data.replace("<", "\\u003c"),
        "SCRIPT": "\n".join(_read(name) for name in _SCRIPTS),
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
