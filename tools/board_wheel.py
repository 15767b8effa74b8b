"""One wheel for every aarch64 board: the native coder cross-compiled against glibc 2.27.

    python tools/board_wheel.py --out dist

zig's clang (from PyPI's ziglang) links against any glibc's symbols that it is given, which a
distribution's cross compiler does not. Needs ziglang and pyelftools; pip fetches what builds wheels.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from symbols import faults

HERE = Path(__file__).resolve().parent
TARGET = "aarch64-linux-gnu.2.27"


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
