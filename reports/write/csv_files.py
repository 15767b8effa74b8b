"""Tables as CSV files, and the Data Package that says what each of their columns is.

Source: RFC 4180; specs.frictionlessdata.io, Tabular Data Package 1, which libraries of many languages
read.
"""

import csv
import io
import json
from typing import Any

from splitwatt.reports.load.values import SOURCES
from splitwatt.reports.tables.table import Cell, Column, Table
from splitwatt.reports.write.escape import csv_text

_ONE_SOURCE = "(" + "|".join(SOURCES) + ")"
_SOURCES = f"^{_ONE_SOURCE}(\\+{_ONE_SOURCE})*$"

Field = dict[str, Any]


def to_csv(table: Table) -> str:
    """RFC 4180 text. A number's neighbour says its source, empty where it is missing."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field["name"] for column in table.columns for field in _fields(column))
    for row in table.rows:
        writer.writerow(text for c in table.columns for text in _cells(c, row[c.key]))
    return stream.getvalue()


def data_package(name: str, title: str, tables: list[Table]) -> str:
    """The descriptor of the tables' CSV files, which are in the same folder, as JSON text.

    Args:
        name: of the package, in small letters, digits and hyphens.
        title: of the package, for people.
        tables: each is a resource, under its own name.
    """
    meanings = "; ".join(f"{source}: {meaning}" for source, meaning in SOURCES.items())
    document = {
        "profile": "tabular-data-package",
        "name": name,
        "title": title,
        "description": f"The column after a number has its sources. {meanings}.",
        "resources": [_resource(table) for table in tables],
    }
    return json.dumps(document, indent=1) + "\n"


def _resource(table: Table) -> dict[str, Any]:
    return {
        "profile": "tabular-data-resource",
        "name": table.name,
        "path": f"{table.name}.csv",
        "title": table.title,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {
            "fields": [field for column in table.columns for field in _fields(column)],
            "missingValues": [""],
        },
    }


def _fields(column: Column) -> list[Field]:
    """What the file has of a column: a number's interval, where it has one, and its source too."""
    if not column.number:
        return [{"name": column.key, "type": "string", "title": column.title}]
    ends = [("low", "lower"), ("high", "upper")] if column.interval else []
    source = {
        "name": f"{column.key}_source",
        "type": "string",
        "title": f"{column.title}: source",
        "description": f"where {column.key} comes from; empty where it has no number",
        "constraints": {"pattern": _SOURCES},
    }
    return [
        _number(column.key, column.title, column.unit),
        *(_number(f"{column.key}_{end}", f"{column.title}: {side} end of its interval", column.unit)
          for end, side in ends),
        source,
    ]  # fmt: skip


def _number(name: str, title: str, unit: str) -> Field:
    field = {"name": name, "type": "number", "title": title, "description": "empty: not measured"}
    return {**field, "unit": unit} if unit else field


def _cells(column: Column, cell: Cell) -> list[str]:
    if isinstance(cell, str):
        return [csv_text(cell)]
    numbers = [cell.value, cell.low, cell.high] if column.interval else [cell.value]
    return [*("" if number is None else repr(number) for number in numbers), cell.source]
