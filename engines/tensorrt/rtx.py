"""The backend `tensorrt-rtx`: NVIDIA's TensorRT for RTX, which builds engines without a GPU too.

It has the names of TensorRT's newest API, versions of its own (1.x), and wheels for x86-64 alone.
"""

import ctypes
import glob
import importlib.util
import os
import tempfile
from typing import Any, List, Optional

from splitwatt.device_configs.errors import EngineError, TargetError
from splitwatt.device_configs.install import install_command
from splitwatt.device_configs.targets import Target
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.tensorrt import engine
from splitwatt.engines.tensorrt.versions import RTX, Machine, fact_of, short_version

MODULE = "tensorrt_rtx"
# The links under which the libraries are loaded; deleted when this process ends.
_links: List["tempfile.TemporaryDirectory[str]"] = []


def open_engine(onnx_path: str, threads: Optional[int]) -> Engine:
    """The engine that `splitwatt build --backend tensorrt-rtx` made of a part."""
    return engine.open_built(import_rtx(), engine.import_driver(RTX), onnx_path, threads)


def import_rtx() -> Any:
    """The module `tensorrt_rtx`; EngineError if it is not installed."""
    _link_libraries()
    return engine.import_package(MODULE, RTX, install_command("rtx"))


def machine_for(trt: Any, target: Target) -> Machine:
    """A target's GPU, which need not be here; TargetError if RTX builds nothing for it."""
    sm = fact_of(target, "sm")
    known = capabilities(trt)
    if sm is None or sm not in known:
        raise TargetError(
            "TensorRT for RTX builds nothing for %s (%s)"
            % (target.name, "SM %s" % sm if sm else "its SM is not stated"),
            "on that machine run splitwatt build, without --backend; TensorRT for RTX builds for %s"
            % ", ".join("SM " + each for each in known),
        )
    return Machine(short_version(trt.__version__), sm, "", RTX)


def capabilities(trt: Any) -> List[str]:
    """Every SM that it builds for: "7.5", "12.0"."""
    names = [name[2:] for name in dir(trt.ComputeCapability) if name[:2] == "SM"]
    numbers = sorted(int(digits) for digits in names if digits.isdigit())
    return ["%d.%d" % divmod(number, 10) for number in numbers]


def configure(trt: Any, sm: str, config: Any) -> None:
    """Have a builder's configuration build for one SM, whatever GPU is here."""
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, "SM" + sm.replace(".", "")), 0)


def _link_libraries() -> None:
    """Load the libraries under the names that its parser opens them by.

    The parser opens `libtensorrt_rtx.so` next to itself at a node of a plugin, and ends the process
    where that file is missing: the wheel has `libtensorrt_rtx.so.1` alone. So both names are links in a
    folder of this process, and the libraries are loaded through it, before the package loads them.
    """
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    if _links or spec is None or not spec.submodule_search_locations:
        return
    paths = sorted(glob.glob(os.path.join(list(spec.submodule_search_locations)[0], "*.so.*")))
    names = [os.path.basename(path) for path in paths]
    try:
        folder = tempfile.TemporaryDirectory(prefix="splitwatt-rtx-")
        _links.append(folder)
        for path, name in zip(paths, names):
            for link in {name, name.split(".so")[0] + ".so"}:
                os.symlink(path, os.path.join(folder.name, link))
    except OSError as error:
        raise EngineError(
            "the libraries of TensorRT for RTX need links in a temporary folder, which cannot be "
            "made: %s" % error,
            "set TMPDIR to a folder that can be written",
        )
    for name in names:
        try:
            ctypes.CDLL(os.path.join(folder.name, name))
        except OSError as error:
            raise EngineError(
                "a library of TensorRT for RTX does not load: %s" % error, install_command("rtx")
            )
