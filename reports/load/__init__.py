"""Runs, read and put in order for a report."""
