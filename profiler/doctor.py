"""What `splitwatt doctor` asks of this room: serving, shaping a link, clocks, memory."""

import glob
import os
import shutil
import sys
from typing import List, Optional

from device_configs.diagnosis import Check, package

_NET_ADMIN = 12  # the capability's number in /proc/self/status


def checks(root: str = "/") -> List[Check]:
    """What profiling needs on a board, and what a server needs.

    Args:
        root: where /proc and /sys are; another folder in tests.
    """
    return [
        package("psutil", "memory", "pip install psutil"),
        Check("link simulated", True, "needs nothing", ""),
        _shaped(root),
        _governor(root),
        _swap(root),
    ] + _server()


def _shaped(root: str) -> Check:
    """A real slow link: kernel traffic control, and the right to set it."""
    if shutil.which("tc") is None:
        return Check("link shaped", False, "tc is not installed", "sudo apt install iproute2")
    if not _has_net_admin(os.path.join(root, "proc/self/status")):
        return Check(
            "link shaped", False, "tc is there, but may not be used by this user", "sudo -E"
        )
    return Check("link shaped", True, "tc may be used", "")


def _has_net_admin(status: str) -> bool:
    try:
        with open(status, encoding="ascii") as stream:
            held = [line.split()[1] for line in stream if line.startswith("CapEff:")]
        return bool(int(held[0], 16) >> _NET_ADMIN & 1)
    except (OSError, ValueError, IndexError):
        return False


def _governor(root: str) -> Check:
    pattern = os.path.join(
        glob.escape(root), "sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    )
    governors = sorted({text for text in map(_read, glob.glob(pattern)) if text})
    if not governors:
        return Check("clocks", True, "the kernel tells no governor", "")
    if governors == ["performance"]:
        return Check("clocks", True, "governor performance", "")
    remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    if shutil.which("jetson_clocks"):
        remedy = "sudo jetson_clocks"
    return Check(
        "clocks", False, "governor %s: timings will scatter" % ", ".join(governors), remedy
    )


def _swap(root: str) -> Check:
    text = _read(os.path.join(root, "proc/meminfo")) or ""
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        total, swap = (int(rows[key].split()[0]) // 1024 for key in ("MemTotal", "SwapTotal"))
    except (KeyError, ValueError, IndexError):
        return Check("memory", True, "the kernel does not tell", "")
    detail = "%d MB, swap %d MB" % (total, swap)
    if total + swap < 6000:
        return Check("memory", False, detail + ": little for building engines",
                     "sudo fallocate -l 4G /swap && sudo chmod 600 /swap && sudo mkswap /swap && "
                     "sudo swapon /swap")  # fmt: skip
    return Check("memory", True, detail, "")


def _server() -> List[Check]:
    if sys.version_info < (3, 10):
        return [Check("serve", False, "the server needs Python 3.10 or newer", "")]
    remedy = "pip install 'splitwatt[serve]'"
    return [package(name, "splitwatt serve", remedy) for name in ("starlette", "uvicorn")]


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None
