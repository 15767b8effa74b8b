"""Runs become a folder: report.md, report.html, report.json, CSV and LaTeX tables, figures."""

import contextlib
import json
import os
from pathlib import Path

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.files import inside, write_atomic
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.reports.figures.draw import draw_all, drawings
from splitwatt.reports.load.accuracy import read_accuracy
from splitwatt.reports.load.model import series_of
from splitwatt.reports.load.runs import load_runs
from splitwatt.reports.metrics.agreement import damage
from splitwatt.reports.papers.venues import DEFAULT, Venue, venues
from splitwatt.reports.tables.contents import all_tables
from splitwatt.reports.tables.overview import accuracy_shortfalls, shortfalls
from splitwatt.reports.write.csv_files import data_package, to_csv
from splitwatt.reports.write.document import Report, to_json
from splitwatt.reports.write.headlines import headlines
from splitwatt.reports.write.latex import latex_files
from splitwatt.reports.write.markdown import title, to_markdown
from splitwatt.reports.write.page import to_html

# Of the report.json of an earlier report.
_LISTED_BYTES = 64 << 20


def make_report(
    paths: list[Path], folder: Path, venue: str = DEFAULT, accuracy_files: tuple[Path, ...] = ()
) -> Report:
    """Read the runs, write the report into `folder`, which is created if needed, and return it.

    Files of an earlier report in the folder that this one does not write are removed. A run that
    cannot be read is left out, and the report says why; at least one must be readable.

    Args:
        paths: run folders.
        folder: where to write.
        venue: what figures and tables are made for, a name of `venues()`.
        accuracy_files: accuracy.json files besides those of the runs.

    Raises:
        RunError: no run can be read, or an accuracy file.
        SplitwattError: `folder` cannot be written.
    """
    runs, left_out = load_runs(paths)
    above = next(place for place in (folder, *folder.parents) if place.exists())
    if not above.is_dir():
        raise SplitwattError(
            f"{folder} could not be written: {above} is not a folder", "name another"
        )
    series = series_of(runs)
    accuracy = read_accuracy(runs, accuracy_files)
    report = Report(
        series=series,
        accuracy=accuracy,
        tables=all_tables(series, accuracy),
        figures=drawings(series, accuracy),
        headlines=headlines(series),
        shortfalls=[
            *left_out,
            *shortfalls(series),
            *accuracy_shortfalls(accuracy),
            *(sentence for run in runs for sentence in damage(run)),
        ],
    )
    paper = venues()[venue]
    texts = _texts(report, paper)  # all of them before the first is written: no half report
    pictures = [file for drawing in report.figures for file in drawing.files]
    names = sorted(["report.json", *texts, *pictures])
    texts["report.json"] = json.dumps(to_json(report, names), indent=1, allow_nan=False) + "\n"
    before = _listed(folder)
    draw_all(report.figures, folder, paper)
    for name, text in texts.items():
        write_atomic(str(folder / name), text)
    for name in sorted(before - set(names)):
        (folder / name).unlink()
    return report


def _listed(folder: Path) -> set[str]:
    """The files of the report that is in the folder, as its report.json lists them.

    The folder may be a stranger's: nothing outside it is listed, through a link either.
    """
    try:
        names = list(read_json(str(folder / "report.json"), _LISTED_BYTES)["files"])
    except (SplitwattError, KeyError, TypeError):  # none, or of an earlier version
        return set()
    listed = set()
    for name in names:
        with contextlib.suppress(SplitwattError, TypeError):
            if os.path.isfile(inside(str(folder), name)):
                listed.add(name)
    return listed


def _texts(report: Report, venue: Venue) -> dict[str, str]:
    """Name -> text of every file except the figures and report.json; tables without rows have no CSV."""
    filled = [table for table in report.tables if table.rows]
    return {
        **{f"{d.name}.caption.txt": f"{d.title}. {d.under}\n" for d in report.figures},
        **{f"{table.name}.csv": to_csv(table) for table in filled},
        "datapackage.json": data_package("splitwatt-report", title(report), filled),
        "report.md": to_markdown(report),
        "report.html": to_html(report, title(report)),
        **latex_files(report, title(report), venue),
    }
