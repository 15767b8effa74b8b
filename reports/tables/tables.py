"""The tables of a report, from the series of its runs."""

from collections.abc import Callable, Mapping

from splitwatt.profiler.links.link import PAYLOAD, WIRE
from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series, links_of_all
from splitwatt.reports.load.values import exact, missing, unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.agreement import sentences
from splitwatt.reports.metrics.gmac import gmac_sizes
from splitwatt.reports.metrics.latency import latency
from splitwatt.reports.metrics.memory import HOW
from splitwatt.reports.metrics.memory import peak_memory_gb as memory_gb
from splitwatt.reports.metrics.metric import metrics, notes_of
from splitwatt.reports.papers.published import peak_memory_gb
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import (
    CONFIG,
    SERIES,
    Cell,
    Column,
    Row,
    Table,
    entry_rows,
    of_entry,
    whole,
)


def summary(series: list[Series]) -> Table:
    """One row per configuration: what the terminal shows and a report opens with."""
    counts = {
        "samples": lambda entry: exact(len(entry.samples), "measured"),
        "failed": lambda entry: exact(len(entry.failed), "measured"),
    }
    more = [Column(key, key.capitalize(), text=whole, quiet=True) for key in counts]
    return _of_metrics("summary", "Summary", series, more, counts, tuple(sentences(series)))


def _of_metrics(
    name: str,
    title: str,
    series: list[Series],
    more: list[Column],
    cells: Mapping[str, Callable[[Entry], Cell]],
    notes_first: tuple[str, ...] = (),
    only_split: bool = False,
) -> Table:
    """A row per configuration, a column per metric of this table, and `more` columns of `cells`."""
    entries = [entry for s in series for entry in s.entries]
    shown = [
        metric
        for metric in metrics(links_of_all(series), name)
        if not metric.if_known or any(metric.value(e).value is not None for e in entries)
    ]
    columns = [
        Column(m.column, m.name, m.unit, interval=name in m.interval, quiet=m.quiet) for m in shown
    ]

    def row(s: Series, entry: Entry) -> Row | None:
        if only_split and not entry.split:
            return None
        own = [m for m in shown if m.link is None or m.link in s.links]
        return {
            **{m.column: missing("this run has no such link") for m in shown},
            **{m.column: m.value(entry) for m in own},
            **{key: cell(entry) for key, cell in cells.items()},
        }

    under = [*notes_first, *notes_of(shown), *_all_notes(series, name == "data_size")]
    columns = [*SERIES, CONFIG, *columns, *more]
    return Table(name, title, columns, entry_rows(series, row), under)


_PARTS = ("local", "network", "uplink", "downlink", "server")


def latency_table(series: list[Series]) -> Table:
    """End-to-end latency and its parts, for each link."""
    columns = [
        *SERIES,
        Column("link", "Link", number=False),
        CONFIG,
        Column("end_to_end_s", "End to end", "s", interval=True),
        Column("local_s", "Local", "s"),
        Column("network_s", "Network", "s"),
        Column("uplink_s", "Uplink", "s"),
        Column("downlink_s", "Downlink", "s", quiet=True),
        Column("server_s", "Server", "s"),
        Column("samples", "Samples", text=whole),
    ]
    rows: list[Row] = [
        {
            **of_entry(s, entry),
            "link": link.name,
            "end_to_end_s": (parts := latency(entry, link)).total,
            **{f"{part}_s": getattr(parts, part) for part in _PARTS},
            "samples": exact(len(entry.samples), "measured"),
        }
        for s in series
        for link in s.links
        for entry in s.entries
    ]
    under = [
        f"Medians; in brackets the {stats.METHOD}. Medians of parts need not add up to that of the "
        "whole.",
        "Local: the board's stages. Network: the HTTP round trip as it was, less what the server "
        "accounts for. Uplink: the simulated link's time for the bytes that go up (downlink: for "
        "the answers, where the link charges them). Server: its stages.",
        *unique(_link_note(link) for link in links_of_all(series) if link != NO_LINK),
    ]
    return Table("latency", "End-to-end latency", columns, rows, under + _all_notes(series))


def costs_table(series: list[Series]) -> Table:
    """Local GMAC (Fig. S3), peak memory, encoder size, energy."""
    more = [
        Column("models", "Models", number=False),
        Column("gmac_at", "GMAC counted at", number=False),
    ]
    cells: dict[str, Callable[[Entry], Cell]] = {
        "models": lambda entry: ", ".join(entry.models),
        "gmac_at": gmac_sizes,
    }
    return _of_metrics("costs", "Operations, sizes, memory, energy", series, more, cells)


def data_size_table(series: list[Series]) -> Table:
    """What one image sends: payload, wire, and what sc2bench would state."""
    under = (
        "Medians per image, all its requests together; 1 KiB = 1024 bytes (the papers' KB). "
        "Data size: the bitstreams alone, or the published size (an estimate of it) where links carry "
        "that. Mean data size: of the bitstreams made here. Wire: with headers and framing. Pickled: "
        "the serialized object that sc2bench's analyser measures."
    )
    return _of_metrics("data_size", "Data size", series, [], {}, (under,), only_split=True)


_HOW_TABLE_S1 = (
    "The paper's columns are its Table S1, which may include background jobs of the board: another "
    "quantity than a process's peak, and other machines."
)


def memory_table(series: list[Series]) -> Table:
    """The paper's Table S1: a row for each configuration, a column for each board and backend."""
    ours = [
        Column(f"peak_memory_gb_{i}", s.label.replace(",", ""), "GB") for i, s in enumerate(series)
    ]
    theirs = [
        Column("nano_gb", "Paper: Nano", "GB"),
        Column("nano_cuda_gb", "Paper: Nano CUDA", "GB"),
        Column("xavier_nx_gb", "Paper: Xavier NX", "GB"),
        Column("xavier_nx_cuda_gb", "Paper: Xavier NX CUDA", "GB"),
    ]
    by_series = {(s.label, e.id): e for s in series for e in s.entries}
    papers = {entry.id for entry in by_series.values() if entry.papers}
    if not papers:
        theirs = []
    rows: list[Row] = []
    for id, shown in {e.id: e.marked for e in by_series.values()}.items():
        row: dict[str, Cell] = {"config": shown}
        for s, column in zip(series, ours, strict=True):
            entry = by_series.get((s.label, id))
            row[column.key] = memory_gb(entry) if entry else missing("not in this run")
        stated = peak_memory_gb().get(id, {}) if id in papers else {}
        for column in theirs:
            row[column.key] = exact(stated.get(column.key), "published", why="not in Table S1")
        rows.append(row)
    under = [HOW, *([_HOW_TABLE_S1] if theirs else []), *_all_notes(series)]
    return Table("memory", "Peak memory (Table S1)", [CONFIG, *ours, *theirs], rows, under)


def samples_table(series: list[Series]) -> Table:
    """How many samples each configuration should have, has, and lost, and why; and which are odd."""
    columns = [
        *SERIES,
        CONFIG,
        *(
            Column(key, key.capitalize(), text=whole)
            for key in ("expected", "good", "failed", "missing")
        ),
        Column("reasons", "Reasons", number=False),
        Column("throttled", "Throttled", text=whole),
        Column("unsteady", "Unsteady blocks", text=whole),
    ]
    under = [
        "Warm-up samples are not counted. Throttled: good samples in which the board slowed itself "
        "down. Unsteady blocks: not stable when their warm-up reached its cap."
    ]
    return Table("samples", "Samples", columns, entry_rows(series, _counts), under)


def _counts(s: Series, entry: Entry) -> Row:
    return {
        "expected": exact(entry.expected, "measured"),
        "good": exact(len(entry.samples), "measured"),
        "failed": exact(len(entry.failed), "measured"),
        "missing": exact(entry.missing, "measured"),
        "reasons": entry.reasons,
        "throttled": exact(entry.throttled, "measured", why="the board does not report it"),
        "unsteady": exact(entry.unsteady, "measured", why="no warm-up until stable"),
    }


def _all_notes(series: list[Series], made_bytes: bool = False) -> list[str]:
    return [
        *notes.board_state(series),
        *notes.made_up_energy(series),
        *notes.on_bytes(series, made_bytes),
    ]


_COUNTED = {PAYLOAD: "the payload", WIRE: "the payload, headers and framing"}


def _link_note(link: Link) -> str:
    """A link as its config has it."""
    rate = f"{link.rate_kbit_s:g} kbit/s (1 kbit = 1000 bits)" if link.rate_kbit_s else "no limit"
    words = [f"{link.name}: {link.kind}, {rate}"]
    words += [] if link.measured else [f"counts {_COUNTED[link.bytes]}"]
    words += [f"downlink {link.downlink_kbit_s:g} kbit/s"] if link.downlink_kbit_s else []
    jitter = f" +- {link.jitter_ms:g} ms" if link.jitter_ms else ""
    words += [f"latency {link.latency_ms:g} ms{jitter}"] if link.latency_ms else []
    words += [f"{100 * link.loss:g} % of segments lost"] if link.loss else []
    return "; ".join([", ".join(words), *([link.source] if link.source else [])]) + "."
