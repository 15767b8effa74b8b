"""The venues that figures and tables are made for: venues.csv, a row each."""

import csv
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources
from typing import Any

DEFAULT = "ieee"


@dataclass(frozen=True)
class Venue:
    """Widths of a column and of the text, and the text's height, in TeX points (1/72.27 inch).

    `font_pt`, `small_pt`, `tiny_pt`: letters of titles and axes, of ticks and legends, of numbers in
    a figure. `letters`: width of the text's letters, Times' is 1. `family`: the figures' font.
    `document`: the start of a LaTeX document in its layout: its class if TeX Live has it, else an
    article of its widths. `source`: the file that the widths were read from.
    """

    name: str
    title: str
    columns: int
    column_pt: float
    page_pt: float
    height_pt: float
    font_pt: float
    small_pt: float
    tiny_pt: float
    letters: float
    family: str
    document: str
    source: str

    @property
    def column_in(self) -> float:
        """The width of a column in inches."""
        return self.column_pt / 72.27

    @property
    def page_in(self) -> float:
        """The width of the page's text in inches."""
        return self.page_pt / 72.27


@lru_cache(maxsize=1)
def venues() -> dict[str, Venue]:
    """Every venue by its name."""
    file = resources.files("splitwatt.reports.papers").joinpath("venues.csv")
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Venue)}
    return {
        row["name"]: Venue(**{name: kind(row[name]) for name, kind in kinds.items()})
        for row in rows
    }
