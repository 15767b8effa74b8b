"""What the board was set to: power mode, clocks, governors, temperatures; None where not known."""

import glob
import os
import platform
import re
import shutil
import subprocess
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.detect import device_model
from splitwatt.device_configs.input.small_files import (
    TABLE_BYTES,
    number_of,
    real_number,
    table_bytes,
    text_of,
)

# The names of `hardware`, which a server also reports of itself.
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
        `hardware`; nvpmodel (mode's name), governors (each once), cpu_khz (each CPU's
        clock), cpu_max_khz, gpu_hz, temperatures_c (zone -> degrees), loadavg, machine.
        What this machine does not report is None.
    """
    cpufreq = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/"
    governors = [text_of(path) for path in sorted_paths(root, cpufreq + "scaling_governor")]
    return {
        **hardware(root),
        "machine": platform.machine(),
        "nvpmodel": _nvpmodel() if root == "/" else None,
        "governors": sorted({name for name in governors if name}) or None,
        "cpu_khz": _numbers(root, cpufreq + "scaling_cur_freq"),
        "cpu_max_khz": _numbers(root, cpufreq + "scaling_max_freq"),
        "gpu_hz": _gpu_hz(root),
        "temperatures_c": temperatures_c(root),
        "loadavg": _loadavg(root),
    }


def hardware(root: str = "/") -> Dict[str, Any]:
    """What this machine is, by HARDWARE's names; None where it is not known."""
    memory_total = table_bytes(os.path.join(root, "proc/meminfo")).get("MemTotal")
    return dict(zip(HARDWARE, (_cpu_model(root), os.cpu_count(), _gpu(root), memory_total)))


def temperatures_c(root: str = "/") -> Optional[Dict[str, float]]:
    """Thermal zone -> degrees Celsius; None where there is no zone that can be read."""
    zones = {
        name: number_of(path) for name, path in thermal_zones(os.path.join(root, "sys")).items()
    }
    return {name: value / 1000.0 for name, value in zones.items() if value is not None} or None


def thermal_zones(sysfs: str) -> Dict[str, str]:
    """Name of each thermal zone -> the file with its temperature; no two have the same name."""
    zones: Dict[str, str] = {}
    for folder in sorted_paths(sysfs, "class/thermal/thermal_zone[0-9]*"):
        own = os.path.basename(folder)
        name = text_of(os.path.join(folder, "type")) or own
        zones[name if name not in zones else "%s_%s" % (own, name)] = os.path.join(folder, "temp")
    return zones


def sorted_paths(root: str, pattern: str) -> List[str]:
    """The paths below a folder that a pattern matches, in the order of the numbers in them."""
    paths = glob.glob(os.path.join(glob.escape(root), pattern))
    return sorted(paths, key=lambda path: [int(n) for n in re.findall(r"\d+", path[len(root) :])])


def _gpu_hz(root: str) -> Optional[List[float]]:
    clocks = (_numbers(root, "sys/class/devfreq/%s/cur_freq" % name) for name in GPU_CLOCKS)
    return next((hz for hz in clocks if hz), None)


def _cpu_model(root: str) -> Optional[str]:
    model = device_model(os.path.join(root, "sys"))
    if model:
        return model
    match = re.search(r"model name\s*: (.+)", _table(root, "cpuinfo"))
    return match.group(1) if match else None


def _gpu(root: str) -> Optional[str]:
    """The GPUs that NVIDIA's driver names; on a Jetson, whose GPU has no name, the chip it is part of."""
    paths = sorted_paths(root, "proc/driver/nvidia/gpus/*/information")
    names = [re.search(r"Model:\s*(.+)", text_of(path) or "") for path in paths]
    if any(names):
        return ", ".join(name.group(1).strip() for name in names if name)
    compatible = text_of(os.path.join(root, "proc/device-tree/compatible")) or ""
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
    match = re.search(r"Power Mode: *(\S+)", output)
    return match.group(1) if match else None


def _loadavg(root: str) -> Optional[List[float]]:
    loads = [real_number(word) for word in _table(root, "loadavg").split()[:3]]
    return [load for load in loads if load is not None] or None


def _numbers(root: str, pattern: str) -> Optional[List[float]]:
    values = [number_of(path) for path in sorted_paths(root, pattern)]
    return [value for value in values if value is not None] or None


def _table(root: str, name: str) -> str:
    return text_of(os.path.join(root, "proc", name), TABLE_BYTES) or ""
