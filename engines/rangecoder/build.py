"""Compiles the range coder's library with this machine's compiler, next to this file.

    python -m splitwatt.engines.rangecoder.build

For boards and for development; an installed wheel has the library already.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from typing import List, Optional, Tuple

from splitwatt.device_configs.cli import guarded, note, parser, print_json
from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.files import write_atomic

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "src")
_COMMON = ["api", "codec", "compressai", "crc32", "scalar", "tables"]
_FLAGS = ["-std=c++14", "-O3", "-DNDEBUG", "-fPIC", "-fvisibility=hidden"]
_FLAGS += ["-fvisibility-inlines-hidden", "-ffp-contract=off", "-Wall"]
_LINK = ["-shared", "-static-libstdc++", "-static-libgcc"]
_AVX2 = ["-mavx2", "-mfma", "-mpopcnt"]
_AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512cd", "-mavx512vbmi"]
_AVX512 += ["-mavx512vbmi2", "-mbmi2", "-mfma", "-mpopcnt"]
_AVX512 += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]


def build(destination: str = "", compiler: str = "") -> str:
    """Compile the library.

    Args:
        destination: the file to write; if empty, `_rangecoder.so` next to this file.
        compiler: a C++ compiler; if empty, $CXX, g++, c++ or clang++.

    Returns:
        The library's path.

    Raises:
        EngineError: there is no compiler, or it fails.
        SplitwattError: the destination cannot be written.
    """
    destination = destination or os.path.join(HERE, "_rangecoder.so")
    compiler = _compiler(compiler)
    with tempfile.TemporaryDirectory() as folder:
        sources, definitions = _plan(compiler, folder)
        objects = []
        for name, flags in sources:
            output = os.path.join(folder, name + ".o")
            _run(_compile(compiler, name, flags + definitions, output), name + ".cpp")
            objects.append(output)
        library = os.path.join(folder, "library")
        _run([compiler] + objects + _LINK + ["-o", library], "the library")
        with open(library, "rb") as stream:
            content = stream.read()
        write_atomic(destination, content)
        os.chmod(destination, 0o755)
    return destination


def _compiler(wanted: str) -> str:
    for name in [wanted] if wanted else [os.environ.get("CXX", ""), "g++", "c++", "clang++"]:
        path = shutil.which(name) if name else None
        if path:
            return path
    raise EngineError(
        "there is no C++ compiler%s" % (" '%s'" % wanted if wanted else ""),
        "install one (apt-get install g++); without one, the slow NumPy reference is used",
    )


def _plan(compiler: str, folder: str) -> Tuple[List[Tuple[str, List[str]]], List[str]]:
    """The sources with their flags, and the definitions for all of them."""
    sources: List[Tuple[str, List[str]]] = [(name, []) for name in _COMMON]
    definitions = []
    target = subprocess.run(
        [compiler, "-dumpmachine"], stdout=subprocess.PIPE, universal_newlines=True
    ).stdout.lower()
    machine = target.split("-")[0] or platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        definitions.append("-DSW_HAVE_PCLMUL")
        for name, flags in (("avx2", _AVX2), ("avx512", _AVX512)):
            # GCC 7.5 lacks parts of AVX-512: leave out a source that this compiler cannot compile.
            if _attempt(_compile(compiler, name, flags, os.path.join(folder, "probe.o"))) is None:
                sources.append((name, flags))
                definitions.append("-DSW_HAVE_" + name.upper())
    elif machine in ("aarch64", "arm64"):
        # GCC's early scheduling spills vectors that the loops need at every step.
        sources.append(("neon", ["-fno-schedule-insns"]))
        definitions.append("-DSW_HAVE_ARM_CRC")
    return sources, definitions


def _compile(compiler: str, name: str, flags: List[str], output: str) -> List[str]:
    source = os.path.join(SOURCES, name + ".cpp")
    return [compiler] + _FLAGS + flags + ["-c", source, "-o", output]


def _attempt(command: List[str]) -> Optional[str]:
    """None if the command succeeds, else its output."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    return None if done.returncode == 0 else done.stdout


def _run(command: List[str], what: str) -> None:
    failure = _attempt(command)
    if failure is not None:
        lines = [line for line in failure.splitlines() if "error" in line] or [failure.strip()]
        raise EngineError(
            "%s does not compile %s: %s" % (command[0], what, lines[0][:200]),
            "try another compiler: CXX=... python -m splitwatt.engines.rangecoder.build",
        )


def command(argv: List[str]) -> int:
    """`python -m splitwatt.engines.rangecoder.build`."""
    arguments = parser(
        "build-rangecoder",
        "Compile the range coder's library.",
        "python -m splitwatt.engines.rangecoder.build --compiler g++-9",
    )
    arguments.add_argument("--compiler", default="", help="a C++ compiler (default: $CXX or g++)")
    arguments.add_argument("--output", default="", help="the library's file")
    chosen = arguments.parse_args(argv)
    path = build(chosen.output, chosen.compiler)
    if chosen.json:
        print_json({"library": path})
    else:
        note("built %s" % path)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(command, sys.argv[1:]))
