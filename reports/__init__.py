"""Reports: run folders become tables and figures, every number with where it comes from."""
# board: no
