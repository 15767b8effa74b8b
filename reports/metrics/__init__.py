"""The figures of a report, computed from runs."""
