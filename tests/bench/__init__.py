"""Benchmarks: the figures that the documentation states. `make bench` runs them all."""
