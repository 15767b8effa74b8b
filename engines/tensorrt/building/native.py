"""Compiles the range coder and its TensorRT plugin on the machine that runs them.

Both need a C++ compiler and CMake 3.10 (JetPack's are enough). The plugin also needs CUDA's nvcc and
TensorRT's headers.
"""

import glob
import os
import shutil
import tempfile
from typing import List, Optional

from splitwatt.device_configs.detect import detect_target
from splitwatt.device_configs.errors import EngineError, TargetError
from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.targets import load_target
from splitwatt.engines import rangecoder
from splitwatt.engines.rangecoder import native
from splitwatt.engines.tensorrt.building.running import CUDA_FOLDER, Tell, run_child
from splitwatt.engines.tensorrt.plugin import LIBRARY as PLUGIN
from splitwatt.engines.tensorrt.versions import fact_of

HERE = os.path.dirname(os.path.abspath(rangecoder.__file__))
CODER = "_rangecoder.so"


def compile_native(
    tell: Tell, again: bool = False, cuda: Optional[bool] = None, folder: str = HERE
) -> List[str]:
    """Compile the range coder, and for a GPU its TensorRT plugin; returns the libraries' paths.

    Args:
        again: rebuild existing libraries.
        cuda: whether to compile the plugin; None: if this machine has a GPU.
        folder: where the libraries go; another one in tests.
    """
    coder = os.path.join(folder, CODER)
    installed = [coder] + (native.candidates() if folder == HERE else [])
    usable = [path for path in installed if loads(path)]
    if usable and not again:
        coder = usable[0]
        tell("range coder: already compiled")
    else:
        tell("range coder: compiling")
        _compile_coder(tell, coder)
    made = [coder]
    if cuda if cuda is not None else bool(gpu_devices()):
        made += _compile_plugin(tell, again, folder)
    return made


def loads(path: str) -> bool:
    """Whether the range coder's library loads on this machine and has this version's interface."""
    try:
        native.Library(path)
    except (OSError, AttributeError):
        return False
    return True


def _compile_coder(tell: Tell, path: str) -> None:
    for program in ("cmake", os.environ.get("CXX") or "c++"):
        if shutil.which(program) is None:
            raise EngineError(
                "%s is missing, and the range coder cannot be compiled" % program,
                "sudo apt install g++ cmake",
            )
    with tempfile.TemporaryDirectory() as build:
        for command in cmake_commands("cmake", build, CODER):
            run_child(command, "the range coder", tell)
        _keep(os.path.join(build, CODER), path)


def _keep(built: str, path: str) -> None:
    with open(built, "rb") as stream:
        write_atomic(path, stream.read())
    os.chmod(path, 0o755)


def _compile_plugin(tell: Tell, again: bool, folder: str) -> List[str]:
    path = os.path.join(folder, PLUGIN)
    there = [path] if os.path.isfile(path) else []
    if there and not again and is_current(path):
        tell("TensorRT plugin: already compiled")
        return there
    nvcc, cmake = find_nvcc(), shutil.which("cmake")
    if nvcc is None or cmake is None:
        missing = "nvcc" if nvcc is None else "cmake"
        tell("TensorRT plugin: not built, %s is missing (splitwatt doctor)" % missing)
        return there
    with tempfile.TemporaryDirectory() as build:
        configure, compile_it = cmake_commands(cmake, build, PLUGIN, nvcc, this_sm())
        run_child(configure, "the TensorRT plugin", tell)
        if not has_headers(build):
            tell("TensorRT plugin: not built, TensorRT's headers are missing")
            return there
        tell("TensorRT plugin: compiling (some minutes on a board)")
        run_child(compile_it, "the TensorRT plugin", tell)
        _keep(os.path.join(build, PLUGIN), path)
    return [path]


def is_current(path: str, sources: str = HERE) -> bool:
    """Whether a library is at least as new as each of its sources."""
    names = glob.glob(os.path.join(glob.escape(sources), "*", "*.[ch]*"))
    return os.path.getmtime(path) >= max(os.path.getmtime(name) for name in names)


def has_headers(build: str) -> bool:
    """Whether CMake found TensorRT's headers when it configured the folder `build`."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as stream:
        lines = [line for line in stream if line.startswith("TENSORRT_INCLUDE_DIR:")]
    return bool(lines) and "NOTFOUND" not in lines[0]


def cmake_commands(
    cmake: str, build: str, library: str, nvcc: str = "", sm: Optional[str] = None
) -> List[List[str]]:
    """The commands that configure and build in an empty folder, in the words of CMake 3.10.

    Args:
        library: `CODER` or `PLUGIN`.
        nvcc: CUDA's compiler, which the plugin needs.
        sm: the GPU's, as "5.3"; nvcc's own choice when None.
    """
    cuda = ["-DSPLITWATT_CUDA=ON", "-DNVCC=" + nvcc] if nvcc else ["-DSPLITWATT_CUDA=OFF"]
    configure = [cmake, "-DCMAKE_BUILD_TYPE=Release"] + cuda
    if sm is not None:
        configure.append("-DCMAKE_CUDA_FLAGS=-arch=sm_" + sm.replace(".", ""))
    jobs = "-j%d" % max(1, (os.cpu_count() or 1) // 2)
    # `cmake -S -B` and `--parallel` came later than a Nano's CMake.
    return [
        configure + ["-H" + HERE, "-B" + build],
        [cmake, "--build", build, "--target", library[: -len(".so")], "--", jobs],
    ]


def find_nvcc() -> Optional[str]:
    """CUDA's compiler: on PATH, or where JetPack puts it."""
    return shutil.which("nvcc") or shutil.which("nvcc", path=CUDA_FOLDER)


def gpu_devices() -> List[str]:
    """The device files of NVIDIA GPUs, cards' and Jetsons'."""
    return sorted(glob.glob("/dev/nvidia[0-9]*") + glob.glob("/dev/nvhost-gpu"))


def this_sm() -> Optional[str]:
    """The SM of this board; None where no target describes it, as on a PC."""
    try:
        name = detect_target()
    except TargetError:  # a Jetson without a target
        return None
    return fact_of(load_target(name), "sm") if name else None
