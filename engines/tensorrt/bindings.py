"""Runs an engine with the API of TensorRT 8.2 to 8.4, where tensors have indices.

The outputs' shapes follow from the inputs' shapes there, so nothing is allocated during a run.
"""

from typing import Any, Dict, List, Mapping

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.tensorrt.memory import Buffers, Device
from splitwatt.engines.tensorrt.names import as_dtype, numpy_dtype


class BindingsRunner:
    """An execution context and the addresses of its tensors.

    Args:
        trt: the module `tensorrt`; only the other runner uses it.
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
        self._names: List[str] = [
            engine.get_binding_name(index) for index in range(engine.num_bindings)
        ]
        self.inputs = [n for i, n in enumerate(self._names) if engine.binding_is_input(i)]
        self.outputs = [n for n in self._names if n not in self.inputs]
        self._dtypes = {
            name: numpy_dtype(engine.get_binding_dtype(index), name)
            for index, name in enumerate(self._names)
        }

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Run once; returns views into buffers that the next run overwrites."""
        for name in self.inputs:
            self._set_input(name, as_dtype(feeds[name], self._dtypes[name], name))
        shapes = {name: self._output_shape(name) for name in self.outputs}
        for name, shape in shapes.items():
            size = int(np.prod(shape, dtype=np.int64)) * self._dtypes[name].itemsize
            self._buffers.get(name, size)
        bindings = [self._buffers.get(name, 0).address for name in self._names]
        self._device.mark(0)
        if not self._context.execute_async_v2(bindings, self._device.stream_handle):
            raise EngineError("TensorRT did not run the engine")
        self._device.mark(1)
        arrays = {
            name: self._device.download(self._buffers.get(name, 0), shape, self._dtypes[name])
            for name, shape in shapes.items()
        }
        self._device.wait()
        return arrays

    def close(self) -> None:
        """Free the buffers and the context."""
        self._buffers.free()
        self._context = None

    def _set_input(self, name: str, array: np.ndarray) -> None:
        index = self._names.index(name)
        if self._engine.is_shape_binding(index):
            taken = self._context.set_shape_input(index, array.ravel().tolist())
        else:
            taken = self._context.set_binding_shape(index, array.shape)
        if not taken:
            raise outside(name, array)
        self._device.upload(self._buffers.get(name, array.nbytes), array)

    def _output_shape(self, name: str) -> Any:
        shape = tuple(self._context.get_binding_shape(self._names.index(name)))
        if any(size < 0 for size in shape):
            raise EngineError(
                "the size of the output '%s' depends on values" % name,
                "TensorRT before 8.5 cannot do that: export for this target again",
            )
        return shape


def outside(name: str, array: np.ndarray) -> EngineError:
    """The error for an input whose size or value the engine was not built for."""
    what = array.tolist() if array.size <= 8 else list(array.shape)
    return EngineError(
        "the input '%s' %s is outside what the engine was built for" % (name, what),
        "build it for more elongated images: splitwatt build --aspect 4",
    )
