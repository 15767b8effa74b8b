"""Names and types that all generations of TensorRT's Python API share, and ours for them."""

from typing import Any

import numpy as np

from splitwatt.device_configs.errors import EngineError

# TensorRT's DataType, by name -> NumPy's.
_DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "UINT8": np.uint8,
}


def numpy_dtype(dtype: Any, tensor: str) -> Any:
    """NumPy's type for a `DataType`.

    Raises:
        EngineError: a type that no part of ours has.
    """
    name = str(dtype).split(".")[-1]
    if name not in _DTYPES:
        raise EngineError("the tensor '%s' has TensorRT's type %s" % (tensor, name))
    return np.dtype(_DTYPES[name])


def as_dtype(array: np.ndarray, dtype: Any, tensor: str) -> np.ndarray:
    """An array as the engine wants it: TensorRT before 10 has int32 where the graph has int64.

    Raises:
        EngineError: a value does not fit.
    """
    if array.dtype == dtype:
        return array
    converted = array.astype(dtype)
    whole = np.issubdtype(array.dtype, np.integer) and np.issubdtype(dtype, np.integer)
    if whole and not np.array_equal(converted, array):
        raise EngineError("a value of '%s' does not fit %s" % (tensor, np.dtype(dtype).name))
    return converted
