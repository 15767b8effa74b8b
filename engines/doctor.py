"""This room's checks for `splitwatt doctor`: backends, CUDA, the range coder, compilers."""

import glob
import os
import platform
import shutil
import sys
from typing import Any, Callable, List

from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.install import install_command
from splitwatt.engines.tensorrt.building.native import find_nvcc, gpu_devices

_CUDA_LIBRARIES = (
    "/usr/local/cuda/lib64/libcudart.so*",
    "/usr/local/cuda/targets/*/lib/libcudart.so*",
    "/usr/lib/*/libcudart.so*",
)
_JETSON = "/etc/nv_tegra_release"


def checks() -> List[Check]:
    """Everything that can run a part or code a latent on this machine."""
    pin = "==2020.1" if sys.version_info < (3, 7) else ""
    remedy = "PATH=/usr/local/cuda/bin:$PATH pip install pycuda%s" % pin
    pycuda = package("pycuda.driver", "memory for the backend tensorrt", remedy, "pycuda")
    of_gpu = _providers() + [_tensorrt(), pycuda]
    if not gpu_devices():  # they are of no use without a GPU, so nothing is recommended
        of_gpu = [
            c if c.ok else c._replace(detail="needs an NVIDIA GPU", remedy="") for c in of_gpu
        ]
    return [
        package("numpy", "arrays", "pip install numpy"),
        package("PIL", "photographs", "pip install Pillow", "Pillow"),
        package("onnxruntime", "backend cpu", "pip install onnxruntime"),
        *of_gpu,
        *_rtx(),
        *_cuda(),
        *_native(),
    ]


def _check(name: str, present: Any, detail: str, missing: str, remedy: str) -> Check:
    """A check that passes with `detail` where something is `present`, else what is missing."""
    return Check(name, True, detail, "") if present else Check(name, False, missing, remedy)


def _providers() -> List[Check]:
    try:
        import onnxruntime

        have = onnxruntime.get_available_providers()
    except Exception:  # the check of the package itself reports it
        have = []
    remedy = "pip uninstall onnxruntime && pip install onnxruntime-gpu"
    if os.path.isfile(_JETSON):
        remedy = "install NVIDIA's onnxruntime-gpu wheel for this JetPack (docs/board-guide.md)"
    elif platform.machine() != "x86_64":
        return []
    return [
        _check("backend " + name, provider in have, "onnxruntime has " + provider,
               "onnxruntime lacks " + provider, remedy)
        for name, provider in (
            ("cuda", "CUDAExecutionProvider"), ("ort-tensorrt", "TensorrtExecutionProvider")
        )
    ]  # fmt: skip


def _tensorrt() -> Check:
    if os.path.isfile(_JETSON):
        remedy = "sudo apt install tensorrt python3-libnvinfer; venv with --system-site-packages"
    else:
        remedy = "pip install tensorrt"

    def detail() -> str:
        import tensorrt

        from splitwatt.engines.tensorrt.versions import generation

        kind = generation(tensorrt.__version__)
        return "%s (backend tensorrt, its API's generation: %s)" % (tensorrt.__version__, kind)

    return _detailed(package("tensorrt", "backend tensorrt", remedy), detail)


def _rtx() -> List[Check]:
    """TensorRT for RTX: it has wheels for x86-64 only, and builds engines without a GPU."""

    def detail() -> str:
        from splitwatt.engines.tensorrt.rtx import import_rtx

        text = "(backend tensorrt-rtx: builds engines without a GPU; its libraries are linked "
        return "%s %s" % (import_rtx().__version__, text + "under the names that its parser opens)")

    check = package("tensorrt_rtx", "backend tensorrt-rtx", install_command("rtx"))
    return [_detailed(check, detail)] if platform.machine() == "x86_64" else []


def _detailed(check: Check, detail: Callable[[], str]) -> Check:
    """A package's check with another detail, or the error of what makes it."""
    try:
        return check._replace(detail=detail()) if check.ok else check
    except EngineError as error:
        return Check(check.name, False, error.message, error.remedy)


def _cuda() -> List[Check]:
    remedy = "install CUDA: https://developer.nvidia.com/cuda-downloads"
    if os.path.isfile(_JETSON):
        remedy = "sudo apt install nvidia-jetpack"
    libraries = sorted(path for pattern in _CUDA_LIBRARIES for path in glob.glob(pattern))
    devices, nvcc = gpu_devices(), find_nvcc()
    if devices:
        detail = "%s, %s" % (devices[0], "".join(libraries[:1]))
        cuda = _check("CUDA", libraries, detail, "a GPU (%s) without CUDA" % devices[0], remedy)
    else:
        cuda = Check("CUDA", False, "no NVIDIA GPU on this machine", "")
    use = "(TensorRT plugin)"
    return [cuda, _check("nvcc", nvcc, "%s %s" % (nvcc, use), "not found " + use, remedy)]


def _native() -> List[Check]:
    """The range coder: its library, a compiler for it, and its TensorRT plugin."""
    from splitwatt.engines.rangecoder import native
    from splitwatt.engines.tensorrt.plugin import library_path

    build = "splitwatt build --no-engines"
    programs = [os.environ.get("CXX") or "c++", "cmake"]
    lacking = " and ".join(name for name in programs if shutil.which(name) is None)
    try:
        loaded, detail = True, "its fastest path here: %s" % native.library().best
    except EngineError as error:
        loaded, detail = False, error.message
    plugin = library_path()
    absent = "not built (for a coder in the graph)"
    return [
        _check("range coder", loaded, detail, detail, build),
        _check("C++ compiler", not lacking, " and ".join(map(str, map(shutil.which, programs))),
               lacking + " not found", "sudo apt install g++ cmake"),
        _check("TensorRT plugin", os.path.isfile(plugin), plugin, absent, build),
    ]  # fmt: skip
