"""Tables as LaTeX that fits a venue's text: booktabs rules, siunitx columns, parts where one is too wide.

Widths are measured with the letters of a Times-like font before TeX sees them.
"""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from matplotlib import font_manager

from splitwatt.reports.load.values import Value
from splitwatt.reports.papers.venues import Venue
from splitwatt.reports.tables.table import Cell, Column, Row, Table, group_of_row
from splitwatt.reports.write.tex import cell, escape, with_glyphs

# Sizes in pt: letters of a table and of its intervals, space between columns, height of a line.
_TEXT_PT, _SMALL_PT, _GAP_PT, _LINE_PT = 8.0, 7.0, 6.0, 9.5
_HEADING_CHARACTERS = 13
# siunitx sets numbers in the mathematical font, Computer Modern in most classes, which is wider.
_MATH = 1.1
# The most that a table may take of a page's height, and a column of text of its width.
_HEIGHT_PART, _TEXT_PART = 0.85, 0.22
_BEGIN = (
    rf"{{\fontsize{{{_TEXT_PT:g}}}{{{_LINE_PT:g}}}\selectfont"
    rf"\setlength{{\tabcolsep}}{{{_GAP_PT / 2:g}pt}}%"
)
_INTERVAL = rf"\fontsize{{{_SMALL_PT:g}}}{{{_SMALL_PT + 1:g}}}\selectfont "


@dataclass(frozen=True)
class _Fitted:
    """A column in print: its specification for a tabular, its width and its lines a row."""

    column: Column
    spec: str
    width_pt: float
    wraps_pt: float = math.inf
    symmetric: bool = False  # every interval is printed as ± next to its number

    def lines(self, row: Row, venue: Venue) -> int:
        """Lines that its cell takes in a row."""
        shown = row[self.column.key]
        if isinstance(shown, str):
            return max(1, math.ceil(1.15 * _width(shown, _TEXT_PT, venue) / self.wraps_pt))
        return 2 if self.second_line(shown) else 1

    def second_line(self, shown: Cell) -> str:
        """The line under a number: its interval, if it is not printed next to it."""
        return "" if self.symmetric else _interval(self.column, shown)


@dataclass(frozen=True)
class Part:
    """A tabular of a table: its LaTeX, and whether one column of the venue holds it."""

    text: str
    narrow: bool


def parts(table: Table, venue: Venue) -> list[Part]:
    """The table as one tabular, or as several where it is too wide or too long for a page.

    Too wide: the columns are divided, those that name the row are repeated. Too long: the rows are
    divided, between groups where that is possible. Nothing is made smaller than 7 pt.
    """
    shown = [
        column
        for column in table.for_people()
        if any(column.show(row[column.key]) != "-" for row in table.rows)
    ]
    blocks = _blocks([_fit(column, table, venue) for column in shown], venue)
    return [
        Part(_tabular(table, block, rows), _total(block) <= venue.column_pt)
        for rows in _pages(table, blocks, venue)
        for block in blocks
    ]


@lru_cache(maxsize=None)
def _width_at_1pt(text: str) -> float:
    path = font_manager.findfont(font_manager.FontProperties(family="STIXGeneral"))
    font: Any = font_manager.get_font(path)
    font.set_size(100, 72)  # each time: figures set other sizes of the same object
    font.set_text(text, 0.0)
    return float(font.get_width_height()[0]) / 64 / 100


def _width(text: str, size_pt: float, venue: Venue) -> float:
    """The width of a text in pt; a hyphen counts as a minus sign, which is the wider one."""
    shown = with_glyphs(text).replace("-", "\N{MINUS SIGN}")
    return _width_at_1pt(shown) * size_pt * venue.letters


def _fit(column: Column, table: Table, venue: Venue) -> _Fitted:
    heading = max(_width(line, _TEXT_PT, venue) for line in _heading_lines(column))
    cells = [row[column.key] for row in table.rows]
    if not column.number:
        widest = max(_width(str(shown), _TEXT_PT, venue) for shown in cells)
        most = max(heading, _TEXT_PART * venue.page_pt)
        if widest <= most:
            return _Fitted(column, "l", max(heading, widest))
        spec = rf"p{{{most:.1f}pt}}"
        return _Fitted(column, spec, most, wraps_pt=most)
    texts = [column.text(c.value) for c in cells if isinstance(c, Value) and c.value is not None]
    whole = max((len(text.lstrip("-").partition(".")[0]) for text in texts), default=1)
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    sign = "-" if any(text.startswith("-") for text in texts) else ""
    longest = sign + "0" * whole + ("." + "0" * decimals) * bool(decimals)
    digits = _MATH * _width(longest, _TEXT_PT, venue)
    words = {c.word for c in cells if isinstance(c, Value) and c.word}
    heading = max([heading, *(_width(word, _TEXT_PT, venue) for word in words)])
    halves = [_half_width(column, shown) for shown in cells if _interval(column, shown)]
    if halves and all(halves):
        half = max(halves, key=len)
        digits += _MATH * _width(f" ± {half}", _TEXT_PT, venue)
        uncertain = len(half.replace(".", "").lstrip("0"))
        spec = f"S[table-format={sign}{whole}.{decimals}({uncertain}),separate-uncertainty]"
        return _Fitted(column, spec, max(heading, digits), symmetric=True)
    small = max(_width(_interval(column, shown), _SMALL_PT, venue) for shown in cells)
    spec = f"S[table-format={sign}{whole}.{decimals}]"
    return _Fitted(column, spec, max(heading, digits, small))


def _blocks(fitted: list[_Fitted], venue: Venue) -> list[list[_Fitted]]:
    """The columns in as few tabulars as possible, each with the columns that name a row."""
    numbers = [i for i, one in enumerate(fitted) if one.column.number]
    naming = fitted[: numbers[0]] if numbers else fitted[:1]
    naming = [one for one in naming if one.wraps_pt == math.inf] or fitted[:1]
    if _total(fitted) <= venue.page_pt:
        return [fitted]
    blocks = [list(naming)]
    for one in fitted:
        if one in naming:
            continue
        if _total([*blocks[-1], one]) > venue.page_pt and len(blocks[-1]) > len(naming):
            blocks.append(list(naming))
        blocks[-1].append(one)
    return blocks


def _total(block: list[_Fitted]) -> float:
    return sum(one.width_pt for one in block) + _GAP_PT * (len(block) - 1)


def _pages(table: Table, blocks: list[list[_Fitted]], venue: Venue) -> Iterator[list[Row]]:
    """The rows of each part: as many groups as fit on a page."""
    most = _HEIGHT_PART * venue.height_pt / _LINE_PT - 6  # the heading and the rules
    fitted = [one for block in blocks for one in block]
    page: list[Row] = []
    used = 0.0
    for _, group in groupby(table.rows, group_of_row):
        rows = [(row, max(one.lines(row, venue) for one in fitted)) for row in group]
        whole = 0.5 + sum(lines for _, lines in rows)
        if page and used + whole > most:
            yield page
            page, used = [], 0.0
        for row, lines in rows:
            if page and used + lines > most:
                yield page
                page, used = [], 0.0
            page.append(row)
            used += lines
        used += 0.5
    if page:
        yield page


def _tabular(table: Table, block: list[_Fitted], rows: list[Row]) -> str:
    columns = [one.column for one in block]
    lines = [
        f"% {escape(table.title)}. Sources: {escape(table.sources())}",
        f"% {_total(block):.0f} pt wide. Columns: {' '.join(column.key for column in columns)}",
        _BEGIN,
        rf"\begin{{tabular}}{{@{{}}{''.join(one.spec for one in block)}@{{}}}}",
        r"\toprule",
        " & ".join(map(_heading, columns)) + r" \\",
        r"\midrule",
    ]
    previous = ""
    for row in rows:
        group = group_of_row(row)
        lines += [r"\addlinespace"] if previous and group != previous else []
        previous = group
        lines.append(" & ".join(_cell(one, row[one.column.key]) for one in block) + r" \\")
        intervals = [one.second_line(row[one.column.key]) for one in block]
        if any(intervals):
            small = (
                f"{{{_INTERVAL}{text.replace('-', '$-$')}}}" if text else "" for text in intervals
            )
            lines.append(" & ".join(small) + r" \\ % intervals")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}%"]) + "\n"


def _heading_lines(column: Column) -> list[str]:
    return textwrap.wrap(column.heading.strip(), _HEADING_CHARACTERS, break_long_words=False)


def _heading(column: Column) -> str:
    """A column's heading, broken into lines so that the column stays narrow."""
    side = "c" if column.number else "l"
    # An empty group before a bracket: after a line break it would be taken for a length.
    lines = r"\\{}".join(escape(line) for line in _heading_lines(column))
    return rf"{{\shortstack[{side}]{{{lines}}}}}"


def _cell(one: _Fitted, shown: Cell) -> str:
    if isinstance(shown, str):
        text = cell(one.column.show(shown))
        if one.wraps_pt == math.inf:
            return text
        return r"\raggedright\arraybackslash " + text
    if shown.value is None:
        return f"{{{cell(shown.shown_instead)}}}"
    half = _half_width(one.column, shown) if one.symmetric else ""
    return one.column.text(shown.value) + (f" +- {half}" if half else "")


def _half_width(column: Column, shown: Cell) -> str:
    """Half of an interval with the decimals of its number; empty if its two halves print differently."""
    ends = _ends(column, shown)
    if ends is None:
        return ""
    value, low, high = ends
    decimals = len(column.text(value).partition(".")[2])
    half = f"{high - value:.{decimals}f}"
    return half if half == f"{value - low:.{decimals}f}" and float(half) > 0 else ""


def _interval(column: Column, shown: Cell) -> str:
    """A number's interval as text; empty if it has none."""
    ends = _ends(column, shown)
    return f"{column.text(ends[1])} to {column.text(ends[2])}" if ends else ""


def _ends(column: Column, shown: Cell) -> tuple[float, float, float] | None:
    """A number and the two ends of its interval; None if it has none or the column shows none."""
    if isinstance(shown, str) or not column.interval or shown.value is None:
        return None
    if shown.low is None or shown.high is None:
        return None
    return shown.value, shown.low, shown.high
