"""Checkpoints: where they lie, how they are read; random weights where there are none."""
