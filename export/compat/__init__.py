"""Which operators a target's runtimes support: tables, the check, exact rewrites, and the cut.

`fit` is what export calls; the others are its steps. docs/compatibility.md explains the tables.
"""
