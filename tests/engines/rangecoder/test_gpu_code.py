"""The CUDA kernels and the TensorRT plugin where there is no GPU: their logic run on a processor,
their sources compiled for every board and every TensorRT whose headers are present."""

import ctypes
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODER = ROOT / "engines" / "rangecoder"
HERE = Path(__file__).resolve().parent
PORTABLE = ("api", "codec", "compressai", "crc32", "scalar", "tables")
LIBRARY = [CODER / "src" / (name + ".cpp") for name in PORTABLE] + [CODER / "cuda" / "blob.cpp"]
INCLUDES = ["-I%s" % (CODER / folder) for folder in ("src", "cuda", "plugin")]
CUDA = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"
# A folder with the public headers of some TensorRT versions: VERSION/include/NvInfer.h.
HEADERS = Path(os.environ.get("SPLITWATT_TENSORRT_HEADERS", str(ROOT / "build/tensorrt")))
VERSIONS = sorted(path.parent.parent for path in HEADERS.glob("*/include/NvInfer.h"))

needs_gcc = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")


def run(*command):
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@needs_gcc
def test_the_kernels_agree_with_the_library_on_a_processor(tmp_path):
    binary = tmp_path / "cuda_check"
    run("g++", "-std=c++14", "-O1", "-ffp-contract=off", *INCLUDES, HERE / "cuda_check.cpp",
        *LIBRARY, "-o", binary)  # fmt: skip
    assert " 0 failures" in run(binary)


@needs_gcc
@pytest.mark.skipif(not VERSIONS, reason="needs TensorRT's public headers")
@pytest.mark.skipif(not CUDA.is_dir(), reason="needs CUDA's headers")
@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_the_plugin_is_driven_as_tensorrt_drives_it(tmp_path, version):
    binary = tmp_path / "plugin_check"
    run("g++", "-std=c++14", "-O0", "-Wall", "-Wextra", "-Werror", "-DSW_NO_REGISTRATION",
        "-ffp-contract=off", "-isystem", version / "include", "-isystem",
        CUDA, *INCLUDES, HERE / "plugin_check.cpp", HERE / "cuda_fake.cpp",
        HERE / "cuda_runtime_fake.cpp",
        *sorted((CODER / "plugin").glob("*.cpp")), *LIBRARY, "-o", binary)  # fmt: skip
    assert " 0 failures" in run(binary)


@needs_gcc
@pytest.mark.skipif(not VERSIONS, reason="needs TensorRT's public headers")
@pytest.mark.skipif(not CUDA.is_dir(), reason="needs CUDA's headers")
@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_the_plugin_compiles_without_warnings_as_boards_compile_it(version):
    """Warnings of deprecation included; what CMake gives the compiler hides none either."""
    for source in sorted((CODER / "plugin").glob("*.cpp")):
        run("g++", "-std=c++14", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-isystem",
            version / "include", "-isystem", CUDA, *INCLUDES, source)  # fmt: skip
    assert "-Wno-deprecated" not in (CODER / "CMakeLists.txt").read_text()


def compile_with_nvrtc(nvrtc, source, architecture):
    """PTX size of a kernel source, or an AssertionError with the compiler's words."""
    program = ctypes.c_void_p()
    assert (
        nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None) == 0
    )
    options = [b"--std=c++14", b"--gpu-architecture=compute_%d" % architecture]
    options.append(b"--include-path=%s" % str(CODER / "cuda").encode())
    status = nvrtc.nvrtcCompileProgram(program, 3, (ctypes.c_char_p * 3)(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return size.value


def nvrtc_library(name):
    folder = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cuda_nvrtc" / "lib"
    return next(iter(folder.glob(name)), None)


@pytest.mark.skipif(not nvrtc_library("libnvrtc.so.12"), reason="needs nvidia-cuda-nvrtc-cu12")
@pytest.mark.parametrize("architecture", [53, 62, 72, 87, 90])
def test_the_kernels_compile_for_the_boards(architecture):
    nvrtc = ctypes.CDLL(str(nvrtc_library("libnvrtc.so.12")))
    source = (CODER / "cuda" / "kernels.cuh").read_bytes()
    assert compile_with_nvrtc(nvrtc, source, architecture) > 10000


@pytest.mark.skipif(not shutil.which("nvcc"), reason="needs nvcc")
def test_nvcc_compiles_the_kernels(tmp_path):
    run("nvcc", "-std=c++14", "-O3", "-arch=sm_87", "-Werror", "all-warnings", "-c",
        CODER / "cuda" / "launch.cu", "-o", tmp_path / "launch.o")  # fmt: skip


@pytest.mark.parametrize("compiler", ["g++", "aarch64-linux-gnu-g++"])
def test_what_the_plugin_takes_of_the_coder_is_complete_on_every_processor(tmp_path, compiler):
    """As CMake links it, with the launches on a processor: no name may be left open."""
    if not shutil.which(compiler):
        pytest.skip("needs " + compiler)
    text = (CODER / "CMakeLists.txt").read_text()
    words = text.split("add_library(_rangecoder_trt SHARED", 1)[1].split(")", 1)[0].split()
    taken = [CODER / name for name in words if name.split("/")[0] in ("src", "cuda")]
    taken = [path for path in taken if path.suffix == ".cpp"]
    assert CODER / "src" / "tables.cpp" in taken
    run(compiler, "-std=c++14", "-O0", "-shared", "-fPIC", "-ffp-contract=off", "-Wl,-z,defs",
        *INCLUDES, "-I%s" % HERE, HERE / "cuda_fake.cpp", *taken, "-o", tmp_path / "x.so")  # fmt: skip
