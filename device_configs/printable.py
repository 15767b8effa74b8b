"""Text for a terminal: without control characters, with tables that fit and lines broken between words."""

import re
import shutil
import sys
import textwrap
import unicodedata
from typing import List, Optional, Sequence

# Controls such as ESC, invisible and bidirectional marks, surrogates, and line separators.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""The text with an escape, such as `\x1b` or `\u202e`, for each character that acts on a terminal.

    Line feeds and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c) in _ACTING and c not in "\n\t" else c
        for c in text
    )


# The space within `LC 1` and `95 %`.
_ONE_WORD = re.compile(r"(?<=[A-Za-z]) (?=\d+\b(?!\.\d))|(?<=\d) (?=%)")
_UNBREAKABLE = "\u00a0"

# A pipe has no width: nothing is left out or broken.
_LEAST = 20


def width() -> Optional[int]:
    """Columns of the terminal, or COLUMNS if that is set; None if the output is not a terminal."""
    return max(_LEAST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def one_line(text: str) -> str:
    """Like `printable`, and also with line feeds and tabs as escapes, for a name within a line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def say(text: str = "") -> None:
    """Print lines on standard output, broken between words where the terminal is too narrow.

    All commands print their texts for people with it, so that a name from a file or a peer cannot act
    on the terminal.
    """
    print(printable(wrapped(text)), flush=True)


def wrapped(text: str) -> str:
    """Text with its lines broken between words; `LC 1`, `95 %` and words such as paths stay whole."""
    columns = width()
    if columns is None:
        return text
    lines: List[str] = []
    for line in text.split("\n"):
        if len(line) <= columns:
            lines.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        pieces = textwrap.wrap(
            _ONE_WORD.sub(_UNBREAKABLE, line), columns, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        lines += [piece.replace(_UNBREAKABLE, " ") for piece in pieces]
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]], drop: Sequence[str] = ()) -> str:
    """Rows of cells as a table: the first two columns left-aligned, the others right-aligned.

    Args:
        rows: the first one is the header.
        drop: headers of columns to leave out if the terminal is too narrow, the least important
            first; a line below the table names them.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    columns = width()
    kept, dropped = list(range(len(rows[0]))), []
    for header in drop:
        if columns is None or _width(rows, kept) <= columns:
            break
        if header in rows[0]:
            kept.remove(list(rows[0]).index(header))
            dropped.append(header)
    lines = _aligned([[row[i] for i in kept] for row in rows])
    if dropped:
        lines.append(wrapped("no room for: %s (a wider terminal, or --json)" % ", ".join(dropped)))
    return "\n".join(lines)


def _width(rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    return sum(max(len(row[i]) for row in rows) for i in kept) + 2 * (len(kept) - 1)


def _aligned(rows: Sequence[Sequence[str]]) -> List[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(wide) if i < 2 else cell.rjust(wide)
            for i, (cell, wide) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
