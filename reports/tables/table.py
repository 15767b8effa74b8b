"""A table of a report, before it becomes Markdown, CSV or lines on a terminal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from splitwatt.profiler.analyse.rates import group_of
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, by_source

Cell = Value | str
Row = dict[str, Cell]


def group_of_row(row: Row) -> str:
    """The letters of a row's configuration, as `SC`: its group."""
    return group_of(str(row.get("config", "")))


def significant(number: float) -> str:
    """A number with three significant digits and no exponent: 0.00123, 12.3, 4567."""
    if number == 0:
        return "0"
    exponent = int(f"{abs(number):.2e}".split("e")[1])
    return f"{number:.{max(0, 2 - exponent)}f}"


def whole(number: float) -> str:
    """A whole number: 4567."""
    return f"{number:.0f}"


def percent(number: float) -> str:
    """A percentage with one decimal: 93.6; one that rounds to zero has no sign."""
    return f"{round(number, 1) + 0.0:.1f}"


@dataclass(frozen=True)
class Column:
    """One column: `key` in CSV and JSON (a number's key ends in its unit), `title` for people."""

    key: str
    title: str
    unit: str = ""
    number: bool = True
    interval: bool = False
    quiet: bool = False  # readers do not see it if all rows are equal
    wraps: bool = False  # on a narrow terminal its text may take several lines
    text: Callable[[float], str] = significant

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    def show(self, cell: Cell) -> str:
        """A cell as people read it: `1.23 (1.20 to 1.30)`, "-" for what was not measured, "never"
        or "always" for a value that does not exist.
        """
        if isinstance(cell, str):
            return cell or "-"
        if cell.value is None:
            return cell.shown_instead
        shown = self.text(cell.value)
        if self.interval and cell.low is not None and cell.high is not None:
            shown += f" ({self.text(cell.low)} to {self.text(cell.high)})"
        return shown


@dataclass
class Table:
    """A table: `name` is its CSV file's, `notes` go under it, `label` is a row's naming key."""

    name: str
    title: str
    columns: list[Column]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    label: str = "config"

    def for_people(self) -> list[Column]:
        """The columns for readers: without quiet ones in which all rows are equal."""
        return [
            column
            for column in self.columns
            if not (column.quiet and len({column.show(row[column.key]) for row in self.rows}) <= 1)
        ]

    def to_json(self) -> dict[str, Any]:
        """The table as JSON: columns, rows of values with their sources, notes."""
        return {
            "title": self.title,
            "columns": [{"key": c.key, "title": c.title, "unit": c.unit} for c in self.columns],
            "rows": [
                {k: v if isinstance(v, str) else v.to_json() for k, v in row.items()}
                for row in self.rows
            ],
            "notes": self.notes,
        }

    def sources(self) -> str:
        """One sentence that says where each column's numbers come from."""
        titles: dict[str, list[str]] = {}
        for column in self.for_people():
            sources = by_source(self._sourced(column))
            if sources:
                titles.setdefault(sources, []).append(column.title)
        parts = [f"{', '.join(columns)}: {sources}" for sources, columns in titles.items()]
        return "; ".join(parts) + "." if parts else ""

    def _sourced(self, column: Column) -> list[tuple[str, str]]:
        """The rows' labels and the sources of their numbers in this column."""
        cells = [(str(row[self.label]), row[column.key]) for row in self.rows]
        return [(label, cell.source) for label, cell in cells if isinstance(cell, Value)]


SERIES = [
    Column("run", "Run", number=False, quiet=True),
    Column("board", "Board", number=False, quiet=True),
    Column("backend", "Backend", number=False, quiet=True),
]
CONFIG = Column("config", "Config.", number=False)


def of_series(s: Series) -> Row:
    """The cells of SERIES."""
    return {"run": s.run.name, "board": s.board, "backend": s.backend}


def of_entry(s: Series, entry: Entry) -> Row:
    """The cells of SERIES and CONFIG."""
    return {**of_series(s), "config": entry.marked}


def entry_rows(series: list[Series], more: Callable[[Series, Entry], Row | None]) -> list[Row]:
    """A row for each configuration of each series: SERIES, CONFIG and `more`; left out where that is None."""
    pairs = [(s, entry, more(s, entry)) for s in series for entry in s.entries]
    return [{**of_entry(s, entry), **cells} for s, entry, cells in pairs if cells is not None]
