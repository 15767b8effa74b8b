"""The backend `cuda`: onnxruntime's CUDA provider (onnxruntime-gpu, or NVIDIA's for boards)."""

from typing import Any, List, Optional

import onnxruntime as ort

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.backends.ort_cpu import OrtEngine, version

# The first version whose CUDA provider has the option use_tf32.
_KNOWS_TF32 = (1, 18)
_REMEDY = (
    "install onnxruntime-gpu instead of onnxruntime (on a Jetson: NVIDIA's own wheel for the"
    " JetPack, see docs/board-guide.md)"
)


def open_engine(onnx_path: str, threads: Optional[int]) -> Engine:
    """An engine of onnxruntime's CUDA provider; nodes without a CUDA kernel run on the CPU."""
    return open_with([cuda_provider()], onnx_path, threads)


def cuda_provider() -> Any:
    """The CUDA provider with TF32 off, which rounds fp32. Older versions lack the option."""
    name = "CUDAExecutionProvider"
    return (name, {"use_tf32": "0"}) if version() >= _KNOWS_TF32 else name


def open_with(wanted: List[Any], onnx_path: str, threads: Optional[int]) -> Engine:
    """An engine with the providers `wanted`; EngineError if the first cannot start here.

    onnxruntime itself would use its CPU provider instead.
    """
    name = wanted[0] if isinstance(wanted[0], str) else wanted[0][0]
    check_provider(name, ort.get_available_providers())
    engine = OrtEngine(onnx_path, threads, wanted + ["CPUExecutionProvider"])
    try:
        check_started(name, engine.providers())
    except EngineError:
        engine.close()
        raise
    return engine


def check_started(name: str, started: List[str]) -> None:
    """Raise EngineError unless a provider is the first that a session uses."""
    if started[:1] != [name]:
        raise EngineError(
            "onnxruntime %s could not start %s and would have used %s"
            % (ort.__version__, name, ", ".join(started)),
            "check that its CUDA, cuDNN and TensorRT are the ones installed here",
        )


def check_provider(name: str, available: List[str]) -> None:
    """Raise EngineError unless this build of onnxruntime has a provider."""
    if name not in available:
        raise EngineError(
            "this onnxruntime %s has no %s (it has %s)"
            % (ort.__version__, name, ", ".join(available)),
            _REMEDY,
        )
