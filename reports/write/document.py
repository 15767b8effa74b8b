"""report.json: every number of a report with its sources, and all that report.md says."""

import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from splitwatt.device_configs.version import __version__
from splitwatt.reports.figures.style import Drawing
from splitwatt.reports.load.accuracy import Accuracy
from splitwatt.reports.load.model import Series, runs_of
from splitwatt.reports.load.values import SOURCES
from splitwatt.reports.papers.published import statements
from splitwatt.reports.tables.overview import run_facts
from splitwatt.reports.tables.table import Table
from splitwatt.reports.write.headlines import Headline

FORMAT = 1
# The names of the figures of a table that has another name, or their first words.
_FIGURES = {
    "summary": {"agreement"},
    "costs": {"gmac"},
    "accuracy": {"rate", "three"},
    "frankensplit_wireless": {"wireless"},
}


@dataclass(frozen=True)
class Report:
    """A report before it is written: its series, tables and figures."""

    series: list[Series]
    accuracy: Accuracy
    tables: list[Table]
    figures: list[Drawing]
    headlines: list[Headline]
    shortfalls: list[str]

    def table(self, name: str) -> Table:
        """The table of that name; KeyError for another name."""
        return {table.name: table for table in self.tables}[name]

    def figures_of(self, table: Table) -> list[Drawing]:
        """The figures that are shown with a table: of its name, or with the first word of it."""
        names = _FIGURES.get(table.name, {table.name})
        return [f for f in self.figures if {f.name, f.name.split("_")[0]} & names]


def to_json(report: Report, files: list[str]) -> dict[str, Any]:
    """The report as one JSON document, without NaN; `files`: the names of all that it is written as."""
    return {
        "format": FORMAT,
        "made_with": versions(),
        "sources": SOURCES,
        "runs": [run_facts(run) for run in runs_of(report.series)],
        "headlines": [headline.text for headline in report.headlines],
        "missing": report.shortfalls,
        "tables": {table.name: table.to_json() for table in report.tables},
        "figures": [
            {key: getattr(d, key) for key in ("name", "title", "caption", "sources", "files")}
            for d in report.figures
        ],
        "published_statements": [vars(statement) for statement in statements()],
        "files": files,
    }


def versions() -> dict[str, str]:
    """What made the report."""
    packages = {name: metadata.version(name) for name in ("matplotlib", "numpy", "scipy")}
    return {"splitwatt": __version__, "python": platform.python_version(), **packages}
