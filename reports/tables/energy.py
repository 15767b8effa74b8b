"""The energy tables: the board's joules per image, the server's own, and those of stages."""
# board: no

from collections.abc import Iterable

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

_NO_WAITING = missing("stated for the board's total only")
_BOARD, _SERVER = "board", "server"
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
    links = [link for link in links_of_all(series) if link != NO_LINK]
    columns = [
        *SERIES,
        CONFIG,
        *_JOULES,
        Column("left_out", "Left out", quiet=True, text=whole),
        *(Column(_key(link), f"Waiting at {link.name}", "J") for link in links),
    ]
    rows = [row for s in series for entry in s.entries for row in _board_rows(s, entry, links)]
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
    return Table("energy", "Energy", columns, rows, under)


def _flagged(series: list[Series]) -> list[str]:
    entries = [(entry, flagged(entry)) for s in series for entry in s.entries]
    flags = [
        f"{entry.label}: {'; '.join(flags_of_entry)}"
        for entry, flags_of_entry in entries
        if flags_of_entry
    ]
    return ["Flagged in the traces. " + ". ".join(flags) + "."] if flags else []


def _key(link: Link) -> str:
    return f"waiting_j_{slug(link)}"


def _board_rows(s: Series, entry: Entry, links: list[Link]) -> list[Row]:
    energies = rows_of(entry, entry.energy)
    waiting = {_key(link): _waiting(s, entry, link) for link in links}
    nothing = dict.fromkeys(waiting, _NO_WAITING)
    return [
        _row(
            s,
            entry,
            energy,
            {
                "left_out": exact(float(energy.left_out.total()), "measured"),
                **(waiting if energy.role == "total" else nothing),
            },
        )
        for energy in energies
    ]


def _waiting(s: Series, entry: Entry, link: Link) -> Value:
    return waiting_j(entry, link) if link in s.links else missing("this run has no such link")


def server_energy_table(series: list[Series]) -> Table:
    """The joules per image of the server's own rails, where it sampled them."""
    columns = [*SERIES, CONFIG, *_JOULES]
    rows = [
        _row(s, entry, energy, {})
        for s in series
        for entry in s.entries
        for energy in rows_of(entry, entry.server_energy)
    ]
    under = [
        "Joules of the server for one image, over the same windows as the board's and on the "
        "server's own clock, whose offset was measured before and after each block. They are in "
        "no figure of the board. Net: less the server's idle power.",
        *_made_up(b.provenance for s in series for e in s.entries for b in e.server_energy),
        *notes.assumed(series),
        *notes.untrained(series),
    ]
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
    rows = [row for s in series for entry in s.entries for row in _stage_rows(s, entry)]
    under = [
        "Joules of one stage for one image: the stage alone was repeated for the time that the "
        "config says, at least 10 s, and its joules are divided by the repetitions. transmit: the "
        "request goes to the server and an answer of its size comes back, without any work there. "
        "server: the server works and the board waits. Stages of separate blocks need not add "
        "up to the joules of an image. Net: less idle power.",
        *_made_up(b.provenance for s in series for e in s.entries for b in e.stage_energy),
        *notes.assumed(series),
        *notes.untrained(series),
    ]
    return Table("energy_stages", "Energy of stages", columns, rows, under)


def _made_up(provenances: Iterable[str | None]) -> list[str]:
    """A sentence on the joules that no sensor of the run measured."""
    return [
        f"Some of these joules are {word}: no sensor of this run measured them."
        for word in sorted({word for word in provenances if word} - {"measured"})
    ]


def _stage_rows(s: Series, entry: Entry) -> list[Row]:
    if s.run.config.stage_energy_s is None:
        return []
    if not entry.stage_energy:
        why = board_energy(entry).gross.why or NOTHING
        more: Row = {"end": _BOARD, "repetitions": missing(why)}
        return [_empty(s, entry, why, {**more, "stage": stage}) for stage in _expected(entry)]
    return [row for energy in entry.stage_energy for row in _rows_of(s, entry, energy)]


def _rows_of(s: Series, entry: Entry, stage: BlockEnergy) -> list[Row]:
    why = stage.why_not or NOTHING
    count = stage.inferences
    repeated = Value(float(count), ("measured",)) if count else missing(why)
    more: Row = {
        "stage": stage.stage or "",
        "end": _SERVER if stage.server else _BOARD,
        "repetitions": repeated,
    }
    rows = [_row(s, entry, energy, more) for energy in rows_of(entry, [stage])]
    return rows or [_empty(s, entry, why, more)]


def _expected(entry: Entry) -> list[str]:
    """The stages that a stage block would have had, as the samples name them."""
    names = list(entry.samples[0].stages) if entry.samples else []
    own = [name for name in names if name.rpartition(".")[2] in _ON_BOARD and "." in name]
    own = [name for name in own if ".server." not in name]
    slots = dict.fromkeys(name.split(".")[0] for name in own) if entry.split else {}
    return own + [f"{slot}.{stage}" for slot in slots for stage in ("transmit", "server")]


def _empty(s: Series, entry: Entry, why: str, more: Row) -> Row:
    nothing = missing(why)
    return _row(s, entry, Energy("-", "total", nothing, nothing, nothing), more)


def _row(s: Series, entry: Entry, energy: Energy, more: Row) -> Row:
    return {
        **of_entry(s, entry),
        "rail": energy.rail,
        "role": energy.role,
        "gross_j": energy.gross,
        "net_j": energy.net,
        "idle_w": energy.idle_w,
        **more,
    }
