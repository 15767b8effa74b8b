"""Makes the golden vectors with the NumPy reference: python -m tests.rangecoder.make_golden.

They are part of the format: bytes that change here are another format version.
"""

import os

import numpy as np

from engines.rangecoder import RangeCoder, Tables
from engines.rangecoder.golden import FOLDER, Vector, write
from engines.rangecoder.tables import TOTAL


def discretised(sigmas, widths):
    """Tables of discretised Laplacians, of 2 * width + 1 symbols and an escape each."""
    rows = []
    for sigma, width in zip(sigmas, widths, strict=True):
        weights = np.exp(-np.abs(np.arange(-width, width + 1)) / sigma)
        share = weights / weights.sum() * (TOTAL - 3 * len(weights) - 8)
        freqs = np.append(share.astype(int) + 2, 2)
        freqs[width] += TOTAL - freqs.sum()
        rows.append(np.append(0, np.cumsum(freqs)))
    length = [len(row) for row in rows]
    cdf = np.zeros((len(rows), max(length)), np.int32)
    for row, values in zip(cdf, rows, strict=True):
        row[: len(values)] = values
    medians = np.round(np.linspace(-0.4, 0.4, len(rows)), 2).astype(np.float32)
    return Tables(cdf, length, [-width for width in widths], medians)


def laplacian(rng, sigmas, shape):
    scale = np.asarray(sigmas)[:, None, None]
    latent = rng.laplace(size=shape) * scale[: shape[1]]
    return (np.rint(latent * 128) / 128).astype(np.float32)


def main():
    rng = np.random.RandomState(2025)
    sigmas, widths = [0.4, 3.0, 7.0, 12.0, 40.0], [3, 12, 30, 55, 150]
    mixed = discretised(sigmas, widths)
    outside = laplacian(rng, sigmas, (1, 5, 41, 41))
    outside.flat[::97] *= 20
    outside.flat[[3, 500, 8000]] = [2147483520.0, -2147483648.0, 1e6]
    low = discretised([0.08] * 4, [2] * 4)
    cases = {
        "single-lane": (mixed, laplacian(rng, sigmas, (2, 5, 5, 7)), None),
        "lanes": (mixed, laplacian(rng, sigmas, (1, 5, 41, 41)), None),
        "escapes": (mixed, outside, None),
        "low-rate": (low, laplacian(rng, [0.08] * 4, (1, 4, 47, 48)), None),
        "indexes": (
            mixed,
            laplacian(rng, [3.0] * 9, (1, 9, 31, 30)),
            rng.randint(0, 5, (1, 9, 31, 30)),
        ),
    }
    os.makedirs(FOLDER, exist_ok=True)
    for name, (tables, latent, indexes) in cases.items():
        for kind in ("interleaved", "compressai"):
            if kind == "compressai" and name in ("lanes", "low-rate", "escapes"):
                continue
            coder = RangeCoder(tables, kind, path="reference")
            vector = Vector(name, kind, tables, latent, indexes, coder.encode(latent, indexes))
            write(os.path.join(FOLDER, "%s-%s.bin" % (name, kind)), vector)


if __name__ == "__main__":
    main()
