"""Energy besides the board's joules per image: the server's own, and that of stages."""
# board: no

from collections.abc import Iterable

from splitwatt.profiler.analyse.energy import BlockEnergy
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, missing
from splitwatt.reports.metrics.energy import NOTHING, Energy, board_energy, rows_of
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Cell, Column, Row, Table, of_entry, whole

_BOARD, _SERVER = "board", "server"
_ON_BOARD = ("preprocess", "encoder", "encode", "model", "postprocess")
_LAST = [
    Column("rail", "Rail", number=False),
    Column("role", "Role", number=False),
    Column("gross_j", "Gross", "J", interval=True),
    Column("net_j", "Net of idle", "J"),
    Column("idle_w", "Idle power", "W"),
]


def server_energy_table(series: list[Series]) -> Table:
    """The joules per image of the server's own rails, where it sampled them."""
    columns = [*SERIES, CONFIG, *_LAST]
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
        *_LAST,
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
    """Says what no sensor of the run has measured."""
    return [
        f"Some of it is {word}: no sensor of this run has measured it."
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
    row: dict[str, Cell] = {
        **of_entry(s, entry),
        "rail": energy.rail,
        "role": energy.role,
        "gross_j": energy.gross,
        "net_j": energy.net,
        "idle_w": energy.idle_w,
    }
    return {**row, **more}
