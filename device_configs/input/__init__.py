"""Reads files and texts from elsewhere: with limits on their size, and checked before use."""
