"""What `splitwatt doctor` asks of this room: serving, shaping a link, clocks, memory."""

import glob
import os
import shutil
from typing import List

from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.input.small_files import table_bytes, text_of
from splitwatt.device_configs.install import install_command
from splitwatt.device_configs.version import HOST_ONLY, ON_HOST
from splitwatt.profiler.links.parse import parse_link
from splitwatt.profiler.links.shaped import Shaped


def checks(root: str = "/") -> List[Check]:
    """What profiling needs on a board, and what a server needs.

    Args:
        root: where /proc and /sys are; another folder in tests.
    """
    return [
        package("psutil", "memory", "pip install psutil"),
        Check("link simulated", True, "needs nothing", ""),
        _shaped(),
        _governor(root),
        _swap(root),
    ] + _server()


def _shaped() -> Check:
    """A real slow link: made once, and taken away."""
    with Shaped(parse_link("shaped:100kbit")) as link:
        why_not, remedy = link.record["why_not_kernel"], link.remedy
    if why_not:
        return Check("link shaped", False, "not by the kernel: %s" % why_not, remedy)
    return Check("link shaped", True, "by the kernel, in network namespaces", "")


def _governor(root: str) -> Check:
    pattern = os.path.join(
        glob.escape(root), "sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    )
    governors = sorted({text for text in map(text_of, glob.glob(pattern)) if text})
    if not governors:
        return Check("clocks", True, "the kernel reports no governor", "")
    if governors == ["performance"]:
        return Check("clocks", True, "governor performance", "")
    remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    if shutil.which("jetson_clocks"):
        remedy = "sudo jetson_clocks"
    return Check(
        "clocks", False, "governor %s: timings will scatter" % ", ".join(governors), remedy
    )


def _swap(root: str) -> Check:
    rows = table_bytes(os.path.join(root, "proc/meminfo"))
    if not {"MemTotal", "SwapTotal"} <= set(rows):
        return Check("memory", True, "the kernel does not report it", "")
    total, swap = rows["MemTotal"] >> 20, rows["SwapTotal"] >> 20
    detail = "%d MB, swap %d MB" % (total, swap)
    if total + swap < 6000:
        return Check("memory", False, detail + ": little for building engines",
                     "sudo fallocate -l 4G /swap && sudo chmod 600 /swap && sudo mkswap /swap && "
                     "sudo swapon /swap")  # fmt: skip
    return Check("memory", True, detail, "")


def _server() -> List[Check]:
    if not ON_HOST:
        return [Check("serve", False, "the server " + HOST_ONLY, "")]
    remedy = install_command("serve")
    return [package(name, "splitwatt serve", remedy) for name in ("starlette", "uvicorn")]
