"""One wheel for every aarch64 board: the native coder cross-compiled against glibc 2.27.

    python tools/board_wheel.py --out dist

zig's clang (from PyPI's ziglang) links against any glibc's symbols that it is given, which a
distribution's cross compiler does not. Needs ziglang and pyelftools; pip fetches what builds wheels.
"""

import argparse
import importlib.util
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

HERE = Path(__file__).resolve().parent
TARGET = "aarch64-linux-gnu.2.27"
# JetPack 4.6 (Ubuntu 18.04): glibc 2.27, the libstdc++ of GCC 8.
LIMITS = {"GLIBC": (2, 27), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)}
_VERSION = re.compile(r"^(GLIBC|GLIBCXX|CXXABI)_([\d.]+)$")


def needs(library: bytes) -> dict[str, tuple[int, ...]]:
    """The newest version of each runtime that a shared library needs."""
    newest: dict[str, tuple[int, ...]] = {}
    for section in ELFFile(io.BytesIO(library)).iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, versions in section.iter_versions():
                for needed in versions:
                    match = _VERSION.match(needed.name)
                    if match:
                        version = tuple(int(part) for part in match[2].split("."))
                        newest[match[1]] = max(version, newest.get(match[1], ()))
    return newest


def machine(library: bytes) -> str:
    """What processor a library is for: AArch64, x64, ..."""
    return str(ELFFile(io.BytesIO(library)).get_machine_arch())


def libraries(wheel: str) -> Iterator[tuple[str, bytes]]:
    """Every shared library of a wheel: name, content."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".so"):
                yield name, archive.read(name)


def faults(wheel: str, arch: str = "AArch64") -> list[str]:
    """Why a wheel does not run on a board; empty if it runs."""
    sentences, count = [], 0
    for name, content in libraries(wheel):
        count += 1
        if machine(content) != arch:
            sentences.append(f"{name} is for {machine(content)}, not {arch}")
        for runtime, version in needs(content).items():
            if version > LIMITS[runtime]:
                text = ".".join(map(str, version))
                limit = ".".join(map(str, LIMITS[runtime]))
                sentences.append(f"{name} needs {runtime} {text}, a board has {limit}")
    return sentences if count else [f"{wheel} holds no shared library"]


def compiler_script(folder: str) -> str:
    """A script that is zig's C++ compiler for the target; CMake wants a file.

    It runs zig's binary itself: the environment that pip builds in does not see this one's packages.

    Raises:
        SystemExit: ziglang is not installed.
    """
    package = importlib.util.find_spec("ziglang")
    if package is None or package.origin is None:
        raise SystemExit("the cross compiler is missing; pip install ziglang")
    zig = os.path.join(os.path.dirname(package.origin), "zig")
    path = os.path.join(folder, "aarch64-c++")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f'#!/bin/sh\nexec "{zig}" c++ -target {TARGET} "$@"\n')
    os.chmod(path, 0o755)
    return path


def build(out: Path) -> Path:
    """Build the wheel and check what it needs.

    Raises:
        SystemExit: ziglang is missing, or the wheel would not run on a board.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "SPLITWATT_CXX": compiler_script(folder),
            "CMAKE_TOOLCHAIN_FILE": str(HERE / "aarch64-glibc2.27.cmake"),
            "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        }
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--wheel-dir", folder, str(HERE.parent)]
        subprocess.run(command, check=True, env=environment)
        (made,) = Path(folder).glob("*.whl")
        if not made.name.endswith("-py3-none-linux_aarch64.whl"):
            raise SystemExit(f"{made.name} is no wheel for every Python on aarch64")
        wrong = faults(str(made))
        if wrong:
            raise SystemExit("\n".join(wrong))
        target = out / made.name
        target.write_bytes(made.read_bytes())
    return target


def main() -> int:
    """Build into the folder of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("dist"))
    print(build(parser.parse_args().out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
