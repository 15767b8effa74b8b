"""Entropy tables refitted to images of one's own."""
