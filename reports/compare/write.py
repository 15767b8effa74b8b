"""A comparison's files: Markdown, CSV with its Data Package, JSON, and a figure as PNG, PDF and SVG."""
# board: no

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from splitwatt.device_configs.files import write_atomic
from splitwatt.reports.compare.compare import Pair
from splitwatt.reports.compare.table import change_value
from splitwatt.reports.figures.forest import Forest, forest
from splitwatt.reports.figures.style import paper_style, save
from splitwatt.reports.load.accuracy import split_name
from splitwatt.reports.load.values import Value
from splitwatt.reports.papers.printed_names import printed_name
from splitwatt.reports.papers.venues import DEFAULT, venues
from splitwatt.reports.tables.table import Row, Table
from splitwatt.reports.write.csv_files import data_package, to_csv
from splitwatt.reports.write.escape import markdown_text
from splitwatt.reports.write.markdown import table_markdown
from splitwatt.reports.write.tex import escape

LOOKS = (
    "Red squares: B is worse; green dots: B is better; grey, hollow: no difference shown. Lines: "
    "95 % intervals, where the records allow one."
)
RATIOS = "1: as the paper states. The paper's boards, servers and photographs are its own."


def write_comparison(
    folder: Path,
    table: Table,
    document: dict[str, Any],
    lines: list[str],
    draw: Callable[[], Figure | None],
    caption: str,
    venue: str = DEFAULT,
) -> None:
    """Write TABLE.md, .csv and .json, the CSV's Data Package, and the figure of `draw`, if it returns
    one, for a venue.
    """
    name = table.name
    picture = []
    with paper_style(venues()[venue]):
        figure = draw()
        if figure is not None:
            save(figure, folder, name)
    if figure is not None:
        picture = [f"![{table.title}]({name}.png)", "", f"*{markdown_text(caption)}*", ""]
        write_atomic(str(folder / f"{name}.caption.txt"), f"{caption}\n")
        write_atomic(str(folder / f"{name}.caption.tex"), f"{escape(caption)}%\n")
    text = [
        f"# {markdown_text(table.title)}",
        "",
        *(f"- {markdown_text(line)}" for line in lines),
        "",
        *picture,
    ]
    write_atomic(str(folder / f"{name}.md"), "\n".join([*text, table_markdown(table)]))
    write_atomic(str(folder / f"{name}.csv"), to_csv(table))
    package = data_package(f"splitwatt-{name}", table.title, [table])
    write_atomic(str(folder / f"{name}.datapackage.json"), package)
    write_atomic(
        str(folder / f"{name}.json"), json.dumps(document, indent=1, allow_nan=False) + "\n"
    )


def change_figure(pairs: list[Pair]) -> Figure | None:
    """The changes of each metric with their intervals; None if nothing changed."""
    panels: dict[str, list[tuple[str, Value, bool | None]]] = {}
    for pair in pairs:
        if pair.change is None or pair.change.percent == 0:
            continue
        title = pair.metric + (f", {pair.link}" if pair.link else "")
        worse = {"worse": True, "better": False}.get(pair.verdict)
        panels.setdefault(title, []).append((pair.config, change_value(pair), worse))
    if not panels:
        return None
    shown = [Forest(title, rows) for title, rows in panels.items()]
    return forest(shown, "Change from A to B [%]", 0)


def ratio_figure(table: Table) -> Figure | None:
    """Ours / the paper's, a panel for each quantity; None if no ratio is positive."""
    panels: dict[str, list[tuple[Row, Value]]] = {}
    for row in table.rows:
        ratio, quantity = row["ratio"], str(row["quantity"])
        panel = "Savings" if " saved" in quantity else quantity  # they are few
        if isinstance(ratio, Value) and ratio.value is not None and ratio.value > 0:
            panels.setdefault(panel, []).append((row, ratio))
    if not panels:
        return None
    shown = [
        Forest(
            title,
            [(label, ratio, None) for label, (_, ratio) in zip(_labels(rows), rows, strict=True)],
        )
        for title, rows in panels.items()
    ]
    return forest(shown, "Ours / the paper's", 1)


def _labels(rows: list[tuple[Row, Value]]) -> list[str]:
    """The label of each row, with its series if a panel has several."""
    series = [str(row["series"]).replace("board ", "").replace("backend ", "") for row, _ in rows]
    several = len(set(series)) > 1
    return [
        _label(row) + (f", {name}" if several and name else "")
        for (row, _), name in zip(rows, series, strict=True)
    ]


def _label(row: Row) -> str:
    """A configuration's name, a model's printed name and rate, or the metric that is saved."""
    if " saved" in str(row["quantity"]):
        return str(row["quantity"]).replace(" saved", "").replace("End-to-end latency", "Latency")
    system, rate = split_name(str(row["config"]))
    return printed_name(system) + (f", {rate}" if rate else "")
