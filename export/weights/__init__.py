"""Checkpoints: where they lie, how they are read; random weights in their place."""
