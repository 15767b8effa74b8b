"""Bundles, engines and pipelines: an image becomes an answer here and nowhere else."""
