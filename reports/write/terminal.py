"""A report's main table on a terminal."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from splitwatt.device_configs.printable import one_line, printable
from splitwatt.reports.tables.table import Column, Row, Table, group_of_row

# A pipe, and a terminal that says 0 columns, has no width of its own.
_PIPE_COLUMNS = 200
# What a column takes beside its text.
_FRAME = 2


def show(
    table: Table,
    stream: TextIO,
    least: Sequence[str] = (),
    elsewhere: str = "in the report's files",
) -> None:
    """Print a table with its sources and notes; intervals only where there is room for them.

    Args:
        table: columns that wrap take several lines before another one is left out.
        stream: where to print.
        least: keys of columns to leave out first, the least important one first; then those at the end.
        elsewhere: where the reader finds columns that are left out.
    """
    console = Console(file=stream, highlight=False)
    if not console.width or (not console.is_terminal and "COLUMNS" not in os.environ):
        console = Console(file=stream, highlight=False, width=_PIPE_COLUMNS)
    columns, dropped = table.for_people(), []
    if _width(table, columns) > console.width:
        columns = [replace(column, interval=False) for column in columns]
    while (spare := console.width - _width(table, columns)) < 0 and len(columns) > 2:
        keys = [column.key for column in columns]
        dropped.append(next((key for key in least if key in keys), keys[-1]))
        columns = [column for column in columns if column.key != dropped[-1]]
    console.print(_draw(table, columns, max(0, spare)))
    left_out = ", ".join(column.heading for column in table.columns if column.key in dropped)
    lines = [f"No room for: {left_out} ({elsewhere})."] if dropped else []
    for line in [*lines, f"Sources: {table.sources()}", *table.notes]:
        console.print(Text(printable(line), style="dim"))


def _width(table: Table, columns: list[Column]) -> int:
    """The least width of the table: columns that wrap are as narrow as their longest word."""
    return sum(_widths(table, column)[0] + _FRAME for column in columns)


def _widths(table: Table, column: Column) -> tuple[int, int]:
    """The least and the natural width of a column; one without `wraps` has only one."""
    texts = [*_heading(column).split("\n"), *(_shown(column, row) for row in table.rows)]
    natural = max(map(cell_len, texts))
    words = [word for text in texts for word in text.split()]
    return max(map(cell_len, words), default=0) if column.wraps else natural, natural


def _heading(column: Column) -> str:
    return printable(
        column.title.replace(" at ", "\n") + (f"\n[{column.unit}]" if column.unit else "")
    )


def _shown(column: Column, row: Row) -> str:
    return one_line(column.show(row[column.key]))


def _draw(table: Table, columns: list[Column], spare: int) -> RichTable:
    """The table; of columns that wrap, the last one takes of the `spare` width first."""
    drawn = RichTable(
        box=box.SIMPLE_HEAD,
        title=Text(printable(table.title)),
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    wide = []
    for least, natural in reversed([_widths(table, column) for column in columns]):
        wide.append(min(natural, least + spare))
        spare -= wide[-1] - least
    for column, width in zip(columns, reversed(wide), strict=True):
        drawn.add_column(
            Text(_heading(column)), justify="right" if column.number else "left", overflow="fold",
            width=width,
        )  # fmt: skip
    previous = ""
    for row in table.rows:
        group = group_of_row(row)
        if previous and group != previous:
            drawn.add_section()
        previous = group
        drawn.add_row(*(Text(_shown(column, row)) for column in columns))
    return drawn
