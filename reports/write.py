"""Runs become a folder: report.md, CSV tables, figures, report.json."""
# board: no

import json
from pathlib import Path

from device_configs.files import write_atomic
from reports.document import Report, to_json
from reports.draw import draw_all
from reports.energy_table import energy_table
from reports.headlines import headlines
from reports.load import load_runs
from reports.markdown import to_markdown
from reports.model import series_of
from reports.savings_rows import savings_by_row
from reports.savings_tables import paper_table, savings_table
from reports.tables import (
    costs_table,
    data_size_table,
    latency_table,
    memory_table,
    samples_table,
    summary,
)

_TABLES = (
    summary,
    latency_table,
    costs_table,
    energy_table,
    data_size_table,
    memory_table,
    savings_table,
    savings_by_row,
    paper_table,
    samples_table,
)


def make_report(paths: list[Path], folder: Path) -> Report:
    """Read the runs, write the report into `folder` (made where it is not there), and return it.

    Raises:
        RunError: a run folder that cannot be read, or is of another format.
        SplitwattError: `folder` cannot be written.
    """
    series = series_of(load_runs(paths))
    tables = [table(series) for table in _TABLES]
    report = Report(series, tables, draw_all(series, folder), headlines(series))
    for table in tables:
        write_atomic(str(folder / f"{table.name}.csv"), table.to_csv())
    write_atomic(
        str(folder / "report.json"), json.dumps(to_json(report), indent=1, allow_nan=False) + "\n"
    )
    write_atomic(str(folder / "report.md"), to_markdown(report))
    return report
