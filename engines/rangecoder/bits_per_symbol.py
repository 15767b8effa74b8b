"""The bits of each symbol with its table."""

from typing import Optional

import numpy as np

from splitwatt.engines.rangecoder.tables import PRECISION, Tables

_NIBBLE_BITS = 4  # of an octal digit of an escaped symbol's distance: see docs/bitstream.md


def symbol_bits(
    tables: Tables, symbols: np.ndarray, indexes: Optional[np.ndarray] = None
) -> np.ndarray:
    """Bits of each symbol: minus the binary logarithm of its probability.

    Args:
        tables: the tables that they are coded with.
        symbols: integers (C, H, W): rounded values minus their median or mean.
        indexes: the table of each symbol, of the same shape; by default the channel.

    Returns:
        float32 (C, H, W), without the bits of the header and of the lanes' states.
    """
    if indexes is None:
        indexes = np.broadcast_to(np.arange(len(symbols)).reshape(-1, 1, 1), symbols.shape)
    counts = np.diff(tables.cdf.astype(np.int64), axis=1)
    last = tables.cdf_length[indexes] - 2  # the escape's interval
    place = symbols.astype(np.int64) - tables.offset[indexes]
    escaped = (place < 0) | (place >= last)
    distance = np.where(place >= last, 2 * (place - last), -2 * place - 1)
    place = np.where(escaped, last, place)
    bits = PRECISION - np.log2(counts[indexes, place])
    return np.asarray(bits + np.where(escaped, _NIBBLE_BITS * _digits(distance), 0), np.float32)


def _digits(distance: np.ndarray) -> np.ndarray:
    """Octal digits of each number, at least one."""
    left, digits = np.maximum(distance, 0) >> 3, np.ones(distance.shape, np.int64)
    while left.any():
        digits += left > 0
        left = left >> 3
    return digits
