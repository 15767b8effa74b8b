"""Runs a loaded engine: with the API of TensorRT 8.5 and later, or with that of 8.2 to 8.4.

The size of some outputs depends on values: the boxes that a suppression keeps, the coder's string.
TensorRT requests their memory during a run; the buffer stays for the next run.
"""

from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.tensorrt.memory import Device


class TensorsRunner:
    """An execution context and the addresses of its tensors, which have names.

    `engine` is a deserialised ICudaEngine; `device` is current in this thread.
    """

    def __init__(self, trt: Any, engine: Any, device: Device) -> None:
        self._engine = engine
        self._device = device
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                "TensorRT makes no execution context: there may be no memory left",
                "close other programs",
            )
        self._host: Dict[str, np.ndarray] = {}
        self._inputs: List[str] = []
        self._dtypes: Dict[str, Any] = {}
        self._on_host: Set[str] = set()
        self._read_tensors(trt)
        self._outputs = [name for name in self._dtypes if name not in self._inputs]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Run once; returns views into buffers that the next run overwrites."""
        for name in self._inputs:
            self._set_input(name, as_dtype(feeds[name], self._dtypes[name], name))
        for name in self._outputs:
            self._set_output(name)
        self._device.mark(0)
        if not self._execute():
            raise EngineError("TensorRT did not run the engine")
        self._device.mark(1)
        # Shapes that depend on values are known when the work is done, not before.
        if any(self._known_shape(name) is None for name in self._outputs):
            self._device.wait()
        arrays = {name: self._output(name) for name in self._outputs}
        self._device.wait()
        return arrays

    def close(self) -> None:
        """Give back the context and the engine, whatever still holds this object, as a traceback does."""
        self._context = self._engine = None

    def _read_tensors(self, trt: Any) -> None:
        """The names of inputs, the types of all tensors, and those that are in the host's memory."""
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            self._dtypes[name] = numpy_dtype(self._engine.get_tensor_dtype(name), name)
            if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self._inputs.append(name)
            if self._engine.get_tensor_location(name) == trt.TensorLocation.HOST:
                self._on_host.add(name)
        self._growing = _allocator_class(trt)(self._device)

    def _set_input(self, name: str, array: np.ndarray) -> None:
        if not self._set_shape(name, array):
            what = array.tolist() if array.size <= 8 else list(array.shape)
            raise EngineError(
                "the input '%s' %s is outside what the engine was built for" % (name, what),
                "build it for more elongated images: splitwatt build --aspect 4",
            )
        if name in self._on_host:  # a shape tensor: TensorRT reads its values here
            held = self._host.setdefault(name, np.empty(array.shape, array.dtype))
            np.copyto(held, array)
            self._set_address(name, held.ctypes.data)
        else:
            self._set_address(name, self._device.upload(name, array))

    def _set_output(self, name: str) -> None:
        shape = self._known_shape(name)
        if shape is None:
            self._context.set_output_allocator(name, self._growing)
            self._set_address(name, self._device.address(name, 1))
        elif name in self._on_host:
            self._host[name] = np.empty(shape, self._dtypes[name])
            self._set_address(name, self._host[name].ctypes.data)
        else:
            size = int(np.prod(shape, dtype=np.int64)) * self._dtypes[name].itemsize
            self._set_address(name, self._device.address(name, size))

    def _output(self, name: str) -> np.ndarray:
        if name in self._on_host:
            return self._host[name]
        shape = self._known_shape(name)
        if shape is None:
            shape = self._growing.shapes[name]
        return self._device.download(name, shape, self._dtypes[name])

    def _set_shape(self, name: str, array: np.ndarray) -> bool:
        return bool(self._context.set_input_shape(name, array.shape))

    def _known_shape(self, name: str) -> Optional[Tuple[int, ...]]:
        """The output's shape as the inputs' shapes determine it; None where it depends on values."""
        shape = tuple(self._context.get_tensor_shape(name))
        return None if any(size < 0 for size in shape) else shape

    def _set_address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise EngineError("TensorRT refuses the memory of '%s'" % name)

    def _execute(self) -> bool:
        return bool(self._context.execute_async_v3(self._device.stream_handle))


class BindingsRunner(TensorsRunner):
    """The same in TensorRT 8.2 to 8.4, where tensors have indices.

    The outputs' shapes follow from the inputs' shapes there, so nothing is allocated during a run.
    """

    def _read_tensors(self, trt: Any) -> None:
        self._addresses: Dict[str, int] = {}
        self._indices: Dict[str, int] = {}
        for index in range(self._engine.num_bindings):
            name = self._engine.get_binding_name(index)
            self._indices[name] = index
            self._dtypes[name] = numpy_dtype(self._engine.get_binding_dtype(index), name)
            if self._engine.binding_is_input(index):
                self._inputs.append(name)

    def _set_shape(self, name: str, array: np.ndarray) -> bool:
        index = self._indices[name]
        if self._engine.is_shape_binding(index):
            return bool(self._context.set_shape_input(index, array.ravel().tolist()))
        return bool(self._context.set_binding_shape(index, array.shape))

    def _known_shape(self, name: str) -> Optional[Tuple[int, ...]]:
        shape = tuple(self._context.get_binding_shape(self._indices[name]))
        if any(size < 0 for size in shape):
            raise EngineError(
                "the size of the output '%s' depends on values" % name,
                "TensorRT before 8.5 cannot do that: export for this target again",
            )
        return shape

    def _set_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def _execute(self) -> bool:
        bindings = [self._addresses[name] for name in self._indices]
        return bool(self._context.execute_async_v2(bindings, self._device.stream_handle))


def numpy_dtype(dtype: Any, tensor: str) -> Any:
    """NumPy's type for a `DataType`; EngineError for a type that NumPy does not have."""
    name = str(dtype).split(".")[-1]
    try:
        return np.dtype({"FLOAT": "float32", "HALF": "float16"}.get(name, name.lower()))
    except TypeError:
        raise EngineError("the tensor '%s' has TensorRT's type %s" % (tensor, name))


def as_dtype(array: np.ndarray, dtype: Any, tensor: str) -> np.ndarray:
    """An array as the engine wants it: TensorRT before 10 has int32 where the graph has int64.

    EngineError where a value does not fit.
    """
    converted = array.astype(dtype, copy=False)
    whole = np.issubdtype(array.dtype, np.integer) and np.issubdtype(dtype, np.integer)
    if whole and not np.array_equal(converted, array):
        raise EngineError("a value of '%s' does not fit %s" % (tensor, np.dtype(dtype).name))
    return converted


def _allocator_class(trt: Any) -> Any:
    """The class of output allocators, made here because its base class is TensorRT's."""

    class GrowingOutputs(trt.IOutputAllocator):  # type: ignore[misc]
        """Allocates memory for outputs when TensorRT requests it, and keeps their shapes."""

        def __init__(self, device: Device) -> None:
            trt.IOutputAllocator.__init__(self)
            self.shapes: Dict[str, Tuple[int, ...]] = {}
            self._device = device

        def reallocate_output(self, name: str, memory: int, size: int, alignment: int) -> int:
            """Called by TensorRT: the address of at least `size` bytes, or 0 if memory is short."""
            try:
                return self._device.address(name, size)
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
