"""Texts from run folders are made harmless here, by one function for each format (LaTeX: tex.py)."""

import html
import re

from splitwatt.device_configs.printable import printable

# Spreadsheets take a cell that begins like this, after blanks, as a formula (owasp.org, CSV Injection).
_FORMULA = re.compile(r"\s*[=+\-@\t\r＝＋－＠]")
# What begins inline markup or HTML; a digit's full stop, a heading and a list only begin a line.
_INLINE = re.compile(r"[\\`*\[|~]|(?<![^\W_])_|_(?![^\W_])")
_LINE_START = re.compile(r"(?:[#+=:-](?=[\s#=:-]|$)|\d+[.)](?=\s|$))")
_URL = re.compile(r"(?<=\w)://|\bwww\.", re.IGNORECASE)


def csv_text(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula: an apostrophe comes before one."""
    text = printable(text)
    return f"'{text}" if _FORMULA.match(text) else text


def html_text(value: object) -> str:
    """A text inside an element or a quoted attribute."""
    return html.escape(printable(str(value)))


def markdown_text(text: str, starts_line: bool = True) -> str:
    """One line of Markdown that shows the text as it is: no markup, HTML or link comes from it.

    `starts_line`: whether it may begin a line, where `#` and `-` are markup; a table's cell never does.
    """
    line = " ".join(printable(text).split())
    line = _INLINE.sub(lambda match: "\\" + match.group(), line)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _URL.sub(lambda match: match.group().replace(":", "&#58;").replace(".", "&#46;"), line)
    if starts_line and _LINE_START.match(line):
        line = re.sub(r"[#+=:.)-]", lambda match: "\\" + match.group(), line, count=1)
    return line
