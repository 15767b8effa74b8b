"""What a target's runtimes take: operator tables, the check, faithful rewrites, and the cut.

`fit` is what export calls; the others are its steps. docs/compatibility.md explains the tables.
"""

from export.compat.check import Finding, check_model
from export.compat.cut import Crossing, Cut, plan_cut
from export.compat.extract import extract
from export.compat.fit import Fitted, Piece, Report, fit, fit_to, tables_of
from export.compat.fold import fold
from export.compat.rewrites import REWRITES, Rewritten, rewrite
from export.compat.tables import Table, known_tables, load_table

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
