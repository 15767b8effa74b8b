"""Checkpoints: where they are and how they are read; and random weights without them."""
