"""Compare the newest glibc and C++ runtime that a wheel's libraries need with a board's.

python tools/symbols.py dist/*.whl
"""

import io
import re
import sys
import zipfile
from collections.abc import Iterator

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

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


def main() -> int:
    """Check the wheels of the command line."""
    wrong = 0
    for wheel in sys.argv[1:]:
        for name, content in libraries(wheel):
            needed = needs(content)
            print(f"{name}: {machine(content)}", *(f"{k} {v}" for k, v in sorted(needed.items())))
        for fault in faults(wheel):
            print(f"{wheel}: {fault}", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
