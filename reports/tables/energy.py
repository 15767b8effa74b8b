"""The energy tables: the board's joules per image, the server's own, and those of stages."""

from collections.abc import Callable, Iterable, Iterator

from splitwatt.profiler.analyse.energy import BlockEnergy
from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series, links_of_all, slug
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.metrics.energy import (
    NOTHING,
    Energy,
    board_energy,
    flagged,
    rows_of,
    waiting_j,
)
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Column, Row, Table, of_entry, whole

_ON_BOARD = ("preprocess", "encoder", "encode", "model", "postprocess")
_JOULES = [
    Column("rail", "Rail", number=False),
    Column("role", "Role", number=False),
    Column("gross_j", "Gross", "J", interval=True),
    Column("net_j", "Net of idle", "J"),
    Column("idle_w", "Idle power", "W"),
]


def energy_table(series: list[Series]) -> Table:
    """A row for the board's total of each configuration, and one for each rail; none without."""
    keys = {link: f"waiting_j_{slug(link)}" for link in links_of_all(series) if link != NO_LINK}
    columns = [
        *SERIES,
        CONFIG,
        *_JOULES,
        Column("left_out", "Left out", quiet=True, text=whole),
        *(Column(key, f"Waiting at {link.name}", "J") for link, key in keys.items()),
    ]

    def rows_of_entry(s: Series, entry: Entry) -> Iterator[Row]:
        for energy in rows_of(entry, entry.energy):
            nothing = "" if energy.role == "total" else "stated for the board's total only"
            yield {
                **_joules(energy),
                "left_out": exact(float(energy.left_out.total()), "measured"),
                **{key: _waiting(s, entry, link, nothing) for link, key in keys.items()},
            }

    under = [
        "Joules for one image: the block's window of inferences, divided by its images. The total "
        "is what the target's data says; rails of the role part are in it already and are never "
        "added to it. Net: less idle power, measured before and after each block, times the time. "
        "In brackets: 95 % bootstrap interval over equal pieces of the blocks, or over the blocks "
        "where there are five. Left out: readings that failed, were negative or absurd, or came "
        "when the clock stepped; they are in no integral.",
        "Waiting: idle power times the simulated link's time. It is estimated, and no other figure "
        "includes it, because nothing really waited.",
        *_flagged(series),
        *notes.made_up_energy(series),
        *notes.on_bytes(series),
    ]
    return Table("energy", "Energy", columns, _rows(series, rows_of_entry), under)


def _rows(series: list[Series], more: Callable[[Series, Entry], Iterable[Row]]) -> list[Row]:
    return [
        {**of_entry(s, entry), **row}
        for s in series
        for entry in s.entries
        for row in more(s, entry)
    ]


def _joules(energy: Energy) -> Row:
    return {column.key: getattr(energy, column.key) for column in _JOULES}


def _flagged(series: list[Series]) -> list[str]:
    entries = [(entry, flagged(entry)) for s in series for entry in s.entries]
    flags = [f"{entry.label}: {'; '.join(lines)}" for entry, lines in entries if lines]
    return ["Flagged in the traces. " + ". ".join(flags) + "."] if flags else []


def _waiting(s: Series, entry: Entry, link: Link, nothing: str) -> Value:
    if nothing or link not in s.links:
        return missing(nothing or "this run has no such link")
    return waiting_j(entry, link)


def server_energy_table(series: list[Series]) -> Table:
    """The joules per image of the server's own rails, where it sampled them."""
    rows = _rows(series, lambda s, entry: map(_joules, rows_of(entry, entry.server_energy)))
    under = [
        "Joules of the server for one image, over the same windows as the board's and on the "
        "server's own clock, whose offset was measured before and after each block. They are in "
        "no figure of the board. Net: less the server's idle power.",
        *_notes(series, [b for s in series for e in s.entries for b in e.server_energy]),
    ]
    columns = [*SERIES, CONFIG, *_JOULES]
    return Table("energy_server", "Energy of the server", columns, rows, under)


def stage_energy_table(series: list[Series]) -> Table:
    """The joules of each stage for one image, from blocks that repeat it alone."""
    columns = [
        *SERIES,
        CONFIG,
        Column("stage", "Stage", number=False),
        Column("end", "At the", number=False),
        *_JOULES,
        Column("repetitions", "Repeated", text=whole),
    ]
    under = [
        "Joules of one stage for one image: the stage alone was repeated for the time that the "
        "config says, at least 10 s, and its joules are divided by the repetitions. transmit: the "
        "request goes to the server and an answer of its size comes back, without any work there. "
        "server: the server works and the board waits. Stages of separate blocks need not add "
        "up to the joules of an image. Net: less idle power.",
        *_notes(series, [b for s in series for e in s.entries for b in e.stage_energy]),
    ]
    rows = _rows(series, lambda s, entry: _stage_rows(entry))
    return Table("energy_stages", "Energy of stages", columns, rows, under)


def _notes(series: list[Series], blocks: list[BlockEnergy]) -> list[str]:
    """Sentences on joules that no sensor of the run measured, on assumed rows and untrained weights."""
    words = {block.provenance for block in blocks} - {None, "measured"}
    made_up = [
        f"Some of these joules are {word}: no sensor of this run measured them."
        for word in sorted(map(str, words))
    ]
    return [*made_up, *notes.assumed(series), *notes.untrained(series)]


def _stage_rows(entry: Entry) -> Iterator[Row]:
    if entry.run.config.stage_energy_s is None:
        return
    for block in entry.stage_energy:
        nothing = missing(block.why_not or NOTHING)
        count = block.inferences
        for energy in rows_of(entry, [block]) or [_nothing(nothing)]:
            yield {
                **_joules(energy),
                "stage": block.stage or "",
                "end": "server" if block.server else "board",
                "repetitions": exact(count, "measured") if count else nothing,
            }
    if not entry.stage_energy:
        nothing = missing(board_energy(entry).gross_j.why or NOTHING)
        cells = {**_joules(_nothing(nothing)), "end": "board", "repetitions": nothing}
        yield from ({**cells, "stage": stage} for stage in _expected(entry))


def _nothing(why: Value) -> Energy:
    return Energy("-", "total", why, why, why)


def _expected(entry: Entry) -> list[str]:
    """The stages that a stage block would have had, as the samples name them."""
    names = list(entry.samples[0].stages) if entry.samples else []
    own = [name for name in names if name.rpartition(".")[2] in _ON_BOARD and "." in name]
    own = [name for name in own if ".server." not in name]
    slots = dict.fromkeys(name.split(".")[0] for name in own) if entry.split else {}
    return own + [f"{slot}.{stage}" for slot in slots for stage in ("transmit", "server")]
