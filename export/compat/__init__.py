"""Which operators a target's runtimes support: tables, the check, exact rewrites, and the cut.

`fit` is what export calls; the others are its steps. docs/compatibility.md explains the tables.
"""

from splitwatt.export.compat.check import Finding, check_model
from splitwatt.export.compat.cut import Crossing, Cut, plan_cut
from splitwatt.export.compat.extract import extract
from splitwatt.export.compat.fit import Fitted, Piece, Report, fit, fit_to, tables_of
from splitwatt.export.compat.fold import fold
from splitwatt.export.compat.rewrites import REWRITES, Rewritten, rewrite
from splitwatt.export.compat.tables import Table, known_tables, load_table

__all__ = [
    "REWRITES",
    "Crossing",
    "Cut",
    "Finding",
    "Fitted",
    "Piece",
    "Report",
    "Rewritten",
    "Table",
    "check_model",
    "extract",
    "fit",
    "fit_to",
    "fold",
    "known_tables",
    "load_table",
    "plan_cut",
    "rewrite",
    "tables_of",
]
