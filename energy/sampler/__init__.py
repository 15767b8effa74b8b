"""The process that reads the rails on time."""
