"""What the records of a run say: statistics, joules, break-even rates."""
