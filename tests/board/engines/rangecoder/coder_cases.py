"""Latents and tables for the range coder's tests."""

import numpy as np

from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.rangecoder.tables import TOTAL


def random_tables(rng, sizes, offsets=None, medians=None):
    """A table of `size` intervals (the escape among them) for each of `sizes`."""
    cdf = np.zeros((len(sizes), max(sizes) + 1), np.int32)
    for row, size in zip(cdf, sizes):
        weights = rng.dirichlet(np.full(size, 0.5))
        freqs = (weights * (TOTAL - size)).astype(int) + 1
        freqs[freqs.argmax()] += TOTAL - freqs.sum()
        row[1 : size + 1] = np.cumsum(freqs)
    if offsets is None:
        offsets = [-(size // 2) for size in sizes]
    if medians is None:
        medians = rng.uniform(-0.5, 0.5, len(sizes)).astype(np.float32)
    return Tables(cdf, [size + 1 for size in sizes], offsets, medians)


def fitting_latent(rng, tables, shape, outside=0.0, indexes=None):
    """A latent whose symbols come from its tables; a share `outside` of them does not."""
    if indexes is None:
        indexes = np.broadcast_to(np.arange(shape[1]).reshape(1, -1, 1, 1), shape)
    slots = rng.randint(0, TOTAL, shape)
    symbols = np.empty(shape, np.float64)
    for t in range(tables.count):
        cdf = tables.cdf[t, : tables.cdf_length[t]]
        entry = np.searchsorted(cdf, slots, "right") - 1
        entry = np.minimum(entry, len(cdf) - 3)  # no escapes by chance
        symbols = np.where(indexes == t, entry + tables.offset[t], symbols)
    noise = rng.uniform(-0.45, 0.45, shape)
    latent = symbols + noise + tables.medians[indexes]
    far = rng.rand(*shape) < outside
    latent = np.where(far, latent + rng.standard_cauchy(shape) * 100, latent)
    return latent.astype(np.float32)


def rounded(latent, tables, indexes=None):
    """rint(latent - median) + median, as CompressAI computes it."""
    if indexes is None:
        indexes = np.arange(tables.count).reshape(1, -1, 1, 1)
    medians = tables.medians[indexes]
    return np.rint(latent - medians) + medians


def entropy_bytes(latent, tables):
    """The bytes that the symbols take under the 16-bit tables, without any escape."""
    medians = tables.medians.reshape(1, -1, 1, 1)
    symbols = np.rint(latent - medians).astype(np.int64)
    bits = 0.0
    for channel in range(tables.count):
        cdf = tables.cdf[channel, : tables.cdf_length[channel]].astype(np.float64)
        entry = symbols[:, channel].ravel() - tables.offset[channel]
        bits -= np.log2(np.diff(cdf)[entry] / TOTAL).sum()
    return bits / 8
