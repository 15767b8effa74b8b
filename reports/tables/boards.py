"""How many boards a server carries, of runs that replayed their frames."""
# board: no

from splitwatt.profiler.analyse.carried import LATE_SHARE, Capacity, carried
from splitwatt.reports.load.model import Run, Series, runs_of
from splitwatt.reports.load.values import Value, exact
from splitwatt.reports.tables.table import CONFIG, Column, Row, Table, whole

_NO_TIMES = "the server does not state its stages' times"


def boards_table(series: list[Series]) -> Table:
    """A row for each configuration whose boards were replayed."""
    columns = [
        Column("run", "Run", number=False, quiet=True),
        CONFIG,
        Column("arrivals", "Arrivals", number=False),
        Column("fps", "Frames per board", "1/s"),
        Column("deadline_s", "Deadline", "s"),
        Column("boards", "Boards carried", text=whole, interval=True),
        Column("tried", "Numbers tried", text=whole),
        Column("expected_boards", "Expected of a queue", text=whole),
        Column("most_boards", "No queue carries more than", text=whole),
        Column("service_s", "Service time", "s"),
        Column("workers", "Inferences at once", text=whole),
        Column("own_late_s", "Load generator late by", "s"),
    ]
    rows = [
        _row(run, own, next(s for s in series if s.run is run))
        for run in runs_of(series)
        for own in carried(run)
    ]
    under = [
        f"Boards carried: the most of whose frames at most {100 * LATE_SHARE:g} % were late, where times "
        "are drawn beforehand and a latency counts from when the frame was due; in brackets from the "
        "most that certainly hold to one fewer than the least that certainly do not (95 %; an interval "
        "is left out where none broke the deadline for certain). Expected of a queue: Erlang's and "
        "Kingman's formulas with the service time of the run's own samples, when the server had nothing "
        "else to do, for frames that arrive at random. The frames come from processes on the machine that ran "
        "'profile'; where the server is on the same machine they share its processors."
    ]
    return Table("boards", "Boards that a server carries", columns, rows, under)


def _row(run: Run, own: Capacity, series: Series) -> Row:
    entry = series.entry(own.config)
    service = own.service
    known = (run.document["server"] or {}).get("workers")
    return {
        "run": run.name,
        "config": entry.marked if entry else own.config,
        "arrivals": own.arrivals,
        "fps": exact(own.fps),
        "deadline_s": exact(own.deadline_s),
        "boards": Value(float(own.boards), ("measured",), *_ends(own), own.tried),
        "tried": exact(own.tried, "measured"),
        "expected_boards": exact(own.expected, "estimated", why=_NO_TIMES),
        "most_boards": exact(own.most, "estimated", why=_NO_TIMES),
        "service_s": exact(service and service.mean_s, "measured", why=_NO_TIMES),
        "workers": exact(known or 1, "measured" if known else "assumed"),
        "own_late_s": exact(own.own_late_s, "measured"),
    }


def _ends(own: Capacity) -> tuple[float | None, float | None]:
    return (None, None) if own.high is None else (float(own.low), float(own.high))
