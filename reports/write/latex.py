"""latex/: tables and macros for a paper of a venue, and a document that shows them with the figures."""

from splitwatt.reports.papers.venues import Venue
from splitwatt.reports.tables.overview import SHORTFALLS
from splitwatt.reports.tables.table import Table
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.latex_tables import Part, parts
from splitwatt.reports.write.macros import macros, to_tex
from splitwatt.reports.write.tex import escape

FOLDER = "latex"
# Where LaTeX has the intervals that other formats have "in brackets".
_INTERVALS = "n small print or after ±"

_HEAD = r"""
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp,array,booktabs,siunitx,graphicx}
\graphicspath{{../}}
\sloppy\emergencystretch=3em
\input{macros}
\begin{document}
"""


def latex_files(report: Report, title: str, venue: Venue) -> dict[str, str]:
    """The LaTeX files by their names; `pdflatex report` in latex/ shows all of them.

    A table that one float cannot hold is written as a whole, and in parts, `table_NAME_1.tex`, ...
    """
    shown = {table.name: (table, parts(table, venue)) for table in report.tables if table.rows}
    files = {"macros.tex": to_tex(macros(report.series, report.table("summary")))}
    for name, (_, pieces) in shown.items():
        files[f"table_{name}.tex"] = "\\par\\medskip\n".join(part.text for part in pieces)
        if len(pieces) > 1:
            for i, part in enumerate(pieces, 1):
                files[f"table_{name}_{i}.tex"] = part.text
    files["report.tex"] = _document(report, list(shown.values()), title, venue)
    captions = {
        f"{d.name}.caption.tex": escape(f"{d.title}. {d.under}") + "%\n" for d in report.figures
    }
    return {**{f"{FOLDER}/{name}": text for name, text in files.items()}, **captions}


def _document(
    report: Report, shown: list[tuple[Table, list[Part]]], title: str, venue: Venue
) -> str:
    lines = [venue.document + _HEAD + rf"\title{{{escape(title)}}}\date{{}}\maketitle"]
    lines += _list([headline.text for headline in report.headlines])
    if report.shortfalls:
        lines += [rf"\subsection*{{{SHORTFALLS}}}", *_list(report.shortfalls)]
    for drawing in report.figures:
        picture = rf"\includegraphics{{{drawing.name}.pdf}}"
        lines += _float("figure*", picture, rf"\protect\input{{../{drawing.name}.caption}}")
    for table, pieces in shown:
        sources = table.sources()
        under = ([f"Sources. {sources}"] if sources else []) + table.notes
        lines.append(rf"\subsection*{{{escape(table.title)}}}{{\footnotesize ")
        lines.append(rf"{escape(' '.join(under).replace('n brackets', _INTERVALS))}\par}}")
        for i, part in enumerate(pieces, 1):
            name = f"table_{table.name}" + (f"_{i}" if len(pieces) > 1 else "")
            word = "table" if part.narrow else "table*"
            lines += _float(word, rf"\input{{{name}}}", escape(table.title))
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _list(texts: list[str]) -> list[str]:
    if not texts:
        return []
    items = [rf"\item {escape(text)}" for text in texts]
    return [r"\begin{itemize}", *items, r"\end{itemize}"]


def _float(word: str, content: str, caption: str) -> list[str]:
    lines = [content, rf"\caption{{{caption}}}"]
    if word.startswith("table"):  # its caption is above it
        lines = [lines[1], r"\smallskip", lines[0]]
    return [rf"\begin{{{word}}}[tp]\centering", *lines, rf"\end{{{word}}}\clearpage"]
