"""The GPU's context, made before anything else, so that its time is measured separately.

It is the primary context, which onnxruntime and PyCUDA then use as well.
"""

import ctypes
import time
from typing import Optional

_BACKENDS = ("cuda", "ort-tensorrt", "tensorrt")
_LIBRARY = "libcuda.so.1"


def cuda_init_s(backend: str, library: str = _LIBRARY) -> Optional[float]:
    """Make the first GPU's primary context; seconds.

    Returns:
        None for a backend without a GPU, and where the driver is missing or refuses: opening the
        engines then reports why.
    """
    if backend not in _BACKENDS:
        return None
    start = time.perf_counter()
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    device, context = ctypes.c_int(0), ctypes.c_void_p()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    if cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return None
    return time.perf_counter() - start
