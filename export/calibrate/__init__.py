"""Entropy tables refitted to your own images."""
