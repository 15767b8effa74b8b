"""The C++ library, through its C interface. It is next to this file, but may be missing."""

import ctypes
import importlib.util
import os
import platform
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import (
    BitstreamError,
    BundleError,
    DesyncError,
    EngineError,
    SplitwattError,
)
from splitwatt.engines.rangecoder.tables import Tables

NAME = "_rangecoder.so"
ABI_VERSION = 1
PATHS = {"scalar": 1, "neon": 2, "avx2": 3, "avx512": 4}
_NAMES = {code: name for name, code in PATHS.items()}

# By the names in src/status.h; the library returns the name of a status number.
_ERRORS: Dict[str, Tuple[type, str, str]] = {
    "SW_BAD_ARGUMENT": (EngineError, "the range coder was given arguments that make no sense", ""),
    "SW_NO_MEMORY": (EngineError, "no memory is left for the range coder", "use a smaller batch"),
    "SW_NOT_OURS": (
        BitstreamError,
        "the bytes are not a splitwatt bitstream",
        "check that both ends run the same format and version",
    ),
    "SW_TRUNCATED": (
        BitstreamError,
        "the bitstream is truncated or has bytes beyond its end",
        "send it again",
    ),
    "SW_DAMAGED": (
        BitstreamError,
        "the bitstream is damaged: its CRC does not match, or a number in it is malformed",
        "send it again",
    ),
    "SW_OTHER_TABLES": (
        DesyncError,
        "the bitstream was written with other tables",
        "use one bundle on both ends",
    ),
    "SW_OTHER_SHAPE": (
        DesyncError,
        "the bitstream holds a latent of another shape",
        "ask for the shape that was sent",
    ),
    "SW_DESYNC": (
        DesyncError,
        "desync: the bitstream does not end where a valid one does",
        "tables or indexes differ between the two ends: use one bundle on both",
    ),
}

_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_OUT = [ctypes.POINTER(_POINTER), ctypes.POINTER(_SIZE)]
_ENCODE = [_POINTER, _INT, _POINTER, _POINTER, _SIZE, _SIZE, _SIZE] + _OUT
_DECODE = [_POINTER, _INT, ctypes.c_char_p, _SIZE, _POINTER, _SIZE, _SIZE, _SIZE, _POINTER]
_SIGNATURES = {
    "sw_abi_version": [],
    "sw_status_name": [_INT],
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
    "sw_quantize": [_POINTER, _POINTER, _POINTER, _SIZE, _SIZE, _POINTER],
}

_RESULTS = {"sw_tables_free": None, "sw_status_name": ctypes.c_char_p}


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
            function.restype = _RESULTS.get(name, _INT)
        if library.sw_abi_version() != ABI_VERSION:
            raise AttributeError("%s has another interface version" % path)
        self.file = path
        self.functions = library
        self.best = _NAMES[library.sw_best_path()]
        self.paths = [name for name in PATHS if library.sw_has_path(PATHS[name])]

    def check(self, status: int) -> None:
        """Raise the error of a status that is not SW_OK."""
        if status:
            name = (self.functions.sw_status_name(status) or b"status %d" % status).decode()
            if name == "SW_NOT_CODABLE":
                raise NotCodableError()
            kind, message, remedy = _ERRORS.get(
                name, (SplitwattError, "the range coder failed with %s" % name, "")
            )
            raise kind(message, remedy)


_loaded: Optional[Tuple[Optional[Library], str]] = None


def library() -> Optional[Library]:
    """The library, loaded once; None if it cannot be loaded (see `reason`)."""
    global _loaded
    if _loaded is None:
        _loaded = _load()
    return _loaded[0]


def reason() -> str:
    """Why `library()` is None; empty if it is not."""
    library()
    return _loaded[1] if _loaded else ""


def _load() -> Tuple[Optional[Library], str]:
    why = "the range coder's library is not built: splitwatt build --no-engines"
    for path in candidates():
        try:
            return Library(path), ""
        except (OSError, AttributeError) as error:
            why = "%s does not load on this machine (%s): %s" % (path, platform.machine(), error)
    return None, why


def candidates() -> List[str]:
    """The library's possible files: next to this one, and where an editable install put it."""
    paths = [os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)]
    spec = importlib.util.find_spec("splitwatt.engines.rangecoder._rangecoder")
    if spec is not None and spec.origin and spec.origin not in paths:
        paths.append(spec.origin)
    return [path for path in paths if os.path.isfile(path)]


class NativeCoder:
    """Codes batches with the library, which holds a copy of the tables. Threads may share it."""

    def __init__(self, library: Library, tables: Tables, path: str) -> None:
        self._functions, self._check = library.functions, library.check
        self._path = PATHS[path]
        handle = _POINTER()
        arrays = [_address(array) for array in (tables.cdf_length, tables.offset, tables.medians)]
        status = self._functions.sw_tables_new(
            _address(tables.cdf), *tables.cdf.shape, *arrays, bytes.fromhex(tables.id),
            ctypes.byref(handle),
        )  # fmt: skip
        if self._functions.sw_status_name(status) == b"SW_BAD_ARGUMENT":
            raise BundleError("the entropy tables are invalid", "export the bundle again")
        self._check(status)
        self._handle = handle.value

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            self._functions.sw_tables_free(handle)

    def encode(self, values: np.ndarray, indexes: Optional[np.ndarray]) -> List[bytes]:
        """Strings of float32 or int32 `values` (N, C, H, W), contiguous; `indexes` int32."""
        floats = values.dtype == np.float32
        code = self._functions.sw_encode if floats else self._functions.sw_encode_symbols
        return self._strings(code, (self._handle, self._path), values, indexes, values.shape[1:])

    def decode(self, strings: List[bytes], indexes: Optional[np.ndarray], out: np.ndarray) -> None:
        """Fill `out`, float32 or int32 (N, C, H, W)."""
        floats = out.dtype == np.float32
        code = self._functions.sw_decode if floats else self._functions.sw_decode_symbols
        sides = out.shape[1:]
        for data, (item, table) in zip(strings, _items(out, indexes)):
            self._check(
                code(self._handle, self._path, data, len(data), table, sides[0], sides[1], sides[2],
                     item)
            )  # fmt: skip

    def encode_compressai(self, values: np.ndarray, indexes: Optional[np.ndarray]) -> List[bytes]:
        """Like `encode`, in CompressAI's format."""
        sides = _rows(values)
        if values.dtype == np.float32:
            symbols = np.empty(values.shape, np.int32)
            for (item, table), (out, _) in zip(_items(values, indexes), _items(symbols, None)):
                quantize = self._functions.sw_quantize
                self._check(quantize(self._handle, item, table, sides[0], sides[1], out))
            values = symbols
        code = self._functions.sw_encode_compressai
        try:
            return self._strings(code, (self._handle,), values, indexes, sides)
        except NotCodableError:
            raise BitstreamError(
                "a symbol lies too far from its table for CompressAI's format",
                "use the interleaved format, or fit the tables to the latent",
            )

    def decode_compressai(
        self, strings: List[bytes], indexes: Optional[np.ndarray], out: np.ndarray
    ) -> None:
        """Fill `out`, int32 (N, C, H, W), from strings of CompressAI's format."""
        code, sides = self._functions.sw_decode_compressai, _rows(out)
        for data, (item, table) in zip(strings, _items(out, indexes)):
            self._check(code(self._handle, data, len(data), table, sides[0], sides[1], item))

    def _strings(
        self,
        code: Any,
        head: Tuple[Any, ...],
        values: np.ndarray,
        indexes: Optional[np.ndarray],
        sides: Tuple[int, ...],
    ) -> List[bytes]:
        string, size = _POINTER(), _SIZE()
        strings = []
        for item, table in _items(values, indexes):
            self._check(code(*head, item, table, *sides, string, size))
            strings.append(ctypes.string_at(string, size.value))
        return strings


def _rows(array: np.ndarray) -> Tuple[int, int]:
    """Channels of an item, and symbols of a channel."""
    return array.shape[1], array.shape[2] * array.shape[3]


def _items(array: np.ndarray, indexes: Optional[np.ndarray]) -> Iterator[Tuple[int, Optional[int]]]:
    """The addresses of each item, and of its indexes: both have 4 bytes a symbol."""
    stride = array.nbytes // len(array)
    for offset in range(0, array.nbytes, stride):
        yield _address(array) + offset, None if indexes is None else _address(indexes) + offset


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
