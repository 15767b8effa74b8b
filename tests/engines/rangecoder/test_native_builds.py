"""The library builds as boards and packages build it, for ARM too, and survives hostile bytes."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.rangecoder import golden, native
from splitwatt.engines.tensorrt.building import native as building

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "engines" / "rangecoder" / "src"
PORTABLE = ["api", "codec", "compressai", "crc32", "scalar", "tables"]
VECTORS = sorted(str(path) for path in Path(golden.FOLDER).glob("*.bin"))


def run(*command, **kwargs):
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        **kwargs,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def needs(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    return pytest.mark.skipif(bool(missing), reason="needs " + ", ".join(missing))


@needs("cmake", "c++")
def test_what_a_board_compiles_is_a_library_that_loads(tmp_path):
    (path,) = building.compile_native(print, cuda=False, folder=str(tmp_path))
    assert "scalar" in native.Library(path).paths
    assert os.listdir(str(tmp_path)) == ["_rangecoder.so"]


def test_a_missing_compiler_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EngineError, match="no-such-compiler is missing"):
        building.compile_native(print, cuda=False, folder=str(tmp_path))


@needs("cmake", "g++")
def test_cmake_builds_and_installs_where_the_package_looks(tmp_path):
    run("cmake", "-S", ROOT / "engines" / "rangecoder", "-B", tmp_path / "build",
        "-DSPLITWATT_CUDA=OFF")  # fmt: skip
    run("cmake", "--build", tmp_path / "build")
    run(
        "cmake",
        "-DCMAKE_INSTALL_PREFIX=%s" % tmp_path,
        "-P",
        tmp_path / "build/cmake_install.cmake",
    )
    installed = tmp_path / "splitwatt" / "engines" / "rangecoder" / native.NAME
    assert native.Library(str(installed)).paths


@needs("g++")
def test_the_sources_are_plain_cpp14(tmp_path):
    for name in PORTABLE:
        run(
            *["g++", "-std=c++14", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsyntax-only"],
            SOURCES / (name + ".cpp"),
        )


@needs("g++", "nm")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the loops of x86")
@pytest.mark.parametrize("name", ["avx2", "avx512"])
def test_loops_for_some_processors_share_no_function_with_others(tmp_path, name):
    """A linker keeps one copy of an inline function: it must not be one that others cannot run."""
    text = (SOURCES.parent / "CMakeLists.txt").read_text()
    flags = text.split("set(%s_FLAGS" % name.upper(), 1)[1].split(")", 1)[0].split()
    run("g++", "-std=c++14", "-O3", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden",
        *flags, "-c", SOURCES / (name + ".cpp"), "-o", tmp_path / "loops.o")  # fmt: skip
    symbols = run("nm", "-C", tmp_path / "loops.o").splitlines()
    defined = [line.split(" ", 2)[1:] for line in symbols if line[0] != " "]
    assert [what for kind, what in defined if kind in "TWVu"] == ["sw::%s_loops()" % name]


def checker(tmp_path, compiler, flags, names):
    binary = tmp_path / "golden_check"
    sources = [SOURCES / (name + ".cpp") for name in names]
    main = ROOT / "tests" / "engines" / "rangecoder" / "golden_check.cpp"
    run(compiler, "-std=c++14", "-O2", "-ffp-contract=off", *flags, "-I", SOURCES, main, *sources,
        "-o", binary)  # fmt: skip
    return binary


@needs("g++")
def test_golden_vectors_without_python(tmp_path):
    binary = checker(tmp_path, "g++", [], PORTABLE)
    assert run(binary, *VECTORS).count("agrees") == len(VECTORS)


@needs("aarch64-linux-gnu-g++", "qemu-aarch64-static")
def test_golden_vectors_on_emulated_arm(tmp_path):
    names = PORTABLE + ["neon"]
    binary = checker(tmp_path, "aarch64-linux-gnu-g++", ["-static", "-DSW_HAVE_ARM_CRC"], names)
    assert run("qemu-aarch64-static", binary, *VECTORS).count("agrees") == 2 * len(VECTORS)


@needs("clang++")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="a 64-bit machine")
def test_the_fuzzers_corpus_under_sanitizers(tmp_path):
    run(ROOT / "tests" / "fuzz" / "run.sh", "2", tmp_path / "fuzz", cwd=str(tmp_path))
