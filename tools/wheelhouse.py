"""Everything that a board without internet installs: wheels for aarch64 and a board's Python.

    python tools/wheelhouse.py --wheel dist/splitwatt-*.whl --out wheelhouse

Writes `OUT/py3.6` (JetPack 4.6) and `OUT/py3.8` (JetPack 5.1): splitwatt's own wheel, all that it
needs at the versions of tools/board-*.txt, a pip that can install them, and requirements.txt.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Board's Python -> (version on the board, the newest glibc that wheels may need, a pip for them).
BOARDS = {"3.6": ("3.6.9", (2, 27), "pip==21.3.1"), "3.8": ("3.8.10", (2, 31), "pip==24.0")}


def platforms(glibc: tuple[int, int]) -> list[str]:
    """pip's names of the platforms that a board with this glibc takes, the newest first."""
    newer = [f"manylinux_{glibc[0]}_{minor}_aarch64" for minor in range(glibc[1], 16, -1)]
    return [*newer, "manylinux2014_aarch64", "linux_aarch64"]


def download(python: str, folder: Path) -> None:
    """Fetch the wheels of one board's Python."""
    version, glibc, pip = BOARDS[python]
    chosen = [word for name in platforms(glibc) for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", version]
    command += [*chosen, "--no-deps", "--dest", str(folder), pip]
    command += ["--requirement", str(HERE / f"board-{python}.txt")]
    subprocess.run(command, check=True)


def main() -> int:
    """Fetch for every board, besides splitwatt's wheel."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wheel", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    for python in BOARDS:
        folder = options.out / f"py{python}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"wheels for CPython {python} on aarch64 ...", flush=True)
        download(python, folder)
        shutil.copy(options.wheel, folder)
        pins = (HERE / f"board-{python}.txt").read_text()
        (folder / "requirements.txt").write_text(f"{pins}splitwatt\n")
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{folder}: {len(list(folder.glob('*.whl')))} wheels, {size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
