"""NVIDIA's TensorRT for RTX in tests: the real parser and builder, and shape-only V3 plugins.

The plugins stand in for three operators that TensorRT for RTX lacks (RoiAlign: without a GPU). They
compute nothing: with them the rest of a detector goes through the parser and the builder.
"""

import importlib.util
import os

import pytest


def need_rtx():
    """Skip where TensorRT for RTX is not installed; in continuous integration that is a failure."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        what = "the package tensorrt-rtx-cu12 is not installed"
        if os.environ.get("SPLITWATT_CI") == "1":
            pytest.fail(what)
        pytest.skip(what)
