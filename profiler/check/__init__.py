"""The audit of a run: every figure worked out again from its raw lines, and every hash looked at."""
