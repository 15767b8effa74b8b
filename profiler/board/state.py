"""What the board was set to: power mode, clocks, governors, temperatures; None where untold."""

import glob
import os
import platform
import re
import shutil
import subprocess
from typing import Any, Dict, List, Optional

# What `hardware` tells, and a server of itself.
HARDWARE = ("cpu_model", "cpus", "gpu", "memory_total_bytes")
_NVPMODEL_TIMEOUT_S = 5
# A GPU's clock below class/devfreq, by the names that Jetsons give it: Nano and later kernels; Xavier,
# TX2, Orin.
GPU_CLOCKS = ("*gpu*", "*.gv11b", "*.gp10b", "*.ga10b")


def board_state(root: str = "/") -> Dict[str, Any]:
    """The state of this machine now.

    Args:
        root: where /proc and /sys are; another folder in tests.

    Returns:
        What `hardware` tells; nvpmodel (mode's name), governors (each once), cpu_khz (each CPU's
        clock), cpu_max_khz, gpu_hz, temperatures_c (zone -> degrees), loadavg, machine.
        What this machine does not tell is None.
    """
    cpufreq = os.path.join(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq")
    governors = [_text(path) for path in _sorted(os.path.join(cpufreq, "scaling_governor"))]
    return {
        **hardware(root),
        "machine": platform.machine(),
        "nvpmodel": _nvpmodel() if root == "/" else None,
        "governors": sorted({name for name in governors if name}) or None,
        "cpu_khz": _numbers(os.path.join(cpufreq, "scaling_cur_freq")),
        "cpu_max_khz": _numbers(os.path.join(cpufreq, "scaling_max_freq")),
        "gpu_hz": _gpu_hz(root),
        "temperatures_c": temperatures_c(root),
        "loadavg": _loadavg(root),
    }


def hardware(root: str = "/") -> Dict[str, Any]:
    """What this machine is, by HARDWARE's names; None where it does not tell."""
    found = _cpu_model(root), os.cpu_count(), _gpu(root), _memory_total(root)
    return dict(zip(HARDWARE, found))


def temperatures_c(root: str = "/") -> Optional[Dict[str, float]]:
    """Thermal zone -> degrees Celsius; None where there is no zone that can be read."""
    zones = {}
    for folder in _sorted(os.path.join(root, "sys/class/thermal/thermal_zone[0-9]*")):
        name, value = _text(os.path.join(folder, "type")), _number(os.path.join(folder, "temp"))
        if value is not None:
            own = os.path.basename(folder)
            name = name or own
            zones[name if name not in zones else "%s_%s" % (own, name)] = value / 1000.0
    return zones or None


def _gpu_hz(root: str) -> Optional[List[float]]:
    found = (_numbers(os.path.join(root, "sys/class/devfreq", n, "cur_freq")) for n in GPU_CLOCKS)
    return next((clocks for clocks in found if clocks), None)


def _cpu_model(root: str) -> Optional[str]:
    device_tree = _text(os.path.join(root, "proc/device-tree/model"))
    if device_tree:
        return device_tree.rstrip("\0")
    found = re.search(r"model name\s*: (.+)", _text(os.path.join(root, "proc/cpuinfo")) or "")
    return found.group(1) if found else None


def _gpu(root: str) -> Optional[str]:
    """The GPUs that NVIDIA's driver names; on a Jetson, whose GPU has no name, the chip it is part of."""
    paths = _sorted(os.path.join(root, "proc/driver/nvidia/gpus/*/information"))
    names = [re.search(r"Model:\s*(.+)", _text(path) or "") for path in paths]
    if any(names):
        return ", ".join(name.group(1).strip() for name in names if name)
    compatible = _text(os.path.join(root, "proc/device-tree/compatible")) or ""
    chip = re.search(r"nvidia,(tegra\d+)", compatible)
    return "part of the " + chip.group(1) if chip else None


def _nvpmodel() -> Optional[str]:
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        output = subprocess.check_output(
            [program, "-q"],
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
            timeout=_NVPMODEL_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"Power Mode: *(\S+)", output)
    return found.group(1) if found else None


def _loadavg(root: str) -> Optional[List[float]]:
    words = (_text(os.path.join(root, "proc/loadavg")) or "").split()[:3]
    return [float(word) for word in words] or None


def _memory_total(root: str) -> Optional[int]:
    found = re.search(r"MemTotal: *(\d+) kB", _text(os.path.join(root, "proc/meminfo")) or "")
    return int(found.group(1)) * 1024 if found else None


def _numbers(pattern: str) -> Optional[List[float]]:
    values = [_number(path) for path in _sorted(pattern)]
    return [value for value in values if value is not None] or None


def _number(path: str) -> Optional[float]:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None


def _sorted(pattern: str) -> List[str]:
    return sorted(glob.glob(pattern), key=lambda path: [int(n) for n in re.findall(r"\d+", path)])
