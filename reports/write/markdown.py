"""report.md: the whole report; it needs only its figures."""

from pathlib import Path

from splitwatt.reports.load.model import Run, board_of, runs_of
from splitwatt.reports.load.values import SOURCES, unique
from splitwatt.reports.tables.overview import SHORTFALLS, facts_for_people, run_facts
from splitwatt.reports.tables.table import Table
from splitwatt.reports.write.document import Report, versions
from splitwatt.reports.write.escape import markdown_text


def to_markdown(report: Report) -> str:
    """The whole report as Markdown, which shows its figures."""
    runs = runs_of(report.series)
    lines = [f"# {markdown_text(title(report))}", ""]
    lines += _what_was_run(runs)
    lines += ["## Summary", ""]
    lines += [f"- {markdown_text(headline.text)}" for headline in report.headlines] + [""]
    summary = report.table("summary")
    lines += [*_figures(report, summary), table_markdown(summary)]
    lines += _missing(report)
    for table in report.tables:
        if not table.rows or table.name == "summary":
            continue
        lines += [f"## {table.title}", "", *_figures(report, table), table_markdown(table)]
    lines += _legend() + _limits(report)
    return "\n".join(lines).rstrip() + "\n"


def table_markdown(table: Table) -> str:
    """A Markdown table with its sources and notes below it."""
    columns = table.for_people()
    head = [markdown_text(column.heading, False) for column in columns]
    lines = [_line(head), "|" + "|".join("---:" if c.number else "---" for c in columns) + "|"]
    for row in table.rows:
        lines.append(_line([markdown_text(c.show(row[c.key]), False) for c in columns]))
    lines.append("")
    sources = table.sources()
    lines += [f"*Sources.* {markdown_text(sources)}", ""] if sources else []
    for note in table.notes:
        lines += [markdown_text(note), ""]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def title(report: Report) -> str:
    """What the report is called: the runs and boards."""
    runs = runs_of(report.series)
    names = unique(run.name for run in runs)
    boards = unique(board_of(run) for run in runs)
    return f"splitwatt report: {', '.join(names)} on {', '.join(boards)}"


def _what_was_run(runs: list[Run]) -> list[str]:
    lines = ["## What was run", ""]
    for run in runs:
        facts = run_facts(run)
        lines += ["| | |", "|---|---|"]
        lines += [
            f"| {key} | {markdown_text(str(value or '-'), False)} |"
            for key, value in facts_for_people(facts)
        ]
        lines.append("")
    return lines


def _missing(report: Report) -> list[str]:
    shortfalls = report.shortfalls
    if not shortfalls:
        return []
    return [
        f"## {SHORTFALLS}",
        "",
        *(f"- {markdown_text(sentence)}" for sentence in shortfalls),
        "",
    ]


def _figures(report: Report, table: Table) -> list[str]:
    lines = []
    for drawing in report.figures_of(table):
        name = markdown_text(drawing.title)
        under = markdown_text(drawing.under)
        lines += [f"![{name}]({drawing.files[0]})", "", f"*{name}.* {under}", ""]
        lines += [" ".join(f"[{Path(f).suffix[1:].upper()}]({f})" for f in drawing.files[1:]), ""]
    return lines


def _legend() -> list[str]:
    lines = ["## Where the numbers come from", "", "| word | means |", "|---|---|"]
    lines += [f"| {name} | {meaning} |" for name, meaning in SOURCES.items()]
    lines += [
        "",
        'A number made of several is named by all of them: `measured+simulated`. "-" was not '
        'measured; "never" and "always": there is no such value, because one of the two is ahead '
        "at every setting. The same tables as CSV, with a source for every number, and report.json are in "
        "this folder.",
        "",
    ]
    return lines


def _limits(report: Report) -> list[str]:
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    return [
        "## Limits",
        "",
        "- A simulated link adds the time that the bytes would take at its rate, and the latency, "
        "jitter and loss that its config states; what else a real link does is not in it.",
        "- Samples of one block follow each other on one warm machine; the intervals treat them as "
        "independent, cover the variety of the photographs, and do not cover differences between "
        "boards of a kind or between days.",
        "- GMAC are counted, not observed; they say nothing on memory traffic.",
        "",
        f"Made with {made}.",
    ]
