"""What each configuration under test saves against the baselines: as tables, beside the paper's words."""

from dataclasses import dataclass

from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series, file_name, links_of_all
from splitwatt.reports.load.values import Value, exact, missing, ordered, unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.metrics.metric import Metric, metrics
from splitwatt.reports.papers.published import Statement, same_rate, stated, statements
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import SERIES, Column, Row, Table, of_series, percent

_WHAT = [Column("metric", "Metric", number=False), Column("link", "Link", number=False)]


@dataclass(frozen=True)
class Saving:
    """What `entry` saves against the heaviest and the lightest row of a baseline, in percent."""

    series: Series
    entry: Entry
    metric: Metric
    baseline: str
    heaviest: Entry | None
    most: Value
    lightest: Entry | None
    least: Value

    @property
    def papers(self) -> bool:
        """Are the rows the paper's?"""
        return self.entry.papers and (self.heaviest is None or self.heaviest.papers)

    @property
    def published(self) -> list[Statement]:
        """What the paper states about it; nothing if one of the two rows is not the paper's."""
        return stated(self.metric.stated, self.baseline, self.rate_kbit_s) if self.papers else []

    @property
    def link_name(self) -> str:
        """The link's name; empty where the metric has none."""
        return self.metric.link.name if self.metric.link else ""

    @property
    def rate_kbit_s(self) -> float | None:
        """The link's rate; None where there is no simulated link."""
        link = self.metric.link
        return None if link in (None, NO_LINK) else link.rate_kbit_s


def savings(series: Series) -> list[Saving]:
    """Every saving of a series, by metric, then by configuration."""
    ours = [e for e in series.entries if e.under_test]
    return [
        _saving(series, entry, metric, baseline)
        for metric in saved_metrics(series)
        for entry in ours
        for baseline in metric.baselines
    ]


def saved_metrics(series: Series) -> list[Metric]:
    """The metrics with savings: the latency on each link, then the costs."""
    return [metric for metric in metrics(series.links) if metric.word]


def _saving(series: Series, entry: Entry, metric: Metric, baseline: str) -> Saving:
    own = metric.value(entry)
    rows = [(row, metric.value(row)) for row in series.entries if row.baseline == baseline]
    known = [(row, value) for row, value in rows if value.value is not None]
    if own.value is None or not known:
        why = rows[0][1].why if rows else f"the run has no {baseline} row"
        absent = missing((own.why if own.value is None else why) or "not measured")
        return Saving(series, entry, metric, baseline, None, absent, None, absent)
    heaviest = max(known, key=lambda item: item[1].value or 0.0)
    lightest = min(known, key=lambda item: item[1].value or 0.0)
    return Saving(
        series, entry, metric, baseline,
        heaviest[0], _percent(entry, heaviest[0], metric), lightest[0], _percent(entry, lightest[0], metric),
    )  # fmt: skip


def _percent(ours: Entry, theirs: Entry, metric: Metric) -> Value:
    """What one entry saves of another, in percent; with an interval where there are samples."""
    a, b = metric.value(ours), metric.value(theirs)
    samples = metric.samples(ours), metric.samples(theirs)
    if a.value is None or b.value is None or not all(map(len, samples)):
        return _saved_of(a, b)
    return stats.saving(*samples, *ordered((*a.sources, *b.sources)))


def _saved_of(ours: Value, theirs: Value) -> Value:
    """What `ours` saves of `theirs`, in percent and without an interval."""
    if ours.value is None or not theirs.value:
        return missing(ours.why or theirs.why or "nothing to compare with")
    sources = ordered((*ours.sources, *theirs.sources))
    return exact(100 * (1 - ours.value / theirs.value), *sources)


def best(candidates: list[Saving]) -> Saving | None:
    """The largest saving, as in "up to"; None if no saving was measured."""
    measured = [s for s in candidates if s.most.value is not None]
    return max(measured, key=lambda s: s.most.value or 0.0, default=None)


def savings_table(series: list[Series]) -> Table:
    """Each Ladon row against the heaviest LC row, and against the heaviest and lightest SC row."""
    columns = [
        *SERIES,
        *_WHAT,
        Column("config", "Config.", number=False),
        Column("lc_percent", "Saved against heaviest LC", "%", interval=True, text=percent),
        Column("lc_row", "LC row", number=False),
        Column("sc_percent", "Saved against SC at most", "%", interval=True, text=percent),
        Column("sc_row", "SC row", number=False),
        Column("sc_least_percent", "Saved against SC at least", "%", interval=True, text=percent),
        Column("sc_least_row", "SC row ", number=False),
        Column("lc_published_percent", "Paper against LC up to", "%", text=percent),
        Column("sc_published_percent", "Paper against SC up to", "%", text=percent),
    ]
    rows = []
    for s in series:
        all_savings = savings(s)
        for saving in all_savings:
            if saving.baseline != "SC":
                continue
            lc = next((o for o in all_savings if o.baseline == "LC" and _same(o, saving)), None)
            rows.append(_row(s, saving, lc))
    under = [
        "Saving: 1 - ours / theirs, of medians, in percent; negative: ours costs more. Heaviest: "
        "the baseline's row with the largest figure of that metric; LC: without a split model. In "
        "brackets: "
        f"{stats.SAVING_METHOD}.",
        "Paper: the largest saving that its text states for that metric and link rate, over all "
        "its rows, on its own boards and servers.",
        *notes.on_bytes(series),
    ]
    ours = ("lc_percent", "sc_percent")
    kept = [
        row for row in rows if any(getattr(row[key], "value", None) is not None for key in ours)
    ]
    return Table("savings", "Savings", columns, kept, under, "metric")


def paper_table(series: list[Series]) -> Table:
    """Every saving that the paper's text states, next to the best of each series."""
    columns = [
        *_WHAT,
        Column("baseline", "Baseline", number=False),
        Column("paper_board", "Paper's board", number=False),
        Column("published_percent", "Paper up to", "%", text=percent),
        Column("where", "Where", number=False),
        *SERIES,
        Column("ours_percent", "This report up to", "%", interval=True, text=percent),
        Column("pair", "By", number=False),
    ]
    titles = {m.stated: m.title for m in metrics(links_of_all(series)) if m.stated}
    rows: list[Row] = []
    for s in series:
        if not any(entry.papers for entry in s.entries):
            continue  # another paper's rows: the statements are not on them
        all_savings = savings(s)
        for statement in statements():
            link, value, pair = _ours(all_savings, statement)
            rows.append(
                {
                    "metric": titles.get(statement.metric, statement.metric),
                    "link": link,
                    "baseline": {"any": "LC and SC"}.get(statement.baseline, statement.baseline),
                    "paper_board": statement.board,
                    "published_percent": exact(statement.percent, "published"),
                    "where": statement.where,
                    **of_series(s),
                    "ours_percent": value,
                    "pair": pair,
                }
            )
    under = [
        "Up to: the best pair of a Ladon row and a baseline row, as the paper's text counts.",
        *notes.why_they_differ(series),
        *notes.on_bytes(series),
    ]
    return Table("paper", "Beside the paper's text", columns, rows, under, "metric")


def _ours(all_savings: list[Saving], statement: Statement) -> tuple[str, Value, str]:
    fitting = [
        saving
        for saving in all_savings
        if saving.metric.stated == statement.metric
        and statement.baseline in ("any", saving.baseline)
        and saving.papers
        and same_rate(saving.rate_kbit_s, statement.link_kbit_s)
    ]
    link = f"{statement.link_kbit_s:g} kbit/s" if statement.link_kbit_s else ""
    top = best(fitting)
    if top is None or top.heaviest is None:
        why = fitting[0].most.why if fitting else "the run has no such rows or link"
        return link, missing(why or "not measured"), ""
    pair = f"{top.entry.label} against {top.heaviest.label}"
    return top.link_name or link, top.most, pair


def _same(a: Saving, b: Saving) -> bool:
    return a.entry is b.entry and a.metric is b.metric


def _row(s: Series, sc: Saving, lc: Saving | None) -> Row:
    nothing = missing("local computing sends nothing")
    return {
        **of_series(s),
        "metric": sc.metric.title,
        "link": sc.link_name,
        "config": sc.entry.marked,
        "lc_percent": lc.most if lc else nothing,
        "lc_row": lc.heaviest.label if lc and lc.heaviest else "",
        "sc_percent": sc.most,
        "sc_row": sc.heaviest.marked if sc.heaviest else "",
        "sc_least_percent": sc.least,
        "sc_least_row": sc.lightest.marked if sc.lightest else "",
        "lc_published_percent": _largest(lc.published if lc else []),
        "sc_published_percent": _largest(sc.published),
    }


def _largest(statements: list[Statement]) -> Value:
    percents = [statement.percent for statement in statements]
    return exact(max(percents, default=None), "published", why="the paper's text states none")


def savings_by_row(series: list[Series]) -> Table:
    """A row for each baseline row and link, a column for each Ladon row and for the paper."""
    ours = unique(e.id for s in series for e in s.entries if e.under_test)
    marked = {e.id: e.marked for s in series for e in s.entries}
    keys = _keys(ours)
    columns = [
        *SERIES,
        Column("link", "Link", number=False),
        Column("against", "Against", number=False),
        *(Column(keys[id], marked[id], "%", text=percent) for id in ours),
        Column("published_percent", "Paper up to", "%", text=percent),
    ]
    rows = [
        _row_of(s, link, baseline, keys)
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
        *notes.on_bytes(series),
    ]
    return Table(
        "savings_by_row", "End-to-end savings, row by row", columns, rows, under, "against"
    )


def _keys(ids: list[str]) -> dict[str, str]:
    """Each configuration's column; ids that differ in punctuation only get a number each."""
    keys: dict[str, str] = {}
    for id in ids:
        key, number = f"{file_name(id)}_percent", 2
        while key in keys.values():
            key, number = f"{file_name(id)}_{number}_percent", number + 1
        keys[id] = key
    return keys


def _row_of(s: Series, link: Link, baseline: Entry, keys: dict[str, str]) -> Row:
    row: Row = {**of_series(s), "link": link.name, "against": baseline.marked}
    theirs = latency(baseline, link).total
    for id, key in keys.items():
        row[key] = _saved(s.entry(id), theirs, link)
    claims = stated("end_to_end", baseline.group, link.rate_kbit_s) if baseline.papers else []
    return {**row, "published_percent": _largest(claims)}


def _saved(entry: Entry | None, theirs: Value, link: Link) -> Value:
    if entry is None:
        return missing("not in this run")
    return _saved_of(latency(entry, link).total, theirs)
