"""The GPU through PyCUDA: its primary context, one stream, reused buffers, two timing events.

Every buffer is a pair: page-locked memory on the host and memory of the same size on the GPU. It is
allocated once, for the largest shape, so that an inference allocates nothing.
"""

from typing import Any, Dict, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError


class Device:
    """The first GPU and one stream on it; as a context manager, this thread's current GPU.

    TensorRT, plugins and all other code of this process share the primary context. `driver` is
    `pycuda.driver`; EngineError where there is no GPU, or CUDA does not work.
    """

    def __init__(self, driver: Any) -> None:
        self._cuda = driver
        self._buffers: Dict[str, Tuple[np.ndarray, Any]] = {}
        try:
            driver.init()
            if not driver.Device.count():
                raise EngineError("CUDA finds no GPU on this machine", _REMEDY)
            device = driver.Device(0)
            self.name = str(device.name())
            self.sm = "%d.%d" % tuple(device.compute_capability())
            self._context = device.retain_primary_context()
            with self:
                self._stream = driver.Stream()
                self._events = (driver.Event(), driver.Event())
        except driver.Error as error:
            raise EngineError("CUDA does not work on this machine: %s" % error, _REMEDY)

    def __enter__(self) -> "Device":
        self._context.push()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._context.pop()

    @property
    def stream_handle(self) -> int:
        """The stream as the address that TensorRT takes."""
        return int(self._stream.handle)

    def address(self, name: str, size_bytes: int) -> int:
        """The address of a tensor's buffer on the GPU, which grows and never shrinks."""
        if name not in self._buffers or self._buffers[name][0].size < size_bytes:
            self._free(name)
            size = max(1, int(size_bytes))
            try:
                pair = self._cuda.pagelocked_empty(size, np.uint8), self._cuda.mem_alloc(size)
            except self._cuda.MemoryError as error:
                raise EngineError(
                    "no memory is left for a buffer of %.0f MB: %s" % (size_bytes / 1e6, error),
                    "close other programs, or use smaller images",
                )
            self._buffers[name] = pair
        return int(self._buffers[name][1])

    def upload(self, name: str, array: np.ndarray) -> int:
        """Start copying an array to a tensor's buffer; returns its address on the GPU."""
        address = self.address(name, array.nbytes)
        host = self._host(name, array.shape, array.dtype)
        np.copyto(host, array)
        self._cuda.memcpy_htod_async(address, host, self._stream)
        return address

    def download(self, name: str, shape: Tuple[int, ...], dtype: Any) -> np.ndarray:
        """Start copying a tensor to its buffer's host half; returns a view, valid after `wait`."""
        host = self._host(name, shape, dtype)
        if host.size:
            self._cuda.memcpy_dtoh_async(host, self.address(name, 0), self._stream)
        return host

    def _host(self, name: str, shape: Tuple[int, ...], dtype: Any) -> np.ndarray:
        held = self._buffers[name][0]
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if size > held.size:
            raise EngineError("a buffer of %d bytes cannot hold %d" % (held.size, size))
        view: np.ndarray = held[:size].view(dtype).reshape(shape)
        return view

    def _free(self, name: str) -> None:
        if name in self._buffers:
            self._buffers.pop(name)[1].free()

    def mark(self, index: int) -> None:
        """Record event 0 (before) or 1 (after) in the stream."""
        self._events[index].record(self._stream)

    def wait(self) -> None:
        """Wait until all work in the stream is done."""
        try:
            self._stream.synchronize()
        except self._cuda.Error as error:
            raise EngineError("the GPU failed: %s" % error, "see dmesg for the driver's messages")

    def seconds_between(self) -> float:
        """Seconds from event 0 to event 1 by the GPU's own clock, after `wait`."""
        return float(self._events[1].time_since(self._events[0])) / 1000.0

    def close(self) -> None:
        """Free all buffers and release the primary context."""
        with self:
            for name in list(self._buffers):
                self._free(name)
            del self._stream, self._events
        self._context.detach()


_REMEDY = "check it with: python3 -c 'import pycuda.autoinit'"
