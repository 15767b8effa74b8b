"""A run at other rates and server speeds, computed from its records."""
