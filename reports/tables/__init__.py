"""The tables of a report."""
# board: no
