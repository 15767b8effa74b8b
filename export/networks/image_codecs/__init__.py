"""Codecs of whole images before a model that is not split: file formats, and CompressAI's networks."""
