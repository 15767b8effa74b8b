"""The C++ library, through its C interface. It is next to this file, but may be missing."""

import ctypes
import functools
import importlib.util
import os
import platform
from typing import Any, Iterator, List, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError, EngineError
from splitwatt.engines.rangecoder import container
from splitwatt.engines.rangecoder.tables import Tables

NAME = "_rangecoder.so"
ABI_VERSION = 1
PATHS = {"scalar": 1, "neon": 2, "avx2": 3, "avx512": 4}
_NAMES = {code: name for name, code in PATHS.items()}
# Of src/status.h. Below NOT_CODABLE are the faults of a string.
NO_MEMORY, NOT_CODABLE, TRUNCATED, DAMAGED = -2, -3, -5, -6

_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_OUT = [ctypes.POINTER(_POINTER), ctypes.POINTER(_SIZE)]
_ENCODE = [_POINTER, _INT, _POINTER, _POINTER, _SIZE, _SIZE, _SIZE] + _OUT
_DECODE = [_POINTER, _INT, ctypes.c_char_p, _SIZE, _POINTER, _SIZE, _SIZE, _SIZE, _POINTER]
_SIGNATURES = {
    "sw_abi_version": [],
    "sw_has_path": [_INT],
    "sw_best_path": [],
    "sw_tables_new": [_POINTER, _SIZE, _SIZE, _POINTER, _POINTER, _POINTER, ctypes.c_char_p]
    + [ctypes.POINTER(_POINTER)],
    "sw_tables_free": [_POINTER],
    "sw_encode": _ENCODE,
    "sw_encode_symbols": _ENCODE,
    "sw_decode": _DECODE,
    "sw_decode_symbols": _DECODE,
    "sw_encode_compressai": [_POINTER, _POINTER, _POINTER, _SIZE, _SIZE] + _OUT,
    "sw_decode_compressai": [_POINTER, ctypes.c_char_p, _SIZE, _POINTER, _SIZE, _SIZE, _POINTER],
}


class NotCodableError(Exception):
    """A value cannot be coded; the caller, which has the array, raises the final error."""


class Library:
    """The loaded library.

    Raises:
        OSError, AttributeError: `path` is not a library for this machine with this interface.
    """

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes = arguments
            function.restype = None if name == "sw_tables_free" else _INT
        if library.sw_abi_version() != ABI_VERSION:
            raise AttributeError("%s has another interface version" % path)
        self.file = path
        self.functions = library
        self.best = _NAMES[library.sw_best_path()]
        self.paths = [name for name in PATHS if library.sw_has_path(PATHS[name])]


@functools.lru_cache(maxsize=None)
def library() -> Library:
    """The library, loaded once.

    Raises:
        EngineError: it is not built, or does not load on this machine.
    """
    why = "the range coder's library is not built"
    for path in candidates():
        try:
            return Library(path)
        except (OSError, AttributeError) as error:
            why = "%s does not load on this machine (%s): %s" % (path, platform.machine(), error)
    raise EngineError(why, "splitwatt build --no-engines")


def candidates() -> List[str]:
    """The library's possible files: next to this one, and where an editable install put it."""
    paths = [os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)]
    spec = importlib.util.find_spec("splitwatt.engines.rangecoder._rangecoder")
    if spec is not None and spec.origin and spec.origin not in paths:
        paths.append(spec.origin)
    return [path for path in paths if os.path.isfile(path)]


class NativeCoder:
    """Codes batches with the library, which holds a copy of the tables. Threads may share it."""

    def __init__(self, library: Library, tables: Tables, format: str, path: str) -> None:
        self._functions, self._tables = library.functions, tables
        self._whole_rows = format == "compressai"  # its functions take no height, width and path
        handle = _POINTER()
        arrays = [_address(array) for array in (tables.cdf_length, tables.offset, tables.medians)]
        status = self._functions.sw_tables_new(
            _address(tables.cdf), *tables.cdf.shape, *arrays, bytes.fromhex(tables.id),
            ctypes.byref(handle),
        )  # fmt: skip
        _check(status)
        self._handle = handle.value
        self._head = (self._handle,) if self._whole_rows else (self._handle, PATHS[path])

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            self._functions.sw_tables_free(handle)

    def encode(self, values: np.ndarray, indexes: Optional[np.ndarray]) -> List[bytes]:
        """Strings of int32 `values` (N, C, H, W), contiguous, or float32 ones in our own format.

        Raises:
            BitstreamError: a symbol is too far from its table for CompressAI's format.
            NotCodableError: a value of our own format has no symbol.
        """
        code = self._function("sw_encode", values)
        string, size = _POINTER(), _SIZE()
        strings = []
        for item, table in _items(values, indexes):
            status = code(*self._head, item, table, *self._sides(values), string, size)
            if status == NOT_CODABLE and self._whole_rows:
                raise BitstreamError(
                    "a symbol lies too far from its table for CompressAI's format",
                    "use the interleaved format, or fit the tables to the latent",
                )
            _check(status)
            strings.append(ctypes.string_at(string, size.value))
        return strings

    def decode(
        self, strings: List[bytes], indexes: Optional[np.ndarray], out: np.ndarray
    ) -> np.ndarray:
        """Fill `out`, int32 or (in our own format) float32 (N, C, H, W), and return it.

        Raises:
            BitstreamError, DesyncError: what is wrong with a string.
        """
        code, sides = self._function("sw_decode", out), self._sides(out)
        for data, (item, table) in zip(strings, _items(out, indexes)):
            status = code(*self._head, data, len(data), table, *sides, item)
            if status < NOT_CODABLE:
                if not self._whole_rows:
                    container.check(container.parse(data), self._tables, *out.shape[2:])
                    if status == DAMAGED:  # not the header, so the number of tail steps
                        raise BitstreamError(
                            "the bitstream is damaged: its tail is malformed", "send it again"
                        )
                elif status == TRUNCATED:
                    raise container.no_words(len(data))
                raise container.desync()
            _check(status)
        return out

    def _function(self, name: str, values: np.ndarray) -> Any:
        if self._whole_rows:
            return getattr(self._functions, name + "_compressai")
        return getattr(self._functions, name + ("_symbols" if values.dtype == np.int32 else ""))

    def _sides(self, array: np.ndarray) -> Tuple[int, ...]:
        _, channels, height, width = array.shape
        return (channels, height * width) if self._whole_rows else (channels, height, width)


def _check(status: int) -> None:
    if status == NOT_CODABLE:
        raise NotCodableError()
    if status == NO_MEMORY:
        raise EngineError("no memory is left for the range coder", "use a smaller batch")
    if status:
        raise EngineError("the range coder failed with status %d" % status)


def _items(array: np.ndarray, indexes: Optional[np.ndarray]) -> Iterator[Tuple[int, Optional[int]]]:
    """The addresses of each item, and of its indexes: both have 4 bytes a symbol."""
    stride = array.nbytes // len(array)
    for offset in range(0, array.nbytes, stride):
        yield _address(array) + offset, None if indexes is None else _address(indexes) + offset


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
