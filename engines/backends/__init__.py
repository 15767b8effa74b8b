"""The backends, which run parts, by name. A backend is one file here and one row below."""

import importlib
from typing import Optional

from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.install import install_for
from splitwatt.device_configs.names import check_known
from splitwatt.engines.backends.base import Engine

# onnxruntime starts every thread at once, and ends the process where the system refuses one.
MAX_THREADS = 1024
# name -> module with `open_engine(onnx_path, threads) -> Engine`, imported when it is first used
BACKENDS = {
    "cpu": "splitwatt.engines.backends.ort_cpu",
    "cuda": "splitwatt.engines.backends.ort_cuda",
    "ort-tensorrt": "splitwatt.engines.backends.ort_tensorrt",
    "tensorrt": "splitwatt.engines.tensorrt.engine",
    "tensorrt-rtx": "splitwatt.engines.tensorrt.rtx",
}


def load_engine(backend: str, onnx_path: str, threads: Optional[int] = None) -> Engine:
    """Load a part with a backend.

    Args:
        backend: a key of `BACKENDS`.
        onnx_path: the part's file.
        threads: threads per inference; None: the backend's default.

    Raises:
        UsageError: there is no such backend.
        EngineError: its package is not installed, or it cannot load the file.
    """
    check_known("backend", backend, BACKENDS)
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise EngineError("an engine takes 1 to %d threads, not %d" % (MAX_THREADS, threads))
    try:
        module = importlib.import_module(BACKENDS[backend])
    except ImportError as error:
        package = (error.name or "onnxruntime").split(".")[0]
        raise EngineError(
            "the backend '%s' needs the package %s, which cannot be imported (%s)"
            % (backend, package, error),
            install_for(package),
        )
    return module.open_engine(onnx_path, threads)  # type: ignore[no-any-return]
