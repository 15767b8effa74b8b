"""Savings of the end-to-end latency row by row: every Ladon row against every LC and SC row."""
# board: no

from splitwatt.reports.load.model import Entry, Link, Series, file_name
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.load.words import unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.metrics.savings import saved
from splitwatt.reports.papers.published import stated
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import Cell, Column, Row, Table, percent
from splitwatt.reports.tables.which import SERIES, of_series


def savings_by_row(series: list[Series]) -> Table:
    """A row for each baseline row and link, a column for each Ladon row, the paper's beside."""
    ours = unique(e.id for s in series for e in s.entries if not e.baseline)
    marked = {e.id: e.marked for s in series for e in s.entries}
    columns = [
        *SERIES,
        Column("link", "Link", number=False),
        Column("against", "Against", number=False),
        *(Column(_key(id), marked[id], "%", text=percent) for id in ours),
        Column("published_percent", "Paper up to", "%", text=percent),
    ]
    rows = [
        _row(s, link, baseline, ours)
        for s in series
        for link in s.links
        for baseline in s.entries
        if ours and baseline.baseline
    ]
    under = [
        "What the column's configuration saves of the row's end-to-end latency: 1 - ours / theirs, "
        "of medians, in percent; negative: it costs more. Paper: the largest saving that its text "
        f"states for the row's group and link. Intervals ({stats.LEVEL:.0%}) of the largest "
        "savings are in the table before.",
        *notes.why_they_differ(series),
        *notes.published_payload(series),
        *notes.assumed(series),
        *notes.untrained(series),
    ]
    return Table(
        "savings_by_row", "End-to-end savings, row by row", columns, rows, under, "against"
    )


def _key(id: str) -> str:
    return f"{file_name(id)}_percent"


def _row(s: Series, link: Link, baseline: Entry, ours: list[str]) -> Row:
    row: dict[str, Cell] = {
        **of_series(s),
        "link": link.name,
        "against": baseline.marked,
    }
    theirs = latency(baseline, link).total
    for id in ours:
        row[_key(id)] = _saved(s.entry(id), theirs, link)
    percents = [found.percent for found in stated("end_to_end", baseline.group, link.rate_kbit_s)]
    row["published_percent"] = exact(
        max(percents, default=None), "published", why="the paper's text states none"
    )
    return row


def _saved(entry: Entry | None, theirs: Value, link: Link) -> Value:
    if entry is None:
        return missing("not in this run")
    return saved(latency(entry, link).total, theirs)
