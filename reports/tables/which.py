"""The columns that name a row: its run, board and backend, and its configuration."""
# board: no

from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.tables.table import Column, Row

SERIES = [
    Column("run", "Run", number=False, quiet=True),
    Column("board", "Board", number=False, quiet=True),
    Column("backend", "Backend", number=False, quiet=True),
]
CONFIG = Column("config", "Config.", number=False)


def of_series(s: Series) -> Row:
    """The cells of SERIES."""
    return {"run": s.run.name, "board": s.board, "backend": s.backend}


def of_entry(s: Series, entry: Entry) -> Row:
    """The cells of SERIES and CONFIG."""
    return {**of_series(s), "config": entry.marked}
