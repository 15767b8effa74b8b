"""What Energon tells beside power, read from /sys and /proc in the units that its names promise."""

import glob
import os
import re
from typing import Dict, List, Optional, Tuple

Metric = Tuple[str, str, float]  # name without prefix, help, value


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(65536)
    except (OSError, ValueError):
        return None


def _number(path: str) -> Optional[float]:
    text = _text(path)
    try:
        return None if text is None else float(text.split()[0])
    except (ValueError, IndexError):
        return None


def clean(name: str) -> str:
    """A name as Prometheus takes it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


class SystemFacts(object):
    """Reads them; keeps the last processor times, because usage is a difference."""

    def __init__(self, sysfs: str = "/sys", procfs: str = "/proc") -> None:
        self._sysfs, self._procfs = sysfs, procfs
        self._times: Dict[str, Tuple[float, float]] = {}
        self._usage()  # so that the first answer has something to differ from

    def metrics(self) -> List[Metric]:
        """Everything that is there; what is not is left out."""
        return (
            self._battery()
            + self._clocks()
            + self._usage()
            + self._memory()
            + self._gpu()
            + self._temperatures()
            + self._storage()
            + self._network()
        )

    def model(self) -> str:
        """The machine's model, "unknown" where nothing tells it."""
        for path in ("firmware/devicetree/base/model", "class/dmi/id/product_name"):
            text = _text(os.path.join(self._sysfs, path))
            if text and text.strip("\0\n "):
                return text.strip("\0\n ")
        return "unknown"

    def interfaces(self) -> List[str]:
        """The network interfaces' names."""
        return sorted(os.path.basename(p) for p in self._glob("class/net/*"))

    def _glob(self, pattern: str) -> List[str]:
        return sorted(glob.glob(os.path.join(glob.escape(self._sysfs), pattern)))

    def _battery(self) -> List[Metric]:
        for path in self._glob("class/power_supply/BAT*/capacity"):
            value = _number(path)
            if value is not None:
                return [("battery_percentage", "charge of the battery", value)]
        return []

    def _clocks(self) -> List[Metric]:
        found = []
        for path in self._glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"):
            core = path.split(os.sep)[-3][len("cpu") :]
            khz = _number(path)
            if khz is not None:
                found.append(("cpu_core_%s_MHz" % core, "clock of a core", khz / 1000))
        return found

    def _usage(self) -> List[Metric]:
        found = []
        for line in (_text(os.path.join(self._procfs, "stat")) or "").splitlines():
            match = re.match(r"cpu(\d*) +(.*)", line)
            if not match:
                continue
            ticks = [float(part) for part in match.group(2).split()]
            if len(ticks) < 5:
                continue
            total, idle = sum(ticks[:8]), ticks[3] + ticks[4]
            before_total, before_idle = self._times.get(match.group(1), (0.0, 0.0))
            self._times[match.group(1)] = (total, idle)
            passed = total - before_total
            if passed <= 0:
                continue
            used = 100 * (1 - (idle - before_idle) / passed)
            name = "core_%s" % match.group(1) if match.group(1) else "total"
            found.append(("cpu_%s_usage_percentage" % name, "how busy it is", used))
        return found

    def _memory(self) -> List[Metric]:
        text = _text(os.path.join(self._procfs, "meminfo")) or ""
        kilobytes = re.finditer(r"^(\w+):\s+(\d+) kB", text, re.M)
        rows = {m.group(1): float(m.group(2)) * 1024 for m in kilobytes}
        total, free = rows.get("MemTotal"), rows.get("MemAvailable")
        if not total or free is None:
            return []
        return [
            ("ram_total_bytes", "memory", total),
            ("ram_used_bytes", "memory that is used", total - free),
            ("ram_available_bytes", "memory that a program could get", free),
            ("ram_used_percentage", "part of the memory that is used", 100 * (1 - free / total)),
        ]

    def _gpu(self) -> List[Metric]:
        for path in ("devices/gpu.0/load", "devices/platform/gpu.0/load"):
            tenths = _number(os.path.join(self._sysfs, path))
            if tenths is not None:
                return [("gpu_total_usage_percentage", "how busy the GPU is", tenths / 10)]
        return []

    def _temperatures(self) -> List[Metric]:
        found = []
        for zone in self._glob("class/thermal/thermal_zone*"):
            name, value = _text(os.path.join(zone, "type")), _number(os.path.join(zone, "temp"))
            if name and value is not None:
                found.append(("temperature_%s_mC" % clean(name.strip()), "temperature", value))
        return _unique(found)

    def _storage(self) -> List[Metric]:
        found, seen = [], set()
        for line in (_text(os.path.join(self._procfs, "mounts")) or "").splitlines():
            device, mount = (line.split(" ") + ["", ""])[:2]
            if mount == "/":
                found += _disk("storage_", mount)
            if device.startswith("/dev/") and device not in seen:
                seen.add(device)
                found += _disk("storage_%s_" % clean(device[len("/dev/") :]), mount)
        return _unique(found)

    def _network(self) -> List[Metric]:
        found = []
        for path in self._glob("class/net/*/statistics"):
            name = clean(path.split(os.sep)[-2])
            for way in ("rx", "tx"):
                for what in ("packets", "bytes", "errors", "dropped"):
                    value = _number(os.path.join(path, "%s_%s" % (way, what)))
                    if value is not None:
                        metric = "network_metrics_%s_%s_%s" % (name, way, what)
                        found.append((metric, "since the interface came up", value))
        return found


def _disk(prefix: str, mount: str) -> List[Metric]:
    try:
        disk = os.statvfs(mount)
    except OSError:
        return []
    total = float(disk.f_blocks * disk.f_frsize)
    free = float(disk.f_bavail * disk.f_frsize)
    used = total - float(disk.f_bfree * disk.f_frsize)
    if total <= 0:
        return []
    return [
        (prefix + "total_bytes", "size of the disk", total),
        (prefix + "used_bytes", "used on the disk", used),
        (prefix + "available_bytes", "free for users", free),
        (prefix + "percent_used_percentage", "part of the disk in use", 100 * used / total),
    ]


def _unique(metrics: List[Metric]) -> List[Metric]:
    """One of each name: Prometheus refuses a name that comes twice."""
    return list({metric[0]: metric for metric in metrics}.values())
