"""A comparison's files: Markdown, CSV, JSON, and a figure as PNG, PDF and SVG."""
# board: no

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from device_configs.files import write_atomic
from reports.compare import Pair
from reports.compare_table import change_value
from reports.figures.forest import Forest, forest
from reports.figures.style import paper_style, save
from reports.table import Table
from reports.values import Value


def write_comparison(
    folder: Path,
    table: Table,
    document: dict[str, Any],
    lines: list[str],
    draw: Callable[[], Figure | None],
    columns: int = 2,
) -> None:
    """Write NAME.md, .csv, .json of the table's name, and the figure that `draw` makes, where there
    is one, for papers of 1 or 2 columns.
    """
    name = table.name
    picture = []
    with paper_style(columns):
        figure = draw()
        if figure is not None:
            save(figure, folder, name)
    if figure is not None:
        picture = [f"![{table.title}]({name}.png)", ""]
    text = [f"# {table.title}", "", *(f"- {line}" for line in lines), "", *picture]
    write_atomic(str(folder / f"{name}.md"), "\n".join([*text, table.to_markdown()]))
    write_atomic(str(folder / f"{name}.csv"), table.to_csv())
    write_atomic(
        str(folder / f"{name}.json"), json.dumps(document, indent=1, allow_nan=False) + "\n"
    )


def change_figure(pairs: list[Pair], names: tuple[str, str]) -> Figure | None:
    """The changes of each metric with their intervals; None where nothing changed."""
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
    notes = [
        f"A: {names[0]}. B: {names[1]}. Orange squares: B is worse; blue dots: better; grey, "
        "hollow: no difference shown. Lines: 95 % intervals, where the records allow one."
    ]
    return forest(shown, "Change from A to B [%]", 0, notes)


def ratio_figure(table: Table) -> Figure | None:
    """Ours / the paper's, a panel for each quantity; None where no ratio is positive."""
    panels: dict[str, list[tuple[str, Value, bool | None]]] = {}
    named = {str(row["series"]) for row in table.rows if row["series"]}
    for row in table.rows:
        ratio = row["ratio"]
        if isinstance(ratio, Value) and ratio.value is not None and ratio.value > 0:
            label = str(row["config"])
            if len(named) > 1 and row["series"]:
                label += ", " + str(row["series"]).replace("board ", "").replace("backend ", "")
            panels.setdefault(_panel(str(row["quantity"])), []).append((label, ratio, None))
    if not panels:
        return None
    shown = [Forest(title, rows) for title, rows in panels.items()]
    notes = ["1: as the paper states. The paper's boards, servers and photographs are its own."]
    return forest(shown, "Ours / the paper's", 1, notes)


def _panel(quantity: str) -> str:
    """All savings share a panel: they are few."""
    return "Savings" if " saved" in quantity else quantity
