"""The GPU through PyCUDA: its primary context, one stream, reused buffers, two timing events.

Every buffer is a pair: page-locked memory on the host and memory of the same size on the GPU. It is
allocated once, for the largest shape, so that an inference allocates nothing.
"""

from typing import Any, Dict, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.tensorrt.versions import sm_name


class Device:
    """The first GPU and one stream on it; as a context manager, it becomes this thread's current GPU.

    TensorRT, plugins and all other code of this process share the primary context.

    Args:
        driver: `pycuda.driver`, or its substitute in tests.

    Raises:
        EngineError: no GPU, or CUDA does not work here.
    """

    def __init__(self, driver: Any) -> None:
        self._cuda = driver
        try:
            driver.init()
            if not driver.Device.count():
                raise EngineError("CUDA finds no GPU on this machine", _REMEDY)
            device = driver.Device(0)
            self.name = str(device.name())
            self.sm = sm_name(device.compute_capability())
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

    def buffer(self, size_bytes: int) -> "Buffer":
        """A new buffer; EngineError if memory is short."""
        try:
            return Buffer(self._cuda, max(1, int(size_bytes)))
        except self._cuda.MemoryError as error:
            raise EngineError(
                "no memory is left for a buffer of %.0f MB: %s" % (size_bytes / 1e6, error),
                "close other programs, or use smaller images",
            )

    def upload(self, buffer: "Buffer", array: np.ndarray) -> None:
        """Copy an array to a buffer's host half and start copying it to the device half."""
        host = buffer.host_view(array.shape, array.dtype)
        np.copyto(host, array)
        self._cuda.memcpy_htod_async(buffer.address, host, self._stream)

    def download(self, buffer: "Buffer", shape: Tuple[int, ...], dtype: Any) -> np.ndarray:
        """Start copying a buffer's device half to its host half; returns a view, valid after `wait`."""
        host = buffer.host_view(shape, dtype)
        if host.size:
            self._cuda.memcpy_dtoh_async(host, buffer.address, self._stream)
        return host

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
        """Release the primary context."""
        with self:
            del self._stream, self._events
        self._context.detach()


class Buffer:
    """Page-locked host memory and device memory of one size in bytes."""

    def __init__(self, driver: Any, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._host = driver.pagelocked_empty(size_bytes, np.uint8)
        self._device = driver.mem_alloc(size_bytes)

    @property
    def address(self) -> int:
        """The address of the device half."""
        return int(self._device)

    def host_view(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray:
        """The start of the host half as an array."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if size > self.size_bytes:
            raise EngineError("a buffer of %d bytes cannot hold %d" % (self.size_bytes, size))
        view: np.ndarray = self._host[:size].view(dtype).reshape(shape)
        return view

    def free(self) -> None:
        """Free both halves; the buffer cannot be used afterwards."""
        self._device.free()
        del self._host


class Buffers:
    """Buffers by tensor name, which grow but never shrink."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._by_name: Dict[str, Buffer] = {}

    def get(self, name: str, size_bytes: int) -> Buffer:
        """The buffer of a tensor, with at least that size."""
        held = self._by_name.get(name)
        if held is None or held.size_bytes < size_bytes:
            if held is not None:
                held.free()
                del self._by_name[name]
            held = self._by_name[name] = self._device.buffer(size_bytes)
        return held

    def free(self) -> None:
        """Free all buffers."""
        while self._by_name:
            self._by_name.popitem()[1].free()


_REMEDY = "check it with: python3 -c 'import pycuda.autoinit'"
