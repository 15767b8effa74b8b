"""Images through a bundle, answers and pictures out."""
