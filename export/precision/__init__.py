"""Bundles in fp16 and int8, and what rounding changes."""
