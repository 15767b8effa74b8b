"""An emulated aarch64 board: a small Debian in a folder, whose programs qemu runs. Needs root.

    sudo python tests/tools/emulated_board.py build/arm64

Takes about 8 minutes and 400 MB, once. Debian: apt install debootstrap qemu-user-static. Afterwards
tests/tools/test_emulated_board.py runs there (SPLITWATT_ARM64=build/arm64, as root).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# The kernel's description of an aarch64 program; F opens qemu now, so that the folder needs no copy.
MAGIC = (
    r":qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:%s:F"
)


def register() -> None:
    """Let the kernel run aarch64 programs through qemu.

    Raises:
        SystemExit: qemu-user-static is not installed.
    """
    if not BINFMT.joinpath("register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    if not BINFMT.joinpath("qemu-aarch64").exists():
        qemu = shutil.which("qemu-aarch64-static")
        if qemu is None:
            raise SystemExit("qemu is missing; apt install qemu-user-static")
        BINFMT.joinpath("register").write_text(MAGIC % qemu)


def make(root: Path) -> None:
    """Install Debian with Python into `root`, unless it exists.

    Raises:
        SystemExit: not root, or debootstrap is not installed.
    """
    if os.geteuid() != 0:
        raise SystemExit("this needs root: a foreign system is entered with chroot")
    if shutil.which("debootstrap") is None:
        raise SystemExit("debootstrap is missing; apt install debootstrap")
    register()
    if root.joinpath("ready").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    command = ["debootstrap", "--arch=arm64", "--variant=minbase", "--foreign"]
    command += ["--include=python3,python3-venv", "bookworm", str(root), MIRROR]
    subprocess.run(command, check=True)
    subprocess.run(["chroot", str(root), "/debootstrap/debootstrap", "--second-stage"], check=True)
    root.joinpath("ready").touch()


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
