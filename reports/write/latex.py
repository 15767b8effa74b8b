"""latex/: booktabs tables, macros, and a document that shows them with the figures."""
# board: no

import textwrap

from splitwatt.reports.figures.drawing import Drawing
from splitwatt.reports.tables.overview import SHORTFALLS
from splitwatt.reports.tables.table import Column, Table, group_of_row
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.macros import macros, to_tex
from splitwatt.reports.write.tex import cell, escape

FOLDER = "latex"
# A table with more rows may break between pages.
_PAGE_ROWS = 38
_HEADING_CHARACTERS = 13

_HEAD = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{textcomp}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage{graphicx}
\graphicspath{{../}}
\setlength{\tabcolsep}{3pt}
\setlength{\LTleft}{0pt}
\newsavebox{\tablebox}
% A table as it is, or as wide as the page where it is wider.
\newcommand{\fitted}[1]{\sbox{\tablebox}{\input{#1}}%
  \ifdim\wd\tablebox>\linewidth\resizebox{\linewidth}{!}{\usebox{\tablebox}}\else\usebox{\tablebox}\fi}
\input{macros}
"""


def latex_files(report: Report, title: str) -> dict[str, str]:
    """The LaTeX files by their names; three times `pdflatex report` in latex/ shows all of them
    (long tables find their widths in several passes).
    """
    shown = [table for table in report.tables if table.rows]
    files = {"macros.tex": to_tex(macros(report.series, report.table("summary")))}
    files.update({f"table_{table.name}.tex": to_booktabs(table) for table in shown})
    files["report.tex"] = _document(report, shown, title)
    return {f"{FOLDER}/{name}": text for name, text in files.items()}


def to_booktabs(table: Table) -> str:
    """A tabular with booktabs' rules, without a float; a longtable where it is long."""
    columns = table.for_people()
    spec = "".join("r" if column.number else "l" for column in columns)
    head = " & ".join(_heading(column) for column in columns) + r" \\"
    rows = [
        " & ".join(cell(column.show(row[column.key])) for column in columns) + r" \\"
        for row in table.rows
    ]
    lines = [f"% {escape(table.title)}. Sources: {escape(table.sources())}"]
    lines.append("% Columns: " + " ".join(column.key for column in columns))
    body = _with_rules(table, rows)
    if len(rows) > _PAGE_ROWS:
        lines += [rf"\begin{{longtable}}{{@{{}}{spec}@{{}}}}", r"\toprule", head, r"\midrule"]
        lines += [r"\endhead", r"\bottomrule", r"\endfoot", *body, r"\end{longtable}"]
    else:
        lines += [rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}", r"\toprule", head, r"\midrule"]
        lines += [*body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "%\n"


def _heading(column: Column) -> str:
    """A column's heading over as many lines as keep the column narrow."""
    lines = [escape(line) for line in textwrap.wrap(column.heading.strip(), _HEADING_CHARACTERS)]
    side = "r" if column.number else "l"
    # An empty group before a bracket: after a line break it would be taken for a length.
    return rf"\shortstack[{side}]{{" + r"\\{}".join(lines) + "}"


def _with_rules(table: Table, rows: list[str]) -> list[str]:
    """The rows, a little room between groups of configurations."""
    lines: list[str] = []
    previous = ""
    for row, text in zip(table.rows, rows, strict=True):
        group = group_of_row(row)
        if previous and group != previous:
            lines.append(r"\addlinespace")
        previous = group
        lines.append(text)
    return lines


def _document(report: Report, shown: list[Table], title: str) -> str:
    lines = [_HEAD, r"\begin{document}", rf"\section*{{{escape(title)}}}"]
    lines += [r"\begin{itemize}\setlength{\itemsep}{0pt}"] if report.headlines else []
    lines += [rf"\item {escape(headline.text)}" for headline in report.headlines]
    lines += [r"\end{itemize}"] if report.headlines else []
    if report.shortfalls:
        lines += [rf"\subsection*{{{SHORTFALLS}}}", r"\begin{itemize}"]
        lines += [rf"\item {escape(line)}" for line in report.shortfalls] + [r"\end{itemize}"]
    for drawing, _ in report.figures:
        lines += _figure(drawing)
    for table in shown:
        lines += _section(table)
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _figure(drawing: Drawing) -> list[str]:
    return [
        r"\clearpage\begin{center}",
        rf"\includegraphics[width=\linewidth,height=0.8\textheight,keepaspectratio]{{{drawing.name}.pdf}}",
        "",
        rf"\textbf{{{escape(drawing.title)}.}} {escape(drawing.caption)} Sources: {escape(drawing.sources)}.",
        r"\end{center}",
    ]


def _section(table: Table) -> list[str]:
    lines = [r"\clearpage", rf"\subsection*{{{escape(table.title)}}}"]
    if len(table.rows) > _PAGE_ROWS:
        lines.append(rf"{{\tiny\input{{table_{table.name}}}}}")
    else:
        lines.append(rf"{{\noindent\footnotesize\fitted{{table_{table.name}}}\par}}")
    sources = table.sources()
    under = ([f"Sources. {sources}"] if sources else []) + table.notes
    if under:
        lines.append(rf"{{\footnotesize {escape(' '.join(under))}\par}}")
    return lines
