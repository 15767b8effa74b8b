"""The backend `tensorrt`: runs engines that `splitwatt build` made on this machine, with PyCUDA.

Decisions that do not need TensorRT are in the other files of this folder.
"""

import importlib
import os
import threading
import traceback
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.backends.base import Built, Engine
from splitwatt.engines.tensorrt import plugin, records, versions
from splitwatt.engines.tensorrt.log import explain, make_logger
from splitwatt.engines.tensorrt.memory import Device
from splitwatt.engines.tensorrt.runners import BindingsRunner, TensorsRunner


def open_engine(onnx_path: str, threads: Optional[int]) -> Engine:
    """The engine that was built from a part, or onnxruntime's where its record says so.

    EngineError: not built, built for another machine, damaged, or TensorRT is not installed.
    """
    return open_built(*import_tensorrt(), onnx_path, threads)


def open_built(trt: Any, driver: Any, onnx_path: str, threads: Optional[int]) -> Engine:
    """Like `open_engine`, with the modules of a runtime and of PyCUDA."""
    device = Device(driver)
    try:
        here = machine(trt, device)
        folder = records.folder_of(onnx_path)
        every = records.read_records(folder)
        record = records.choose(every, onnx_path, sha256_file(onnx_path), here)
        if record.runs_on == "tensorrt":
            return TensorRTEngine(trt, device, records.engine_path(folder, record), record)
    except BaseException as error:
        # Its frames hold TensorRT's objects, which must not outlive the device.
        traceback.clear_frames(error.__traceback__)
        device.close()
        raise
    device.close()
    from splitwatt.engines.backends import ort_cpu

    engine = ort_cpu.open_engine(onnx_path, threads)
    engine.fallback = "%s: %s" % (record.rule, record.reason)
    return engine


def import_tensorrt() -> Tuple[Any, Any]:
    """The modules `tensorrt` (8.2 or later) and `pycuda.driver`; EngineError without them."""
    remedy = "it comes with JetPack (a venv needs --system-site-packages); elsewhere: pip install tensorrt"
    trt = import_package("tensorrt", versions.TENSORRT, remedy)
    driver = import_driver(versions.TENSORRT)
    versions.generation(trt.__version__)
    return trt, driver


def import_driver(backend: str) -> Any:
    """The module `pycuda.driver`, which a backend needs; EngineError if it is not installed."""
    remedy = "pip install pycuda (pycuda==2020.1 on Python 3.6), with CUDA's bin folder on PATH"
    return import_package("pycuda.driver", backend, remedy)


def import_package(name: str, backend: str, remedy: str) -> Any:
    """A module that a backend needs; EngineError if it cannot be imported."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # its wheel loads libraries with ctypes
        raise EngineError(
            "the backend '%s' needs the package %s, which cannot be imported (%s)"
            % (backend, name.split(".")[0], error),
            remedy,
        )


def machine(trt: Any, device: Device) -> versions.Machine:
    """The TensorRT version and the GPU of this machine: an engine only runs on the same."""
    return versions.Machine(
        versions.short_version(trt.__version__), device.sm, device.name, versions.runtime_of(trt)
    )


class TensorRTEngine(Engine):
    """One engine with one stream and buffers for its largest input; it runs once at a time.

    `device_s` is the time on the GPU without copies, from CUDA's events; `record` is of its build.
    """

    def __init__(self, trt: Any, device: Device, path: str, record: records.Record) -> None:
        super().__init__(os.path.basename(path), record.inputs, record.outputs)
        self.device_s: Optional[float] = None
        self.record = record
        self.built = Built("%s %s" % (record.runtime, record.tensorrt), record.precision)
        self._device = device
        self._lock = threading.Lock()
        self._logger = logger = make_logger(trt)
        if record.plugin is not None:
            plugin.check_version(record.plugin, plugin.load_plugin(trt, logger), self.name)
        with device:
            # The runtime and the engine must exist as long as the context made from them.
            self._runtime = trt.Runtime(logger)
            with open(path, "rb") as stream:
                self._engine = self._runtime.deserialize_cuda_engine(stream.read())
            if self._engine is None:
                why, remedy = explain(logger.errors)
                raise EngineError("TensorRT cannot load %s: %s" % (path, why), remedy)
            by_index = (
                versions.generation(trt.__version__, versions.runtime_of(trt)) == versions.BINDINGS
            )
            runner = BindingsRunner if by_index else TensorsRunner
            self._runner: Any = runner(trt, self._engine, device)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        with self._lock, self._device:
            self._logger.errors = []
            try:
                arrays = self._runner.run(feeds)
            except EngineError as error:
                if error.remedy or not self._logger.errors:
                    raise
                why, remedy = explain(self._logger.errors)
                raise EngineError("%s: %s" % (error.message, why), remedy)
            self.device_s = self._device.seconds_between()
            # The next run overwrites the buffers, so these are copies, in the graph's types.
            return {
                name: np.array(arrays[name], dtype=port.dtype)
                for name, port in self.outputs.items()
            }

    def _close(self) -> None:
        with self._lock:
            with self._device:
                self._runner.close()  # first the execution context, then what it was made from
                self._engine = self._runtime = None
            self._device.close()
