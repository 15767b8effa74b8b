"""`RangeCoder`: latents to byte strings and back, with the fastest code for this machine."""

import math
import operator
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError, EngineError, UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.engines.rangecoder import container, native
from splitwatt.engines.rangecoder.tables import TOTAL, Tables

FORMATS = ("interleaved", "compressai")
MAX_SYMBOLS = (1 << 31) - 1  # of one item
_SLACK_BYTES = 512

Shape = Tuple[int, int, int, int]  # (N, C, H, W)


class RangeCoder:
    """Codes latents of shape (N, C, H, W) under fixed tables.

    Args:
        tables: the entropy tables; without `indexes`, channel c uses table c.
        format: "interleaved" (splitwatt's own: fast and checked, see docs/bitstream.md) or
            "compressai" (the strings that CompressAI writes and reads, which have no checksum).
        path: the code to run: None for the fastest, or "scalar", "neon", "avx2", "avx512". All write
            the same bytes.

    Attributes:
        path: the code that runs. In CompressAI's format all paths are the same code.

    Raises:
        UsageError: the format or path is unknown.
        EngineError: the library is not built, or this machine cannot run that path.
    """

    def __init__(
        self, tables: Tables, format: str = "interleaved", path: Optional[str] = None
    ) -> None:
        check_known("bitstream format", format, FORMATS)
        if not isinstance(tables, Tables):
            raise UsageError("tables must be Tables, not %s" % type(tables).__name__)
        library = native.library()
        self.tables = tables
        self.format = format
        self.path = library.best if path is None else path
        check_known("coder path", self.path, native.PATHS)
        if self.path not in library.paths:
            raise EngineError(
                "the range coder's path '%s' cannot run here" % path,
                "this processor has: " + ", ".join(library.paths),
            )
        self._native = native.NativeCoder(library, tables, format, self.path)
        floors = _floor_bits(tables)
        self._row_floor, self._symbol_floor = sum(floors), min(floors)

    def encode(self, latent: np.ndarray, indexes: Optional[np.ndarray] = None) -> List[bytes]:
        """Quantise and code a batch of latents.

        Args:
            latent: float32 (N, C, H, W), finite; its symbols are rint(latent - median).
            indexes: integers of the same shape: each symbol's table (hyperprior models); by default
                the channel.

        Returns:
            One string per item.

        Raises:
            UsageError: an array has another dtype or shape, or is empty.
            BitstreamError: a value is NaN, infinite, or outside int32 after rounding.
        """
        latent = self._array("latent", latent, np.float32)
        indexes = self._indexes(indexes, latent.shape)
        if self.format == "compressai":
            return self._native.encode(quantize(latent, self.medians(indexes)), indexes)
        try:
            return self._native.encode(latent, indexes)
        except native.NotCodableError:
            raise not_codable(latent)

    def decode(
        self, strings: Sequence[bytes], shape: Tuple[int, int], indexes: Optional[np.ndarray] = None
    ) -> np.ndarray:
        """The latents in `strings`: float32 (N, C, H, W), rint(latent - median) + median.

        Args:
            strings: from `encode`.
            shape: (H, W).
            indexes: the same as for `encode`.

        Raises:
            UsageError: an argument is malformed.
            BitstreamError: a string is truncated, extended, damaged or of another format.
            DesyncError: a string is complete, but for other tables, shape or indexes.
        """
        full, indexes, bodies = self._opened(strings, shape, indexes)
        if self.format == "interleaved":
            return self._native.decode(bodies, indexes, np.empty(full, np.float32))
        symbols = self._native.decode(bodies, indexes, np.empty(full, np.int32))
        values: np.ndarray = symbols.astype(np.float32) + self.medians(indexes)
        return values

    def encode_symbols(
        self, symbols: np.ndarray, indexes: Optional[np.ndarray] = None
    ) -> List[bytes]:
        """Like `encode`, for int32 symbols (N, C, H, W)."""
        symbols = self._array("symbols", symbols, np.int32)
        return self._native.encode(symbols, self._indexes(indexes, symbols.shape))

    def decode_symbols(
        self, strings: Sequence[bytes], shape: Tuple[int, int], indexes: Optional[np.ndarray] = None
    ) -> np.ndarray:
        """Like `decode`, but returns int32 symbols (N, C, H, W)."""
        full, indexes, bodies = self._opened(strings, shape, indexes)
        return self._native.decode(bodies, indexes, np.empty(full, np.int32))

    def medians(self, indexes: Optional[np.ndarray]) -> np.ndarray:
        """The median of each symbol, which broadcasts to (N, C, H, W)."""
        medians: np.ndarray = self.tables.medians
        return medians.reshape(1, -1, 1, 1) if indexes is None else medians[indexes]

    def _array(self, name: str, array: Any, dtype: Any) -> np.ndarray:
        wanted = "%s must be an array of %s (N, C, H, W)" % (name, np.dtype(dtype).name)
        if not isinstance(array, np.ndarray):
            raise UsageError("%s, not %s" % (wanted, type(array).__name__))
        if array.dtype != dtype or array.ndim != 4:
            raise UsageError("%s, not %s of shape %s" % (wanted, array.dtype, array.shape))
        if array.size == 0:
            raise UsageError("%s is empty: its shape is %s" % (name, array.shape))
        if array.size // array.shape[0] > MAX_SYMBOLS:
            raise UsageError("%s has more than %d symbols an item" % (name, MAX_SYMBOLS))
        return np.ascontiguousarray(array)

    def _indexes(self, indexes: Any, shape: Tuple[int, ...]) -> Optional[np.ndarray]:
        """`indexes` as contiguous int32 of `shape`, checked; None stays None."""
        if indexes is None:
            if shape[1] != self.tables.count:
                raise UsageError(
                    "the latent has %d channels and there are tables for %d"
                    % (shape[1], self.tables.count),
                    "use the tables of the same bundle, or give indexes",
                )
            return None
        if not isinstance(indexes, np.ndarray) or indexes.dtype.kind not in "iu":
            raise UsageError("indexes must be an array of integers")
        if indexes.shape != tuple(shape):
            raise UsageError(
                "indexes have shape %s, the symbols %s" % (indexes.shape, tuple(shape))
            )
        if indexes.min() < 0 or indexes.max() >= self.tables.count:
            raise UsageError("indexes must lie in 0 to %d" % (self.tables.count - 1))
        return np.ascontiguousarray(indexes, np.int32)

    def _opened(
        self, strings: Any, shape: Any, indexes: Any
    ) -> Tuple[Shape, Optional[np.ndarray], List[bytes]]:
        """The arguments of a decoding, checked before anything is allocated: the full shape
        (N, C, H, W), the indexes, the strings."""
        if not isinstance(strings, (list, tuple)) or not strings:
            raise UsageError("strings must be a list of one byte string an item")
        try:
            height, width = (operator.index(size) for size in shape)
        except (TypeError, ValueError):
            raise UsageError("shape must be (H, W), not %r" % (shape,))
        channels = self.tables.count
        if indexes is not None:
            if not isinstance(indexes, np.ndarray) or indexes.ndim != 4:
                raise UsageError("indexes must be an array (N, C, H, W)")
            channels = indexes.shape[1]
        full = (len(strings), channels, height, width)
        if min(full) < 1 or channels * height * width > MAX_SYMBOLS:
            raise UsageError("a latent of %dx%dx%d cannot be decoded" % full[1:])
        bodies = [self._plausible(data, full, indexes is not None) for data in strings]
        return full, self._indexes(indexes, full), bodies

    def _plausible(self, data: Any, full: Shape, indexed: bool) -> bytes:
        """`data` as bytes; an error if it is too short for so many symbols, because a short string
        must not cause a large allocation."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise UsageError("strings must hold bytes, not %s" % type(data).__name__)
        string = bytes(data)
        floor = self._symbol_floor * full[1] if indexed else self._row_floor
        if floor * full[2] * full[3] > 8 * (len(string) + _SLACK_BYTES):
            if self.format == "interleaved":  # an error in the string itself is reported first
                container.check(container.parse(string), self.tables, full[2], full[3])
            raise BitstreamError(
                "a latent of %dx%dx%d does not fit into %d bytes" % (full[1:] + (len(string),)),
                "ask for the shape that was sent",
            )
        return string


def quantize(latent: np.ndarray, medians: np.ndarray) -> np.ndarray:
    """float32 `latent` as int32 symbols: rint(latent - median), ties to even.

    Raises:
        BitstreamError: a value is not finite, or its symbol is beyond int32.
    """
    rounded = np.rint(latent - medians)
    if not ((rounded >= -(2.0**31)) & (rounded < 2.0**31)).all():
        raise not_codable(latent)
    symbols: np.ndarray = rounded.astype(np.int32)
    return symbols


def not_codable(latent: np.ndarray) -> BitstreamError:
    """The error for a latent that holds NaN, infinity or numbers outside int32."""
    if np.isnan(latent).any():
        what = "NaN"
    elif np.isinf(latent).any():
        what = "infinity"
    else:
        what = "a number beyond 32 bits"
    return BitstreamError(
        "the latent holds %s and cannot be coded" % what, "look at the encoder and its input"
    )


def _floor_bits(tables: Tables) -> List[float]:
    """The least bits that a symbol of each table takes, so that a short string cannot claim to hold
    a large latent."""
    floors = []
    for row, length in zip(tables.cdf, tables.cdf_length):
        floors.append(0.98 * math.log2(TOTAL / float(np.diff(row[:length]).max())))
    return floors
