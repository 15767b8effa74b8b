"""A run at other rates and server speeds, worked out from its records."""
