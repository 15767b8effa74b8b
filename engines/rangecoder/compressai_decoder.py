"""Decodes CompressAI's own byte strings piece by piece: one 64-bit rANS state, words of 32 bits.

The format is InterDigital's `compressai.ans`: a state x >= 2**31, 16-bit probabilities, 4-bit
"bypass" digits for what lies outside a table. The string is a sequence of little-endian 32-bit words:
the state, low word first, then the stream. It has no header and no checksum.
"""

import bisect

import numpy as np

from splitwatt.engines.rangecoder.container import desync, no_words
from splitwatt.engines.rangecoder.tables import Tables

LOW = 1 << 31
_DIGIT_BITS = 4
_MAX_DIGITS = 8  # of 4 bits: 32 bits


class StringDecoder:
    """One string, for a prior whose tables depend on the symbols before.

    Raises:
        BitstreamError: the string cannot be CompressAI's.
    """

    def __init__(self, data: bytes, tables: Tables) -> None:
        if len(data) < 8 or len(data) % 4:
            raise no_words(len(data))
        self._cdfs = [row[:length].tolist() for row, length in zip(tables.cdf, tables.cdf_length)]
        self._offsets = tables.offset.tolist()
        self._words = iter(np.frombuffer(data, "<u4").tolist())
        self._x = next(self._words) | next(self._words) << 32
        if not LOW <= self._x < LOW << 32:
            raise desync()

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """The next int32 symbols, of the tables `indexes` (flat); DesyncError for a damaged one."""
        out = []
        for t in indexes.tolist():
            cdf = self._cdfs[t]
            slot = self._x & 65535
            entry = bisect.bisect_right(cdf, slot) - 1
            self._advance((cdf[entry + 1] - cdf[entry]) * (self._x >> 16) + slot - cdf[entry])
            last = len(cdf) - 2
            if entry == last:
                distance = self._distance()
                entry = -((distance + 1) // 2) if distance & 1 else last + distance // 2
            symbol = entry + self._offsets[t]
            if not -(1 << 31) <= symbol < 1 << 31:
                raise desync()
            out.append(symbol)
        return np.array(out, np.int32)

    def finish(self) -> None:
        """Raise DesyncError unless this is where a valid string ends."""
        if self._x != LOW or next(self._words, None) is not None:
            raise desync()

    def _advance(self, x: int) -> None:
        if x < LOW:
            word = next(self._words, None)
            if word is None:
                raise desync()
            x = x << 32 | word
        self._x = x

    def _digit(self) -> int:
        digit: int = self._x & 15
        self._advance(self._x >> _DIGIT_BITS)
        return digit

    def _distance(self) -> int:
        count = self._digit()
        if count > _MAX_DIGITS:
            raise desync()
        return sum(self._digit() << (_DIGIT_BITS * i) for i in range(count))
