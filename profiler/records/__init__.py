"""What a run holds: its fields, how they are written, how they are read."""
