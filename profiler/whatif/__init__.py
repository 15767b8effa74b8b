"""A run at other rates, board and server speeds, computed from its records."""
