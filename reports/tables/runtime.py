"""What blocks record besides samples: quantiles, throughput, starts, a measured link's rate, boards."""

from splitwatt.profiler.analyse.carried import LATE_SHARE, Capacity, carried
from splitwatt.profiler.analyse.statistics import spread
from splitwatt.reports.load.model import NO_LINK, Entry, Run, Series, runs_of
from splitwatt.reports.load.values import Value, exact, missing, unique
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.metrics.metric import one_per_run
from splitwatt.reports.tables.table import (
    CONFIG,
    SERIES,
    Column,
    Row,
    Table,
    entry_rows,
    of_series,
    whole,
)

_BOUNDLESS = "too few samples to bound it with 99 % confidence"
_NO_TIMES = "the server does not state its stages' times"


def quantiles_table(series: list[Series]) -> Table:
    """Median, p90 and p99 of what was measured, simulated links not included."""
    columns = [
        *SERIES,
        CONFIG,
        Column("p50_s", "Median", "s", interval=True),
        Column("p90_s", "p90", "s"),
        Column("p90_bound_s", "p90 at most", "s"),
        Column("p99_s", "p99", "s"),
        Column("p99_bound_s", "p99 at most", "s"),
        Column("outliers", "Far out", text=whole),
        Column("samples", "Samples", text=whole),
    ]
    under = [
        "Wall time of samples on the board's machine, server and real network included, simulated "
        "links not. At most: a bound that the true quantile is below with 99 % confidence. Far out: "
        "further than three interquartile ranges outside the quartiles; they are not left out."
    ]
    rows = entry_rows(series, _quantiles)
    return Table("quantiles", "Quantiles of the measured time", columns, rows, under)


_QUANTILES = ("p90_s", "p90_bound_s", "p99_s", "p99_bound_s")


def _quantiles(s: Series, entry: Entry) -> Row | None:
    of = spread(latency(entry, NO_LINK).totals_s.tolist())
    if of is None:
        return None

    def seconds(value: float | None) -> Value:
        return exact(value, *entry.timed, why=_BOUNDLESS, n=of.samples)

    return {
        "p50_s": Value(of.p50_s, entry.timed, of.p50_low_s, of.p50_high_s, of.samples),
        **{key: seconds(getattr(of, key)) for key in _QUANTILES},
        "outliers": exact(of.outliers, "measured", why="fewer than 8 samples"),
        "samples": exact(of.samples, "measured"),
    }


def throughput_table(series: list[Series]) -> Table:
    """Images per second, where the config asked for it."""
    columns = [
        *SERIES,
        CONFIG,
        Column("pipelined", "Pipelined", number=False),
        Column("images_per_s", "Throughput", "1/s"),
        Column("images", "Images", text=whole),
        Column("failed", "Failed", text=whole),
    ]
    under = ["Images that got an answer over the time from the first file to the last answer."]
    return Table("throughput", "Throughput", columns, entry_rows(series, _throughput), under)


def _throughput(s: Series, entry: Entry) -> Row | None:
    own = entry.id, s.backend
    measured = [t for t in s.run.throughput if (t.config, t.backend) == own]
    if not measured:
        return None
    images, seconds = sum(t.images for t in measured), sum(t.duration_s for t in measured)
    rate = images / seconds if images and seconds else None
    return {
        "pipelined": "yes" if measured[0].pipelined else "no",
        "images_per_s": exact(rate, *entry.timed, why="no image got an answer", n=images),
        "images": exact(images, "measured"),
        "failed": exact(sum(t.failed for t in measured), "measured"),
    }


def starts_table(series: list[Series]) -> Table:
    """How long blocks take until they are warm: the mean over a configuration's processes."""
    columns = [
        *SERIES,
        CONFIG,
        Column("cuda_init_s", "GPU context", "s"),
        Column("open_s", "Opening", "s"),
        Column("server_load_s", "Server's loading", "s"),
        Column("first_inference_s", "First inference", "s"),
        Column("warmups", "Warm-ups"),
        Column("fallbacks", "Fallbacks", number=False, quiet=True),
        Column("built", "Built by", number=False, quiet=True),
    ]
    under = ["Mean over the configuration's processes. None of it is in any latency."]
    return Table("starts", "Cold starts", columns, entry_rows(series, _start), under)


def _start(s: Series, entry: Entry) -> Row | None:
    starts = entry.starts
    if not starts:
        return None
    keys = ("cuda_init_s", "open_s", "server_load_s", "first_inference_s", "warmups")
    # MODEL: PART: what it was built by.
    built = [str(text).split(": ", 2)[-1] for x in starts for text in x.built or ()]
    return {
        **{key: _mean([getattr(start, key) for start in starts], *entry.timed) for key in keys},
        "fallbacks": "; ".join(unique(str(f) for x in starts for f in x.fallbacks)),
        "built": "; ".join(unique(built)),
    }


def links_table(series: list[Series]) -> Table:
    """The rate that a measured link had, before, during and after blocks: the mean."""
    columns = [
        *SERIES,
        Column("link", "Link", number=False),
        Column("asked_kbit_s", "Uplink asked for", "kbit/s", number=False),
        Column("uplink_kbit_s", "Measured uplink", "kbit/s"),
        Column("downlink_kbit_s", "Measured downlink", "kbit/s"),
        Column("measurements", "Measurements", text=whole),
    ]
    rows: list[Row] = []
    for s in one_per_run(series):
        rates = s.run.rates
        measured = [link for link in s.links if link.measured and link != NO_LINK]
        if not rates or not measured:
            continue
        rows.append(
            {
                **of_series(s),
                "link": ", ".join(link.name for link in measured),
                "asked_kbit_s": f"{measured[0].rate_kbit_s:g}" if measured[0].rate_kbit_s else "",
                "uplink_kbit_s": _mean([rate.uplink_kbit_s for rate in rates]),
                "downlink_kbit_s": _mean([rate.downlink_kbit_s for rate in rates]),
                "measurements": exact(len(rates), "measured"),
            }
        )
    under = ["Probed between samples, framing counted."]
    return Table("links", "Measured links", columns, rows, under, "link")


def boards_table(series: list[Series]) -> Table:
    """A row for each configuration that was replayed with several boards."""
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
        _boards_row(run, own, next(s for s in series if s.run is run))
        for run in runs_of(series)
        for own in carried(run)
    ]
    under = [
        "Boards carried: the largest number of boards of whose frames at most "
        f"{100 * LATE_SHARE:g} % were late. Times are drawn beforehand, and a latency counts from the time "
        "at which the frame was due. In brackets (95 %): from the largest number that certainly holds "
        "the deadline to one fewer than the smallest that certainly does not; left out if no number "
        "certainly broke it. Expected of a queue: Erlang's and Kingman's formulas for frames that "
        "arrive at random, with the service time of the run's own samples on an idle server. The "
        "frames come from processes on the machine that ran 'profile'; if the server is on the same "
        "machine, they share its processors."
    ]
    return Table("boards", "Boards that a server carries", columns, rows, under)


def _boards_row(run: Run, own: Capacity, series: Series) -> Row:
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


def _mean(values: list[float | None], *sources: str) -> Value:
    known = [float(value) for value in values if value is not None]
    if not known:
        return missing("not recorded, or not needed here")
    return exact(sum(known) / len(known), *(sources or ("measured",)), n=len(known))
