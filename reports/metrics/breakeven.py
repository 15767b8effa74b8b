"""Break-even rates: from which link rate on is a split configuration faster than a local one?"""
# board: no

from functools import lru_cache

from splitwatt.profiler.analyse.breakeven import rate_between
from splitwatt.profiler.analyse.times import uplink_s
from splitwatt.profiler.links.link import Link
from splitwatt.reports.load.model import NO_LINK, Entry, Series
from splitwatt.reports.load.values import Value, missing, ordered
from splitwatt.reports.metrics.latency import byte_sources, latency
from splitwatt.reports.metrics.stats import MIN_SAMPLES
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import Column, Row, Table
from splitwatt.reports.tables.which import CONFIG, SERIES, of_entry


def plain_link(rate_kbit_s: float, charges: str = "payload") -> Link:
    """A simulated link of a rate, without latency, loss or a charge for the way back, as the papers'
    are.
    """
    return Link(f"{rate_kbit_s:g} kbit/s", "simulated", rate_kbit_s, charges, "any rate")


def bits(entry: Entry, charges: str = "payload") -> list[tuple[float, float]]:
    """Seconds as measured and bits that a link is charged with, of each sample that has both."""
    found = []
    for sample in entry.samples:
        seconds = uplink_s(sample, plain_link(1.0, charges))
        if seconds is not None and sample.total_s is not None:
            found.append((sample.total_s, 1000.0 * seconds))
    return found


def can_be_simulated(series: Series) -> bool:
    """Were its samples taken without a shaped link, so that a simulated one may be added?"""
    return all(not link.measured or link.kind == "none" for link in series.run.config.links)


def break_even_kbit_s(entry: Entry, baseline: Entry, charges: str = "payload") -> Value:
    """The rate from which on `entry` has the smaller median latency, with its interval; missing
    where there is none.

    The split configuration's latency falls with the rate, so there is at most one. An end of the
    interval is None where it is open to that side.
    """
    pairs = tuple(bits(entry, charges))
    local_s = latency(baseline, NO_LINK).totals_s
    if not pairs or not local_s:
        return missing("one of the two was not measured")
    rate, low, high, told = _break_even(pairs, local_s)
    if rate is None:
        return missing(told)
    return Value(rate, ordered((*entry.timed, *byte_sources(entry))), low, high, len(pairs))


@lru_cache(maxsize=None)
def _break_even(
    pairs: tuple[tuple[float, float], ...], local_s: tuple[float, ...]
) -> tuple[float | None, float | None, float | None, str]:
    """The rate, the ends of its interval, and what it means."""
    found = rate_between(pairs, local_s)
    if min(len(pairs), len(local_s)) < MIN_SAMPLES:
        return found.value, None, None, found.sentence
    return found.value, found.low, found.high, found.sentence


def local_extremes(series: Series) -> tuple[Entry, Entry] | None:
    """The fastest and the slowest local configuration; None where none was measured."""
    known = [
        (found, entry)
        for entry in series.entries
        if not entry.split and (found := latency(entry, NO_LINK).total.value) is not None
    ]
    if not known:
        return None
    return min(known, key=lambda k: k[0])[1], max(known, key=lambda k: k[0])[1]


def breakeven_table(series: list[Series]) -> Table:
    """A row for each split configuration: its break-even with the fastest and slowest local one."""
    columns = [
        *SERIES,
        CONFIG,
        Column("fastest_kbit_s", "Beats the fastest LC from", "kbit/s", interval=True),
        Column("fastest_row", "Fastest LC", number=False),
        Column("fastest_why", "Where none", number=False, quiet=True),
        Column("slowest_kbit_s", "Beats the slowest LC from", "kbit/s", interval=True),
        Column("slowest_row", "Slowest LC", number=False),
        Column("slowest_why", "Where none ", number=False, quiet=True),
    ]
    rows: list[Row] = []
    for s in series:
        ends = local_extremes(s)
        if ends is None or not can_be_simulated(s):
            continue
        for entry in (e for e in s.entries if e.split):
            row = of_entry(s, entry)
            for name, baseline in zip(("fastest", "slowest"), ends, strict=True):
                found = break_even_kbit_s(entry, baseline)
                row[f"{name}_kbit_s"] = found
                row[f"{name}_row"] = baseline.marked
                row[f"{name}_why"] = found.why or ""
            rows.append(row)
    under = [
        "The rate of a simulated uplink that carries the payload alone, at which both have the "
        "same median end-to-end latency; above it the split configuration is the faster one. In "
        "brackets: 95 % percentile bootstrap interval, samples of both resampled (as `splitwatt "
        f"whatif` does; none below {MIN_SAMPLES} samples, or where it is open to a side).",
        *_shared(rows),
        *notes.published_payload(series),
        *notes.assumed(series),
        *notes.untrained(series),
    ]
    return Table("breakeven", "Break-even link rates", columns, rows, under)


def _shared(rows: list[Row]) -> list[str]:
    """The reason of all rows where there is one: its column says nothing then, and is not shown."""
    told = []
    for name in ("fastest", "slowest"):
        reasons = {str(row[f"{name}_why"]) for row in rows}
        if len(reasons) == 1 and "" not in reasons:
            told.append(f"No row has a rate against the {name} LC: {reasons.pop()}.")
    return told
