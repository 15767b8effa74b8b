"""The backend `ort-tensorrt`: onnxruntime's TensorRT provider, which builds engines as it loads.

Its engines are kept in the bundle's folder `engines/onnxruntime`, so that only the first start is
slow. The CUDA provider runs nodes that TensorRT cannot run, and the CPU those that CUDA cannot run.
"""

import os
from typing import Any, Dict, List, Optional

import onnxruntime as ort

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.backends.ort_cuda import check_provider, cuda_provider, open_with

_PROVIDER = "TensorrtExecutionProvider"


def open_engine(onnx_path: str, threads: Optional[int]) -> Engine:
    """An engine of onnxruntime's TensorRT provider."""
    check_provider(_PROVIDER, ort.get_available_providers())
    cache = os.path.join(os.path.dirname(onnx_path), "engines", "onnxruntime")
    try:
        os.makedirs(cache, exist_ok=True)
    except OSError as error:
        raise EngineError(
            "%s cannot be made for TensorRT's engines: %s" % (cache, error.strerror),
            "make the bundle's folder writable",
        )
    providers: List[Any] = [(_PROVIDER, options(cache)), cuda_provider()]
    return open_with(providers, onnx_path, threads)


def options(cache: str) -> Dict[str, str]:
    """The provider's options, which have these names since onnxruntime 1.8.

    There is no option for TF32, which TensorRT may use on Ampere and later GPUs.
    """
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": cache,
        "trt_fp16_enable": "0",
    }
