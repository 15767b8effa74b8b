"""The tables of break-evens: over the link's rate, and over the speed of board and server."""
# board: no

from splitwatt.reports.load.model import Series
from splitwatt.reports.metrics.breakeven import (
    break_even_kbit_s,
    can_be_simulated,
    local_extremes,
)
from splitwatt.reports.metrics.stats import MIN_SAMPLES
from splitwatt.reports.metrics.turning import turns
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Column, Row, Table, of_entry


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
                even = break_even_kbit_s(entry, baseline)
                row[f"{name}_kbit_s"] = even
                row[f"{name}_row"] = baseline.marked
                row[f"{name}_why"] = even.why or ""
            rows.append(row)
    under = [
        "The rate of a simulated uplink that carries the payload alone, at which both have the "
        "same median end-to-end latency; above it the split configuration is the faster one. In "
        "brackets: 95 % percentile bootstrap interval, samples of both resampled (as `splitwatt "
        f"whatif` does; none below {MIN_SAMPLES} samples, or where it is open to a side).",
        *_shared(rows),
        *notes.on_bytes(series),
    ]
    return Table("breakeven", "Break-even link rates", columns, rows, under)


def turning_table(series: list[Series]) -> Table:
    """A row for each split configuration, link and local one: the board and the server at which
    both take the same time.
    """
    columns = [
        *SERIES,
        CONFIG,
        Column("link", "Link", number=False, quiet=True),
        Column("against", "Against", number=False),
        Column("board_speed", "Faster on boards below", "of the run's", interval=True),
        Column("server_speed", "Faster with servers above", "of the run's", interval=True),
    ]
    rows: list[Row] = [
        {
            **of_entry(s, turn.entry),
            "link": turn.link.name,
            "against": turn.local.marked,
            "board_speed": turn.board,
            "server_speed": turn.server,
        }
        for s in series
        for turn in turns(s)
    ]
    under = [
        "Against the fastest and the slowest local configuration. Estimated: measured stages of the "
        "board and of the server are scaled, each part by its own machine's speed; the network's "
        "time stays, and the link's follows from its rate. The run's own machines have speed 1. In "
        f"brackets: 95 % percentile bootstrap interval (none below {MIN_SAMPLES} samples, or where "
        "it is open to a side). Never, always: one of the two is faster at any speed. The rates at which "
        "the order turns are in the table of break-evens; `splitwatt whatif RUN --pair A,B` has all "
        "three of any other pair.",
        *notes.on_bytes(series),
    ]
    return Table("turning", "Boards and servers at which the order turns", columns, rows, under)


def _shared(rows: list[Row]) -> list[str]:
    """The reason, if all rows share one: then its column is not shown."""
    sentences = []
    for name in ("fastest", "slowest"):
        reasons = {str(row[f"{name}_why"]) for row in rows}
        if len(reasons) == 1 and "" not in reasons:
            sentences.append(f"No row has a rate against the {name} LC: {reasons.pop()}.")
    return sentences
