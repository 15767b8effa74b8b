"""The CUDA library over ctypes with torch's tensors: for tests and benchmarks on a GPU."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from splitwatt.engines.rangecoder import Tables

SOURCES = Path(__file__).resolve().parents[3] / "engines" / "rangecoder"
_LIBRARY = ["cuda/launch.cu", "cuda/blob.cpp", "src/tables.cpp"]


def nvcc_command(output: Path) -> list[str]:
    """How to build the CUDA library for the GPU at hand."""
    flags = [
        "-std=c++14",
        "-O3",
        "-shared",
        "-arch=native",
        "-Xcompiler",
        "-fPIC,-O3,-ffp-contract=off",
    ]
    return ["nvcc", *flags, *(str(SOURCES / name) for name in _LIBRARY), "-o", str(output)]


class GpuCoder:
    """Strings and latents stay on the GPU."""

    def __init__(self, library: str, tables: Tables) -> None:
        import torch

        self.torch, self.count = torch, tables.count
        self.library = ctypes.CDLL(library)
        for name in ("blob_size", "capacity", "encode_scratch", "decode_scratch"):
            getattr(self.library, "sw_cuda_" + name).restype = ctypes.c_size_t
        handle = ctypes.c_void_p()
        arrays = [tables.cdf, tables.cdf_length, tables.offset, tables.medians]
        cdf, length, offset, medians = (ctypes.c_void_p(a.ctypes.data) for a in arrays)
        width = ctypes.c_size_t(tables.cdf.shape[1])
        count = ctypes.c_size_t(tables.count)
        name = bytes.fromhex(tables.id)
        if self.library.sw_tables_new(
            cdf, count, width, length, offset, medians, name, ctypes.byref(handle)
        ):
            raise ValueError("unsound tables")
        blob = np.zeros(self.library.sw_cuda_blob_size(handle), np.uint8)
        self.library.sw_cuda_blob(handle, ctypes.c_void_p(blob.ctypes.data))
        self.library.sw_tables_free(handle)
        self.blob = torch.from_numpy(blob).cuda()

    def _bytes(self, size: int) -> Any:
        return self.torch.empty(size, dtype=self.torch.uint8, device="cuda")

    def prepare(self, shape: tuple[int, int, int, int]) -> None:
        """Allocate what a batch of this shape needs."""
        items, rows, height, width = self.shape = shape
        self.capacity = self.library.sw_cuda_capacity(rows, height, width)
        self.strings = self._bytes(items * self.capacity)
        self.lengths = self.torch.zeros(items, dtype=self.torch.int32, device="cuda")
        self.results = self.torch.zeros_like(self.lengths)
        self.latent = self.torch.empty(shape, dtype=self.torch.float32, device="cuda")
        self.scratch = self._bytes(self.library.sw_cuda_encode_scratch(items, rows, height, width))

    def _call(self, name: str, *arguments: Any) -> None:
        stream = ctypes.c_void_p(self.torch.cuda.current_stream().cuda_stream)
        status = getattr(self.library, name)(*arguments, _at(self.scratch), stream)
        if status:
            raise RuntimeError("%s: CUDA error %d" % (name, status))

    def encode(self, latent: Any) -> None:
        """Enqueue the coding of a CUDA tensor; see `strings_of`."""
        self._call(
            "sw_cuda_encode", _at(self.blob), _at(latent), *self.shape, _at(self.strings),
            ctypes.c_size_t(self.capacity), _at(self.lengths),
        )  # fmt: skip

    def decode(self) -> None:
        """Enqueue the decoding of the strings at hand into `latent`."""
        self._call(
            "sw_cuda_decode", _at(self.blob), _at(self.strings), ctypes.c_size_t(self.capacity),
            _at(self.lengths), *self.shape, _at(self.latent), _at(self.results),
        )  # fmt: skip

    def strings_of(self) -> list[bytes]:
        """The strings, copied to the host."""
        host = self.strings.cpu().numpy().reshape(self.shape[0], -1)
        lengths = self.lengths.cpu().tolist()
        return [row[: max(0, n)].tobytes() for row, n in zip(host, lengths, strict=True)]


def _at(tensor: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
