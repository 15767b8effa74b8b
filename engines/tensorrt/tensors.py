"""Runs an engine with the API of TensorRT 8.5 and later, where tensors have names.

The size of some outputs depends on values: the boxes that a suppression keeps, the coder's string.
TensorRT requests their memory during a run; the buffer stays for the next run.
"""

from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.tensorrt.bindings import outside
from splitwatt.engines.tensorrt.memory import Buffers, Device
from splitwatt.engines.tensorrt.names import as_dtype, numpy_dtype


class TensorsRunner:
    """An execution context and the addresses of its tensors.

    Args:
        trt: the module `tensorrt`.
        engine: a deserialised ICudaEngine.
        device: current in this thread.
    """

    def __init__(self, trt: Any, engine: Any, device: Device) -> None:
        self._engine = engine
        self._device = device
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError("TensorRT makes no execution context", "there may be no memory left")
        self._buffers = Buffers(device)
        self._host: Dict[str, np.ndarray] = {}
        names: List[str] = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self.inputs = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        self.outputs = [n for n in names if n not in self.inputs]
        self._dtypes = {n: numpy_dtype(engine.get_tensor_dtype(n), n) for n in names}
        self._on_host = {
            n for n in names if engine.get_tensor_location(n) == trt.TensorLocation.HOST
        }
        self._growing = _allocator_class(trt)(self._buffers)

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Run once; returns views into buffers that the next run overwrites."""
        for name in self.inputs:
            self._set_input(name, as_dtype(feeds[name], self._dtypes[name], name))
        for name in self.outputs:
            self._set_output(name)
        self._device.mark(0)
        if not self._context.execute_async_v3(self._device.stream_handle):
            raise EngineError("TensorRT did not run the engine")
        self._device.mark(1)
        # Shapes that depend on values are known when the work is done, not before.
        if any(self._known_shape(name) is None for name in self.outputs):
            self._device.wait()
        arrays = {name: self._output(name) for name in self.outputs}
        self._device.wait()
        return arrays

    def close(self) -> None:
        """Free the buffers and the context."""
        self._context = None
        self._buffers.free()

    def _set_input(self, name: str, array: np.ndarray) -> None:
        if not self._context.set_input_shape(name, array.shape):
            raise outside(name, array)
        if name in self._on_host:  # a shape tensor: TensorRT reads its values here
            held = self._host.setdefault(name, np.empty(array.shape, array.dtype))
            np.copyto(held, array)
            address = held.ctypes.data
        else:
            buffer = self._buffers.get(name, array.nbytes)
            self._device.upload(buffer, array)
            address = buffer.address
        self._address(name, address)

    def _set_output(self, name: str) -> None:
        shape = self._known_shape(name)
        if shape is None:
            self._context.set_output_allocator(name, self._growing)
            self._address(name, self._buffers.get(name, 1).address)
        elif name in self._on_host:
            self._host[name] = np.empty(shape, self._dtypes[name])
            self._address(name, self._host[name].ctypes.data)
        else:
            size = int(np.prod(shape, dtype=np.int64)) * self._dtypes[name].itemsize
            self._address(name, self._buffers.get(name, size).address)

    def _known_shape(self, name: str) -> Optional[Tuple[int, ...]]:
        """The output's shape as the inputs' shapes determine it; None where it depends on values."""
        shape = tuple(self._context.get_tensor_shape(name))
        return None if any(size < 0 for size in shape) else shape

    def _output(self, name: str) -> np.ndarray:
        shape = self._known_shape(name)
        if name in self._on_host:
            return self._host[name]
        if shape is None:
            shape = self._growing.shapes[name]
        return self._device.download(self._buffers.get(name, 0), shape, self._dtypes[name])

    def _address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise EngineError("TensorRT refuses the memory of '%s'" % name)


def _allocator_class(trt: Any) -> Any:
    """The class of output allocators, made here because its base class is TensorRT's."""

    class GrowingOutputs(trt.IOutputAllocator):  # type: ignore[misc]
        """Allocates memory for outputs when TensorRT requests it, and keeps their shapes."""

        def __init__(self, buffers: Buffers) -> None:
            trt.IOutputAllocator.__init__(self)
            self.shapes: Dict[str, Tuple[int, ...]] = {}
            self._buffers = buffers

        def reallocate_output(self, name: str, memory: int, size: int, alignment: int) -> int:
            """Called by TensorRT: the address of at least `size` bytes, or 0 if memory is short."""
            try:
                return self._buffers.get(name, size).address
            except EngineError:
                return 0

        def reallocate_output_async(
            self, name: str, memory: int, size: int, alignment: int, stream: int
        ) -> int:
            """Like `reallocate_output`; TensorRT 10 calls this one."""
            return self.reallocate_output(name, memory, size, alignment)

        def notify_shape(self, name: str, shape: Any) -> None:
            """Called by TensorRT when an output's shape is known."""
            self.shapes[name] = tuple(shape)

    return GrowingOutputs
