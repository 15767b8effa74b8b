"""A report's main table on a terminal."""

import os
from dataclasses import replace
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from splitwatt.device_configs.printable import one_line, printable
from splitwatt.reports.tables.table import Column, Table, group_of_row

# A pipe, and a terminal that says 0 columns, has no width of its own.
_PIPE_COLUMNS = 200
_UNBOUND = 10_000


def show(table: Table, stream: TextIO) -> None:
    """Print a table with its sources and notes; intervals only where there is room for them."""
    console = Console(file=stream, highlight=False)
    if not console.width or (not console.is_terminal and "COLUMNS" not in os.environ):
        console = Console(file=stream, highlight=False, width=_PIPE_COLUMNS)
    columns, dropped = table.for_people(), []
    drawn = _draw(table, columns)
    if _width(drawn, console) > console.width:
        columns = [replace(column, interval=False) for column in columns]
        drawn = _draw(table, columns)
    # Columns are in the order of their importance; the first names the row.
    while _width(drawn, console) > console.width and len(columns) > 2:
        dropped.append(columns.pop())
        drawn = _draw(table, columns)
    console.print(drawn)
    left_out = ", ".join(column.heading for column in reversed(dropped))
    lines = [f"No room for: {left_out} (in the report's files)."] if dropped else []
    for line in [*lines, f"Sources: {table.sources()}", *table.notes]:
        console.print(Text(printable(line), style="dim"))


def _width(drawn: RichTable, console: Console) -> int:
    wide = console.options.update(width=_UNBOUND, max_width=_UNBOUND)
    return console.measure(drawn, options=wide).maximum


def _draw(table: Table, columns: list[Column]) -> RichTable:
    drawn = RichTable(
        box=box.SIMPLE_HEAD,
        title=Text(printable(table.title)),
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        heading = column.title.replace(" at ", "\n") + (f"\n[{column.unit}]" if column.unit else "")
        drawn.add_column(
            Text(printable(heading)), justify="right" if column.number else "left", overflow="fold"
        )
    previous = ""
    for row in table.rows:
        group = group_of_row(row)
        if previous and group != previous:
            drawn.add_section()
        previous = group
        drawn.add_row(*(Text(one_line(column.show(row[column.key]))) for column in columns))
    return drawn
