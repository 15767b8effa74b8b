"""`RangeCoder`: latents to byte strings and back, on the fastest path that this machine has."""

import math
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from device_configs.errors import BitstreamError, UsageError
from device_configs.names import check_known
from engines.rangecoder import compressai_format, container, reference
from engines.rangecoder.tables import TOTAL, Tables

FORMATS = ("interleaved", "compressai")
MAX_SYMBOLS = (1 << 31) - 1  # of one item
_SLACK_BYTES = 512


class RangeCoder:
    """Codes latents of shape (N, C, H, W) under fixed tables.

    Args:
        tables: the entropy tables; without `indexes`, table c is channel c's.
        format: "interleaved" (ours: fast, checked, see docs/bitstream.md) or "compressai"
            (the strings that CompressAI writes and reads, without any check of their own).
        path: which code runs: None for the best there is, or "reference".

    Attributes:
        path: what runs: "reference" or the native library's choice.

    Raises:
        UsageError: the format or path is unknown.
    """

    def __init__(
        self, tables: Tables, format: str = "interleaved", path: Optional[str] = None
    ) -> None:
        check_known("bitstream format", format, FORMATS)
        if not isinstance(tables, Tables):
            raise UsageError("tables must be Tables, not %s" % type(tables).__name__)
        self.tables = tables
        self.format = format
        self.path = "reference"
        self._floor_bits = _floor_bits(tables)

    def encode(self, latent: np.ndarray, indexes: Optional[np.ndarray] = None) -> List[bytes]:
        """Quantise and code a batch of latents.

        Args:
            latent: float32 (N, C, H, W), finite; its symbols are rint(latent - median).
            indexes: integers of the same shape choosing each symbol's table (hyperprior
                models); the channel when omitted.

        Returns:
            One string an item.

        Raises:
            UsageError: an array of another dtype or shape, or an empty one.
            BitstreamError: a value is NaN, infinite, or beyond int32 when rounded.
        """
        latent = self._array("latent", latent, np.float32)
        tables = self._indexes(indexes, latent.shape)
        symbols = reference.quantize(latent, self.tables.medians[tables])
        if symbols is None:
            raise not_codable(latent)
        return self._encode(symbols, tables)

    def decode(
        self, strings: Sequence[bytes], shape: Tuple[int, int], indexes: Optional[np.ndarray] = None
    ) -> np.ndarray:
        """The latents in `strings`: float32 (N, C, H, W), rint(latent - median) + median.

        Args:
            strings: what `encode` returned.
            shape: (H, W).
            indexes: as given to `encode`.

        Raises:
            UsageError: an argument is malformed.
            BitstreamError: a string is truncated, extended, damaged or none of this format.
            DesyncError: a string is whole, but of other tables, shape or indexes.
        """
        symbols, tables = self._decode(strings, shape, indexes)
        return symbols.astype(np.float32) + self.tables.medians[tables]

    def encode_symbols(
        self, symbols: np.ndarray, indexes: Optional[np.ndarray] = None
    ) -> List[bytes]:
        """Like `encode`, of int32 symbols (N, C, H, W) that are quantised already."""
        symbols = self._array("symbols", symbols, np.int32)
        return self._encode(symbols, self._indexes(indexes, symbols.shape))

    def decode_symbols(
        self, strings: Sequence[bytes], shape: Tuple[int, int], indexes: Optional[np.ndarray] = None
    ) -> np.ndarray:
        """Like `decode`, to int32 symbols (N, C, H, W)."""
        return self._decode(strings, shape, indexes)[0]

    def _array(self, name: str, array: Any, dtype: Any) -> np.ndarray:
        wanted = "%s must be a %s array (N, C, H, W)" % (name, np.dtype(dtype).name)
        if not isinstance(array, np.ndarray):
            raise UsageError("%s, not %s" % (wanted, type(array).__name__))
        if array.dtype != dtype or array.ndim != 4:
            raise UsageError("%s, not %s of shape %s" % (wanted, array.dtype, array.shape))
        if array.size == 0:
            raise UsageError("%s is empty: its shape is %s" % (name, array.shape))
        if array.size // array.shape[0] > MAX_SYMBOLS:
            raise UsageError("%s has more than %d symbols an item" % (name, MAX_SYMBOLS))
        return np.ascontiguousarray(array)

    def _indexes(self, indexes: Any, shape: Tuple[int, ...]) -> np.ndarray:
        """The table of every symbol, broadcastable to `shape` (N, C, H, W)."""
        if indexes is None:
            if shape[1] != self.tables.count:
                raise UsageError(
                    "the latent has %d channels and there are tables for %d"
                    % (shape[1], self.tables.count),
                    "use the tables of the same bundle, or give indexes",
                )
            return np.arange(self.tables.count).reshape(1, -1, 1, 1)
        if not isinstance(indexes, np.ndarray) or indexes.dtype.kind not in "iu":
            raise UsageError("indexes must be an array of integers")
        if indexes.shape != shape:
            raise UsageError("indexes have shape %s, symbols %s" % (indexes.shape, shape))
        if indexes.min() < 0 or indexes.max() >= self.tables.count:
            raise UsageError("indexes must lie in 0 to %d" % (self.tables.count - 1))
        return indexes

    def _encode(self, symbols: np.ndarray, tables: np.ndarray) -> List[bytes]:
        shape = symbols.shape
        tables = np.broadcast_to(tables, shape)
        strings = []
        for item, chosen in zip(symbols, tables):
            if self.format == "compressai":
                strings.append(compressai_format.encode(item.ravel(), chosen.ravel(), self.tables))
                continue
            rows = (shape[1], shape[2] * shape[3])
            lanes, payload = reference.encode(item.reshape(rows), chosen.reshape(rows), self.tables)
            strings.append(container.wrap(lanes, self.tables.id, shape[2], shape[3], payload))
        return strings

    def _decode(
        self, strings: Sequence[bytes], shape: Tuple[int, int], indexes: Any
    ) -> Tuple[np.ndarray, np.ndarray]:
        full, tables = self._decode_arguments(strings, shape, indexes)
        bodies = [self._checked(data, full, indexes is not None) for data in strings]
        symbols = np.empty(full, np.int32)
        tables = np.broadcast_to(tables, full)
        rows = (full[1], full[2] * full[3])
        for i, (data, header) in enumerate(bodies):
            chosen = tables[i].reshape(rows)
            if header is None:
                item = compressai_format.decode(data, chosen.ravel(), self.tables)
            else:
                payload = data[header.start :]
                item = reference.decode(
                    payload, header.lanes, rows[0], rows[1], chosen, self.tables
                )
            symbols[i] = item.reshape(full[1:])
        return symbols, tables

    def _decode_arguments(
        self, strings: Any, shape: Any, indexes: Any
    ) -> Tuple[Tuple[int, int, int, int], np.ndarray]:
        """The full shape (N, C, H, W) and the tables of its symbols."""
        if isinstance(strings, (bytes, str)) or not len(strings):
            raise UsageError("strings must be a list of one byte string an item")
        if not all(isinstance(data, (bytes, bytearray, memoryview)) for data in strings):
            raise UsageError("strings must hold bytes")
        try:
            height, width = (int(size) for size in shape)
        except (TypeError, ValueError):
            raise UsageError("shape must be (H, W), not %r" % (shape,))
        channels = self.tables.count if indexes is None else np.shape(indexes)[1:2]
        if indexes is not None:
            channels = channels[0] if channels else 0
        full = (len(strings), int(channels), height, width)
        if height < 1 or width < 1 or full[1] < 1 or full[1] * height * width > MAX_SYMBOLS:
            raise UsageError("a latent of %dx%dx%d cannot be decoded" % full[1:])
        return full, self._indexes(indexes, full)

    def _checked(
        self, data: Any, full: Tuple[int, int, int, int], indexed: bool
    ) -> Tuple[bytes, Optional[container.Header]]:
        """A string and its header (None in CompressAI's format), checked before any allocation."""
        data = bytes(data)
        header = None
        if self.format == "interleaved":
            header = container.parse(data)
            container.check(header, self.tables, full[2], full[3])
        floor = min(self._floor_bits) * full[1] if indexed else sum(self._floor_bits)
        if floor * full[2] * full[3] > 8 * (len(data) + _SLACK_BYTES):
            raise BitstreamError(
                "a latent of %dx%dx%d does not fit into %d bytes" % (full[1:] + (len(data),)),
                "ask for the shape that was sent",
            )
        return data, header


def not_codable(latent: np.ndarray) -> BitstreamError:
    """The sentence for a latent that holds NaN, infinity or numbers beyond int32."""
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
    """A lower bound of the bits that a symbol of each table takes, so that a short string cannot
    ask for a large latent."""
    floors = []
    for row, length in zip(tables.cdf, tables.cdf_length):
        floors.append(0.98 * math.log2(TOTAL / float(np.diff(row[:length]).max())))
    return floors
