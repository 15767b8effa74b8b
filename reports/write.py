"""Runs become a folder: report.md, report.html, report.json, CSV and LaTeX tables, figures."""
# board: no

import json
from pathlib import Path

from device_configs.files import write_atomic
from reports.accuracy import read_accuracy
from reports.accuracy_table import accuracy_table
from reports.breakeven import breakeven_table
from reports.document import Report, to_json
from reports.draw import draw_all, drawings
from reports.energy_apart import server_energy_table, stage_energy_table
from reports.energy_table import energy_table
from reports.frankensplit import backbones_table, components_table, wireless_table
from reports.headlines import headlines
from reports.latex import latex_files
from reports.load import load_runs
from reports.markdown import title, to_markdown
from reports.model import series_of
from reports.overview import accuracy_shortfalls, shortfalls
from reports.page import to_html
from reports.paper_tables import configurations_table, devices_table, models_table
from reports.runtime_tables import (
    links_table,
    quantiles_table,
    starts_table,
    throughput_table,
)
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
    server_energy_table,
    stage_energy_table,
    data_size_table,
    memory_table,
    savings_table,
    savings_by_row,
    paper_table,
    breakeven_table,
    quantiles_table,
    throughput_table,
    starts_table,
    links_table,
    samples_table,
)
_FRANKENSPLIT = (backbones_table, components_table, wireless_table)


def make_report(
    paths: list[Path], folder: Path, columns: int = 2, accuracy_files: tuple[Path, ...] = ()
) -> Report:
    """Read the runs, write the report into `folder` (made where it is not there), and return it.

    Files that a report was written as before and this one does not have are removed.

    A run that cannot be read is left out, and the report says why, as long as another one can.

    Args:
        paths: run folders.
        folder: where to write.
        columns: of the paper that the figures are for, 1 or 2.
        accuracy_files: accuracy.json files besides those of the runs.

    Raises:
        RunError: no run can be read, or an accuracy file.
        SplitwattError: `folder` cannot be written.
    """
    loaded = load_runs(paths)
    series = series_of(loaded.runs)
    accuracy = read_accuracy(loaded.runs, accuracy_files)
    tables = [
        *(table(series) for table in _TABLES),
        accuracy_table(accuracy),
        devices_table(series),
        models_table(series, accuracy),
        configurations_table(series),
        *(table(series) for table in _FRANKENSPLIT),
    ]
    report = Report(
        series=series,
        accuracy=accuracy,
        tables=tables,
        figures=[(drawing, drawing.files) for drawing in drawings(series, accuracy)],
        headlines=headlines(series),
        shortfalls=[*loaded.left_out, *shortfalls(series), *accuracy_shortfalls(accuracy)],
    )
    texts = _texts(report)  # all of them before the first is written: no half report
    pictures = [file for _, files in report.figures for file in files]
    names = sorted(["report.json", *texts, *pictures])
    texts["report.json"] = json.dumps(to_json(report, names), indent=1, allow_nan=False) + "\n"
    before = _listed(folder)
    draw_all([drawing for drawing, _ in report.figures], folder, columns)
    for name, text in texts.items():
        write_atomic(str(folder / name), text)
    for name in sorted(before - set(names)):
        (folder / name).unlink()
    return report


def _listed(folder: Path) -> set[str]:
    """The files of the report that is in the folder, as its report.json lists them."""
    try:
        found = list(json.loads((folder / "report.json").read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or of an earlier version
        return set()
    inside = (name for name in found if isinstance(name, str) and ".." not in name.split("/"))
    return {name for name in inside if name[:1] != "/" and (folder / name).is_file()}


def _texts(report: Report) -> dict[str, str]:
    """Every file of the report but the figures and report.json, by its name."""
    return {
        **{f"{table.name}.csv": table.to_csv() for table in report.tables},
        "report.md": to_markdown(report),
        "report.html": to_html(report, title(report)),
        **latex_files(report, title(report)),
    }
