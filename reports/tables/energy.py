"""The energy table: gross and net joules per image, rail by rail, and what waiting would cost."""
# board: no

from splitwatt.reports.load.model import NO_LINK, Entry, Link, Series, links_of_all, slug
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.metrics.energy import Energy, flagged, rows_of, waiting_j
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Cell, Column, Row, Table, of_entry, whole

_NO_WAITING = missing("stated for the board's total only")


def energy_table(series: list[Series]) -> Table:
    """A row for the board's total of each configuration, and one for each rail; none without."""
    links = [link for link in links_of_all(series) if link != NO_LINK]
    columns = [
        *SERIES,
        CONFIG,
        Column("rail", "Rail", number=False),
        Column("role", "Role", number=False),
        Column("gross_j", "Gross", "J", interval=True),
        Column("net_j", "Net of idle", "J"),
        Column("idle_w", "Idle power", "W"),
        Column("left_out", "Left out", quiet=True, text=whole),
        *(Column(_key(link), f"Waiting at {link.name}", "J") for link in links),
    ]
    rows = [row for s in series for entry in s.entries for row in _rows(s, entry, links)]
    under = [
        "Joules for one image: the block's window of inferences, divided by its images. The total "
        "is what the target's data says; rails of the role part are in it already and are never "
        "added to it. Net: less idle power, measured before and after each block, times the time. "
        "In brackets: 95 % bootstrap interval over equal pieces of the blocks, or over the blocks "
        "where there are five. Left out: readings that failed, were negative or absurd, or came "
        "when the clock stepped; they are in no integral.",
        "Waiting: idle power times the simulated link's time. It is estimated, and is in no other "
        "figure: nobody waited.",
        *_flagged(series),
        *notes.made_up_energy(series),
        *notes.published_payload(series),
        *notes.assumed(series),
        *notes.untrained(series),
    ]
    return Table("energy", "Energy", columns, rows, under)


def _flagged(series: list[Series]) -> list[str]:
    entries = [(entry, flagged(entry)) for s in series for entry in s.entries]
    flags = [f"{entry.label}: {'; '.join(found)}" for entry, found in entries if found]
    return ["Flagged in the traces. " + ". ".join(flags) + "."] if flags else []


def _key(link: Link) -> str:
    return f"waiting_j_{slug(link)}"


def _rows(s: Series, entry: Entry, links: list[Link]) -> list[Row]:
    energies = rows_of(entry, entry.energy)
    waiting = {_key(link): _waiting(s, entry, link) for link in links}
    nothing = dict.fromkeys(waiting, _NO_WAITING)
    return [_row(s, entry, e, waiting if e.role == "total" else nothing) for e in energies]


def _waiting(s: Series, entry: Entry, link: Link) -> Value:
    return waiting_j(entry, link) if link in s.links else missing("this run has no such link")


def _row(s: Series, entry: Entry, energy: Energy, waiting: dict[str, Value]) -> Row:
    row: dict[str, Cell] = {
        **of_entry(s, entry),
        "rail": energy.rail,
        "role": energy.role,
        "gross_j": energy.gross,
        "net_j": energy.net,
        "idle_w": energy.idle_w,
        "left_out": exact(float(energy.left_out.total()), "measured"),
    }
    return {**row, **waiting}
