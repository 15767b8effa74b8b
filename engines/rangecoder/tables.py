"""Entropy tables: the integers that both ends of a link must share, checked, with an id."""

import hashlib
import os
from typing import Any, Optional

import numpy as np

from splitwatt.device_configs.errors import BundleError
from splitwatt.device_configs.files import write_atomic_with
from splitwatt.engines.bundle.arrays import MAX_BYTES, load_arrays

PRECISION = 16  # bits of a probability; every table sums to 1 << PRECISION
TOTAL = 1 << PRECISION
MAX_TABLES = 1 << 12
_NAMES = ("cdf", "cdf_length", "offset", "medians")


class Tables:
    """The quantised cumulative frequencies of an entropy model, as CompressAI lays them out.

    Args:
        cdf: int32 [tables, width]; row t holds `cdf_length[t]` rising numbers from 0 to 65536,
            then padding. The last interval is the escape, for symbols outside the table.
        cdf_length: int32 [tables], at least 3 each.
        offset: int32 [tables], the symbol of a row's first interval.
        medians: float32 [tables], subtracted before rounding and added after decoding; zeros by
            default.

    Attributes:
        sha256: 64 hexadecimal digits over the tables without their padding.
        id: the first 8 of them, which are in every bitstream.

    Raises:
        BundleError: names the array and the table.
    """

    def __init__(self, cdf: Any, cdf_length: Any, offset: Any, medians: Any = None) -> None:
        self.cdf_length = _integers("cdf_length", cdf_length, 1)
        self.count = int(self.cdf_length.shape[0])
        cdf = _integers("cdf", cdf, 2)
        self.offset = _integers("offset", offset, 1)
        self.medians = _medians(medians, self.count)
        if not 1 <= self.count <= MAX_TABLES:
            raise _wrong("there are %d tables; 1 to %d are possible" % (self.count, MAX_TABLES))
        if len(cdf) != self.count or len(self.offset) != self.count:
            raise _wrong(
                "cdf has %d rows and offset %d entries for %d tables"
                % (len(cdf), len(self.offset), self.count)
            )
        self.cdf = _trimmed(cdf, self.cdf_length)
        if (self.offset + self.cdf_length.astype(np.int64) - 2 >= 1 << 31).any():
            raise _wrong("a table's last symbol is beyond 32 bits")
        for array in (self.cdf, self.cdf_length, self.offset, self.medians):
            array.flags.writeable = False
        self.sha256 = self._digest()
        self.id = self.sha256[:8]

    def _digest(self) -> str:
        digest = hashlib.sha256(b"splitwatt tables 1\n")
        digest.update(np.asarray([self.count], "<u4").tobytes())
        for array, dtype in (
            (self.cdf_length, "<i4"),
            (self.offset, "<i4"),
            (self.medians, "<f4"),
        ):
            digest.update(array.astype(dtype).tobytes())
        for row, length in zip(self.cdf, self.cdf_length):
            digest.update(row[:length].astype("<i4").tobytes())
        return digest.hexdigest()

    def save(self, path: str) -> None:
        """Write the tables to an .npz file that holds plain arrays only, atomically."""
        arrays = {name: getattr(self, name) for name in _NAMES}
        write_atomic_with(path, lambda stream: np.savez(stream, **arrays))

    @classmethod
    def load(cls, path: str, limit_bytes: Optional[int] = None) -> "Tables":
        """Read a file that `save` wrote.

        Args:
            limit_bytes: the limit for the unpacked size; None: 64 MiB.

        Raises:
            BundleError: the file is missing, is not an .npz of these arrays, or holds invalid tables.
        """
        limit = MAX_BYTES if limit_bytes is None else min(limit_bytes, MAX_BYTES)
        arrays = load_arrays(path, limit)
        if sorted(arrays) != sorted(_NAMES):
            raise BundleError(
                "%s must hold the arrays %s" % (path, ", ".join(_NAMES)), "export the bundle again"
            )
        try:
            return cls(**arrays)
        except BundleError as error:
            raise BundleError("%s: %s" % (os.path.basename(path), error.message), error.remedy)

    @classmethod
    def from_compressai(cls, model: Any) -> "Tables":
        """The tables of an updated CompressAI EntropyBottleneck or GaussianConditional.

        Raises:
            BundleError: the model's `update()` was not called.
        """
        if model._quantized_cdf.numel() == 0:
            raise BundleError("the entropy model holds no tables", "call its update() first")
        arrays = [model._quantized_cdf, model._cdf_length.reshape(-1), model._offset.reshape(-1)]
        if hasattr(model, "_get_medians"):
            arrays.append(model._get_medians().reshape(-1))
        return cls(*(array.detach().cpu().numpy() for array in arrays))

    def __repr__(self) -> str:
        return "Tables(%d tables, id %s)" % (self.count, self.id)


def _wrong(what: str) -> BundleError:
    return BundleError("entropy tables: " + what, "export the bundle again")


def _integers(name: str, values: Any, dimensions: int) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != dimensions or array.dtype.kind not in "iu" or array.size == 0:
        raise _wrong(
            "%s must be a non-empty integer array of %d dimension(s), not %s of shape %s"
            % (name, dimensions, array.dtype, array.shape)
        )
    if array.min() < -(1 << 31) or array.max() >= 1 << 31:
        raise _wrong("%s holds numbers beyond 32 bits" % name)
    return np.array(array, dtype=np.int32, order="C")


def _medians(values: Any, count: int) -> np.ndarray:
    array = np.zeros(count, np.float32) if values is None else np.asarray(values)
    if array.dtype.kind != "f" or array.shape != (count,):
        raise _wrong(
            "medians must be float32 [%d], not %s of shape %s" % (count, array.dtype, array.shape)
        )
    array = np.array(array, dtype=np.float32, order="C")
    if not np.isfinite(array).all():
        raise _wrong("medians holds a number that is not finite")
    return array


def _trimmed(cdf: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The cdf with its padding zeroed, every row checked."""
    width = cdf.shape[1]
    short = np.flatnonzero((lengths < 3) | (lengths > width))
    if short.size:
        t = int(short[0])
        raise _wrong(
            "cdf_length[%d] is %d; 3 to %d (the width of cdf) are possible" % (t, lengths[t], width)
        )
    if width > TOTAL + 1:
        cdf = cdf[:, : TOTAL + 1]
    cdf = cdf[:, : int(lengths.max())]
    column = np.arange(cdf.shape[1])
    steps = np.diff(cdf.astype(np.int64), axis=1)
    falling = ((steps <= 0) & (column[1:] < lengths[:, None])).any(axis=1)
    ends = cdf[np.arange(len(cdf)), np.minimum(lengths, cdf.shape[1]) - 1]
    bad = np.flatnonzero(falling | (cdf[:, 0] != 0) | (ends != TOTAL))
    if bad.size:
        raise _wrong("cdf row %d does not rise strictly from 0 to %d" % (bad[0], TOTAL))
    return np.where(column < lengths[:, None], cdf, 0).astype(np.int32)
