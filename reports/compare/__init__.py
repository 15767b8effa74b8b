"""Two runs side by side."""
# board: no
