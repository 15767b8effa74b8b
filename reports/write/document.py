"""report.json: every number of a report with its sources, and all that report.md says."""
# board: no

import math
import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from splitwatt.device_configs.version import __version__
from splitwatt.reports.figures.drawing import Drawing
from splitwatt.reports.load.accuracy import Accuracy
from splitwatt.reports.load.model import Series, runs_of
from splitwatt.reports.load.values import SOURCES
from splitwatt.reports.papers.published import statements
from splitwatt.reports.tables.overview import run_facts
from splitwatt.reports.tables.table import Table
from splitwatt.reports.write.headlines import Headline

FORMAT = 1


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
        """The figures that are shown with a table."""
        return [f for f in self.figures if {f.name, f.name.split("_")[0]} & set(table.figures)]


def to_json(report: Report, files: list[str]) -> dict[str, Any]:
    """The report as one JSON document, without NaN; `files`: the names of all that it is written as."""
    return {
        "format": FORMAT,
        "made_with": versions(),
        "sources": SOURCES,
        "runs": [_finite(run_facts(run)) for run in runs_of(report.series)],
        "headlines": [headline.text for headline in report.headlines],
        "missing": report.shortfalls,
        "tables": {table.name: table.to_json() for table in report.tables},
        "figures": [
            {
                "name": drawing.name,
                "title": drawing.title,
                "caption": drawing.caption,
                "sources": drawing.sources,
                "files": drawing.files,
            }
            for drawing in report.figures
        ],
        "published_statements": [vars(statement) for statement in statements()],
        "files": files,
    }


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON does not have: they become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """What made the report."""
    packages = {name: metadata.version(name) for name in ("matplotlib", "numpy", "scipy")}
    return {"splitwatt": __version__, "python": platform.python_version(), **packages}
