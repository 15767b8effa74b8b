"""CompressAI's own byte strings in plain Python: one 64-bit rANS state, words of 32 bits.

The format is InterDigital's `compressai.ans`: a state x >= 2**31, 16-bit probabilities, 4-bit
"bypass" digits for what lies outside a table. Symbols of an item are coded backwards in raster
order. The string is a sequence of little-endian 32-bit words: the state, low word first, then the
stream. It has no header and no checksum.
"""

import bisect
from typing import List, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.rangecoder.reference import INT32_MAX, INT32_MIN, desync
from splitwatt.engines.rangecoder.tables import Tables

LOW = 1 << 31
_DIGIT_BITS = 4
_LARGEST_DIGIT = 15
_MAX_DIGITS = 8  # of 4 bits: 32 bits


def encode(symbols: np.ndarray, indexes: np.ndarray, tables: Tables) -> bytes:
    """Code one item: int32 symbols and their tables, both flat; the string CompressAI writes.

    Raises:
        BitstreamError: a symbol is further from its table than the format can say.
    """
    cdfs = _rows(tables)
    offsets = tables.offset.tolist()
    x = LOW
    words: List[int] = []
    for symbol, t in zip(symbols[::-1].tolist(), indexes[::-1].tolist()):
        cdf = cdfs[t]
        entry, digits = _entry(symbol - offsets[t], len(cdf) - 2)
        for digit in reversed(digits):
            if x >= 1 << 59:
                words.append(x & 0xFFFFFFFF)
                x >>= 32
            x = x << _DIGIT_BITS | digit
        start = cdf[entry]
        freq = cdf[entry + 1] - start
        if x >= freq << 47:
            words.append(x & 0xFFFFFFFF)
            x >>= 32
        x = (x // freq << 16) + x % freq + start
    words += [x >> 32, x & 0xFFFFFFFF]
    return np.array(words[::-1], "<u4").tobytes()


def decode(data: bytes, indexes: np.ndarray, tables: Tables) -> np.ndarray:
    """Decode one item: int32 symbols of the tables `indexes` (flat).

    Raises:
        BitstreamError: the string cannot be CompressAI's.
        DesyncError: it does not end where a sound string ends.
    """
    stream = StringDecoder(data, tables)
    symbols = stream.read(indexes)
    stream.finish()
    return symbols


class StringDecoder:
    """One string read piece by piece, for a prior whose tables hang on the symbols before.

    Raises:
        BitstreamError: the string cannot be CompressAI's.
    """

    def __init__(self, data: bytes, tables: Tables) -> None:
        if len(data) < 8 or len(data) % 4:
            raise BitstreamError(
                "a CompressAI string has 8 bytes or more in words of 4, not %d bytes" % len(data),
                "send it again",
            )
        self._cdfs = _rows(tables)
        self._offsets = tables.offset.tolist()
        self._state = _State(np.frombuffer(data, "<u4").astype(np.uint32).data)

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """The next int32 symbols, of the tables `indexes` (flat); DesyncError for a damaged one."""
        state, offsets = self._state, self._offsets
        out = []
        for t in indexes.tolist():
            cdf = self._cdfs[t]
            slot = state.x & 65535
            entry = bisect.bisect_right(cdf, slot) - 1
            state.advance((cdf[entry + 1] - cdf[entry]) * (state.x >> 16) + slot - cdf[entry])
            last = len(cdf) - 2
            if entry == last:
                distance = _distance(state)
                entry = -((distance + 1) // 2) if distance & 1 else last + distance // 2
            symbol = entry + offsets[t]
            if not INT32_MIN <= symbol <= INT32_MAX:
                raise desync()
            out.append(symbol)
        return np.array(out, np.int32)

    def finish(self) -> None:
        """Raise DesyncError unless this is where a sound string ends."""
        if self._state.x != LOW or self._state.at != len(self._state.words):
            raise desync()


class _State:
    """The decoder's state and its place among the words."""

    def __init__(self, words: memoryview) -> None:
        self.words = words
        self.x = words[0] | words[1] << 32
        self.at = 2
        if not LOW <= self.x < LOW << 32:
            raise desync()

    def advance(self, x: int) -> None:
        if x < LOW:
            if self.at == len(self.words):
                raise desync()
            x = x << 32 | self.words[self.at]
            self.at += 1
        self.x = x

    def digit(self) -> int:
        digit = self.x & _LARGEST_DIGIT
        self.advance(self.x >> _DIGIT_BITS)
        return digit


def _rows(tables: Tables) -> List[List[int]]:
    return [row[:length].tolist() for row, length in zip(tables.cdf, tables.cdf_length)]


def _entry(value: int, last: int) -> Tuple[int, List[int]]:
    """The interval of a value and the bypass digits that follow it, as a decoder meets them."""
    if 0 <= value < last:
        return value, []
    distance = -2 * value - 1 if value < 0 else 2 * (value - last)
    if distance >> 32:
        raise BitstreamError(
            "a symbol lies %d from its table, which CompressAI's format cannot say" % distance,
            "use the interleaved format, or fit the tables to the latent",
        )
    digits: List[int] = []
    while distance >> (_DIGIT_BITS * len(digits)):
        digits.append(distance >> (_DIGIT_BITS * len(digits)) & _LARGEST_DIGIT)
    return last, [len(digits)] + digits  # at most 8 digits: their number is below 15


def _distance(state: _State) -> int:
    count = state.digit()
    if count > _MAX_DIGITS:
        raise desync()
    distance = 0
    for i in range(count):
        distance |= state.digit() << (_DIGIT_BITS * i)
    return distance
