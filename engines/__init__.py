"""Bundles, engines and pipelines: an image becomes an answer here and nowhere else.

The sub-folders import each other one way: those on a line only from lines above it.

    bundle, labels, photos      what an export wrote
    backends, rangecoder        what runs a part; what codes a latent
    codecs, tensorrt
    pipeline                    an image becomes an answer
    verify
    doctor, cli
"""
