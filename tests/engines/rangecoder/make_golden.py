"""Makes the golden vectors with the NumPy reference: python -m tests.engines.rangecoder.make_golden.

They are part of the format: bytes that change here are another format version.
"""

import os

import numpy as np

from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.rangecoder.coder import FORMATS
from splitwatt.engines.rangecoder.golden import FOLDER, MAGIC, Vector
from splitwatt.engines.rangecoder.tables import TOTAL
from tests.board.engines.rangecoder.reference import Reference


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


def write(path, vector):
    """Write what `read` reads; `latent` must be numbers of 1/128 but for few."""
    latent = vector.latent.ravel()
    fixed = np.clip(np.nan_to_num(np.rint(latent * 128)), -32768, 32767).astype("<i2")
    odd = np.flatnonzero(fixed.astype(np.float32) / np.float32(128) != latent)
    tables = vector.tables
    parts = []
    head = [FORMATS.index(vector.format), tables.count, tables.cdf.shape[1]]
    head += list(vector.latent.shape) + [int(vector.indexes is not None), len(odd)]
    parts += [np.array(head, "<i4"), tables.cdf.astype("<i4"), tables.cdf_length.astype("<i4")]
    parts += [tables.offset.astype("<i4"), tables.medians.astype("<f4"), bytes.fromhex(tables.id)]
    parts.append(fixed)
    for position in odd.tolist():
        parts += [np.array([position], "<i4"), latent[position : position + 1].astype("<f4")]
    if vector.indexes is not None:
        parts.append(vector.indexes.astype("u1"))
    parts.append(np.array([len(data) for data in vector.strings], "<i4"))
    parts += vector.strings
    raw = [part if isinstance(part, bytes) else part.tobytes() for part in parts]
    with open(path, "wb") as stream:
        stream.write(MAGIC + b"".join(part + bytes(-len(part) % 4) for part in raw))


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
            coder = Reference(tables, kind)
            vector = Vector(name, kind, tables, latent, indexes, coder.encode(latent, indexes))
            write(os.path.join(FOLDER, "%s-%s.bin" % (name, kind)), vector)


if __name__ == "__main__":
    main()
