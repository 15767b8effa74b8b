"""The text that a Prometheus server scrapes: Energon's names with right values, and our own series.

Energon's gauges have no labels and describe the whole machine; a figure that this machine has no
sensor for is NaN (Energon gives -1, which a sum over time would take for a power). Our own series
have a label for the rail, base units, and `_total` on counters, as Prometheus asks for. The text is
written here and not by prometheus_client, because boards with Python 3.6 do not have it.
"""

import glob
import os
import re
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.device_configs.detect import device_model
from splitwatt.device_configs.input.small_files import (
    TABLE_BYTES,
    number_of,
    real_number,
    table_bytes,
    text_of,
)
from splitwatt.energy.rails.rail import add_up
from splitwatt.energy.sampler.sampler import Latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KINDS = ("total", "cpu", "gpu", "cpu_gpu")
_SERIES = (
    ("power_watts", "gauge", "power of a rail", "watts"),
    ("voltage_volts", "gauge", "voltage of a rail", "volts"),
    ("energy_joules_total", "counter", "energy of a rail since the start", "joules"),
)

Metric = Tuple[str, str, float]  # name without prefix, help, value
# Labels and a value; name, kind, help and rows.
_Row = Tuple[Dict[str, str], Optional[float]]
_Family = Tuple[str, str, str, List[_Row]]


def clean(name: str) -> str:
    """A name as Prometheus takes it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


class SystemFacts(object):
    """Energon's figures besides power, read from /sys and /proc in the units that their names promise.

    Energon's users have dashboards on these names; node_exporter has the same figures under its own.
    The last processor times are kept, because usage is a difference.
    """

    def __init__(self, sysfs: str = "/sys", procfs: str = "/proc") -> None:
        self._sysfs, self._procfs = sysfs, procfs
        self._times: Dict[str, Tuple[float, float]] = {}
        self._usage()  # the first answer needs something to differ from

    def metrics(self) -> List[Metric]:
        """Everything that this machine has, each name once; what is missing is left out."""
        every = self._usage() + self._memory() + self._storage()
        every += [("battery_percentage", "charge of the battery", value)
                  for _, value in self._numbers("class/power_supply/BAT*/capacity")[:1]]  # fmt: skip
        every += [("gpu_total_usage_percentage", "load of the GPU", tenths / 10)
                  for pattern in ("devices/gpu.0/load", "devices/platform/gpu.0/load")
                  for _, tenths in self._numbers(pattern)]  # fmt: skip
        for path, khz in self._numbers("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"):
            core = path.split(os.sep)[-3][len("cpu") :]
            every.append(("cpu_core_%s_MHz" % core, "clock of a core", khz / 1000))
        for path, value in self._numbers("class/thermal/thermal_zone*/temp"):
            name = text_of(os.path.join(os.path.dirname(path), "type"))
            if name:
                every.append(("temperature_%s_mC" % clean(name), "temperature", value))
        for path, value in self._numbers("class/net/*/statistics/[rt]x_*"):
            interface, _, what = path.split(os.sep)[-3:]
            if what[3:] in ("packets", "bytes", "errors", "dropped"):
                name = "network_metrics_%s_%s" % (clean(interface), what)
                every.append((name, "since the interface came up", value))
        # Prometheus refuses a name that comes twice.
        return list({metric[0]: metric for metric in every}.values())

    def model(self) -> str:
        """The machine's model, "unknown" where it has none."""
        name = os.path.join(self._sysfs, "class/dmi/id/product_name")
        return device_model(self._sysfs) or text_of(name) or "unknown"

    def interfaces(self) -> List[str]:
        """The network interfaces' names."""
        return [os.path.basename(path) for path in self._glob("class/net/*")]

    def _glob(self, pattern: str) -> List[str]:
        return sorted(glob.glob(os.path.join(glob.escape(self._sysfs), pattern)))

    def _numbers(self, pattern: str) -> List[Tuple[str, float]]:
        values = [(path, number_of(path)) for path in self._glob(pattern)]
        return [(path, value) for path, value in values if value is not None]

    def _lines(self, name: str) -> List[str]:
        return (text_of(os.path.join(self._procfs, name), TABLE_BYTES) or "").splitlines()

    def _usage(self) -> List[Metric]:
        usage = []
        for line in self._lines("stat"):
            words = line.split()
            ticks = [real_number(word) for word in words[1:9]]
            if not words or not words[0].startswith("cpu") or len(ticks) < 5 or None in ticks:
                continue
            known: List[float] = [tick for tick in ticks if tick is not None]
            total, idle = sum(known), known[3] + known[4]
            before_total, before_idle = self._times.get(words[0], (0.0, 0.0))
            self._times[words[0]] = (total, idle)
            if total > before_total:
                busy = 100 * (1 - (idle - before_idle) / (total - before_total))
                name = "total" if words[0] == "cpu" else "core_%s" % words[0][len("cpu") :]
                usage.append(("cpu_%s_usage_percentage" % name, "busy part of its time", busy))
        return usage

    def _memory(self) -> List[Metric]:
        rows = table_bytes(os.path.join(self._procfs, "meminfo"))
        total, free = rows.get("MemTotal"), rows.get("MemAvailable")
        if not total or free is None:
            return []
        return [
            ("ram_total_bytes", "memory", total),
            ("ram_used_bytes", "memory that is used", total - free),
            ("ram_available_bytes", "memory that a program could get", free),
            ("ram_used_percentage", "used part of the memory", 100 * (1 - free / total)),
        ]

    def _storage(self) -> List[Metric]:
        disks: Dict[str, str] = {}
        for line in self._lines("mounts"):
            device, mount = (line.split(" ") + ["", ""])[:2]
            if mount == "/":
                disks["storage_"] = mount
            if device.startswith("/dev/"):
                disks.setdefault("storage_%s_" % clean(device[len("/dev/") :]), mount)
        return [metric for prefix, mount in disks.items() for metric in _disk(prefix, mount)]


def _disk(prefix: str, mount: str) -> List[Metric]:
    try:
        disk: Optional[os.statvfs_result] = os.statvfs(mount)
    except OSError:
        disk = None
    if disk is None or not disk.f_blocks:
        return []
    unit, blocks = float(disk.f_frsize), disk.f_blocks
    used = blocks - disk.f_bfree
    return [
        (prefix + "total_bytes", "size of the disk", blocks * unit),
        (prefix + "used_bytes", "used on the disk", used * unit),
        (prefix + "available_bytes", "free for users", disk.f_bavail * unit),
        (prefix + "percent_used_percentage", "used part of the disk", 100.0 * used / blocks),
    ]


def page(about: Dict[str, Any], latest: Optional[Latest], facts: SystemFacts) -> str:
    """The whole page.

    Args:
        about: what the sampler samples (`splitwatt.energy.sampler.sampler.Sampler.about`).
        latest: its newest reading; None before the first.
        facts: the machine's other figures.
    """
    families = _energon_power(about, latest)
    for name, text, value in facts.metrics():
        families.append(("energon_" + name, "gauge", text, [({}, value)]))
    info = {
        "detected_model": facts.model(),
        "n_proc": str(os.cpu_count() or 0),
        "network_interfaces": ",".join(facts.interfaces()),
    }
    families.append(("energon_device_info_info", "gauge", "the machine", [(info, 1.0)]))
    if latest is not None:
        families += _ours(about, latest)
    return "".join(_text(*family) for family in families)


def _energon_power(about: Dict[str, Any], latest: Optional[Latest]) -> List[_Family]:
    watts = latest.of(about, "watts") if latest else {}
    volts = latest.of(about, "volts") if latest else {}
    total = latest.total(about) if latest else ()
    # Energon's gauges have no labels: where no sensor measures, the help text says so.
    said = "" if about["provenance"] == "measured" else " (%s)" % about["provenance"]
    families: List[_Family] = []
    for kind in _KINDS:
        labels = [r["label"] for r in about["rails"] if r["energon"] == kind]
        power = add_up(total if kind == "total" else labels, watts)
        # Several rails have no one voltage.
        voltage = volts.get(labels[0]) if len(labels) == 1 else None
        for what, value in (("power_mW", power), ("voltage_mV", voltage)):
            value = None if value is None else value * 1e3
            name, text = "energon_%s_in_%s" % (kind, what), what.split("_")[0] + said
            families.append((name, "gauge", text, [({}, value)]))
    return families


def _ours(about: Dict[str, Any], latest: Latest) -> List[_Family]:
    families: List[_Family] = []
    for name, kind, text, what in _SERIES:
        values = latest.of(about, what)
        rows: List[_Row] = [
            (
                {
                    "rail": rail["label"],
                    "driver": rail["driver"],
                    "target": about["target"] or "none",
                    "provenance": about["provenance"],
                    "part_of": rail["part_of"] or "",
                },
                values[rail["label"]],
            )
            for rail in about["rails"]
            if values[rail["label"]] is not None
        ]
        if rows:
            families.append(("splitwatt_rail_" + name, kind, text, rows))
    labels = latest.total(about)
    total = add_up(labels, latest.of(about, "watts"))
    if total is not None:
        of = {"rails": "+".join(labels), "provenance": about["provenance"]}
        text = "the board's total"
        families.append(("splitwatt_board_power_watts", "gauge", text, [(of, total)]))
    taken_s = latest.t_s + latest.wall_minus_monotonic_s
    for name, kind, text, value in (
        ("samples_total", "counter", "samples taken", latest.samples),
        ("lost_samples_total", "counter", "samples that were due and not taken", latest.lost),
        ("failed_reads_total", "counter", "readings of a rail that failed", latest.failed),
        ("cpu_seconds_total", "counter", "processor time of the sampler", latest.cpu_s),
        ("last_sample_timestamp_seconds", "gauge", "when the newest sample was taken", taken_s),
    ):
        families.append(("splitwatt_sampler_" + name, kind, text, [({}, float(value))]))
    return families


def _text(name: str, kind: str, text: str, rows: List[_Row]) -> str:
    lines = ["# HELP %s %s" % (name, text), "# TYPE %s %s" % (name, kind)]
    for labels, value in rows:
        pairs = ",".join('%s="%s"' % (key, _escaped(of)) for key, of in labels.items())
        shown = "NaN" if value is None else repr(float(value))
        lines.append("%s%s %s" % (name, "{%s}" % pairs if pairs else "", shown))
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
