"""Bundles in fp16 and int8, and the error of rounding."""
