"""Clocks, temperatures and signs of throttling, read between samples at almost no cost.

Every file is opened once. A reading stops after `BUDGET_S` and the next one goes on from there, so
that many files, or slow ones (a Jetson asks its firmware for some), delay no sample by more;
what was not read this time keeps its last value.
"""

import contextlib
import os
import re
import time
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.detect import device_model
from splitwatt.device_configs.input.small_files import text_of
from splitwatt.device_configs.nvml import LIBRARY, Nvml, NvmlError
from splitwatt.energy.rails.sysfs import optional
from splitwatt.profiler.board.state import GPU_CLOCKS, sorted_paths, thermal_zones

BUDGET_S = 1e-4

# NVML's reasons for a GPU to be slow: thermal slowdown by software and by hardware; power brake, and
# hardware slowdown for either. Caps that a user sets, and idling, are not counted.
_HEAT, _HARDWARE = 0x20 | 0x40, 0x08 | 0x80

# What a file's number means: it is a value; a sign while it is above 0; a sign when it has grown.
VALUE, STATE, COUNT = "value", "state", "count"

# Cooling devices that slow down what computes; others are fans and radios.
_SLOWS_DOWN = re.compile(
    r"cpu|gpu|soc|cv|processor|devfreq|balanced|heavy|throttl|powerclamp", re.I
)
_FAN = re.compile(r"fan", re.I)
# Of the hwmon device soctherm_oc, as Orin's guide has it.
_OC = {1: "under-voltage", 2: "average over-current", 3: "instantaneous over-current"}
# The kernel's messages where there is no counter: soctherm of a Jetson Nano or Xavier, a Raspberry Pi.
_SAID = re.compile(rb"OC ALARM|under-?voltage detected", re.I)
_KERNEL_LOG = "kernel log: under-voltage or over-current"


class Reading(NamedTuple):
    """The board at one moment.

    Attributes:
        values: name with its unit -> number; None where this machine has none.
        throttled: whether it throttled since the reading before; None where that is not known.
        by: the signs of that, in words; None without any.
    """

    values: Optional[Dict[str, float]]
    throttled: Optional[bool]
    by: Optional[str]


class _Item:
    """Something that is read, and what its number means."""

    def __init__(
        self, name: str, kind: str, read: Callable[[], Optional[float]], scale: float = 1.0
    ) -> None:
        self.name, self.kind, self._read, self._scale = name, kind, read, scale
        self._last = read()

    @property
    def value(self) -> Optional[float]:
        return None if self._last is None else self._last * self._scale

    def read(self) -> bool:
        """Read it; whether it is a count that has grown."""
        before, self._last = self._last, self._read()
        if self.kind != COUNT or self._last is None or before is None:
            return False
        return self._last > before

    @property
    def on(self) -> bool:
        """Whether it is a state that slows the board down, as last read."""
        return self.kind == STATE and self._last is not None and self._last > 0


class BoardProbe(contextlib.ExitStack):
    """Reads the board between samples; a context manager that closes the files.

    Args:
        sysfs: the folder to use instead of /sys; the kernel's log is dev/kmsg next to it.
        budget_s: how long a reading may take, apart from the file that is being read then.
        library: NVIDIA's driver library; None: only where the tree is this machine's own.
    """

    def __init__(
        self, sysfs: str = "/sys", budget_s: float = BUDGET_S, library: Optional[str] = None
    ) -> None:
        super().__init__()
        self._budget_s = budget_s
        self._nvml: Optional[Nvml] = None
        if library or sysfs == "/sys":
            with contextlib.suppress(NvmlError):
                self._nvml = Nvml(library or LIBRARY)
                self.callback(self._nvml.close)
        self._items = self._signs(sysfs) + self._of_gpus() + self._values(sysfs)
        self._next = 0
        self._log = _KernelLog(sysfs)
        self.callback(self._log.close)
        known = any(item.kind != VALUE for item in self._items) or self._log.open
        self._knows_throttling = known
        self._named = [item for item in self._items if item.kind != COUNT]

    def read(self) -> Reading:
        """The board now."""
        signs = []
        if self._log.new():
            signs.append(_KERNEL_LOG)
        until = time.perf_counter() + self._budget_s
        for _ in range(len(self._items)):
            item = self._items[self._next]
            self._next = (self._next + 1) % len(self._items)
            if item.read():
                signs.append(item.name)
            if time.perf_counter() > until:
                break
        signs += [item.name for item in self._items if item.on]
        values = {i.name: i.value for i in self._named if i.value is not None}
        throttled = bool(signs) if self._knows_throttling else None
        return Reading(values or None, throttled, "; ".join(signs) or None)

    def hot(self) -> bool:
        """Whether something is known to slow the board down right now."""
        for item in self._items:
            if item.kind == STATE:
                item.read()
        return any(item.on for item in self._items)

    def _of_gpus(self) -> List[_Item]:
        items: List[_Item] = []
        nvml = self._nvml
        for index, device in enumerate(nvml.devices if nvml is not None else []):
            if nvml is not None and device is not None:
                name = "gpu%d" % index
                items += [
                    _Item(name + " slowed down by heat", STATE, partial(_slowed, nvml, device, _HEAT)),
                    _Item(name + " slowed down by hardware", STATE,
                          partial(_slowed, nvml, device, _HARDWARE)),
                    _Item(name + "_hz", VALUE, partial(nvml.clock_hz, device)),
                    _Item(name + "_c", VALUE, partial(nvml.temperature_c, device)),
                ]  # fmt: skip
        return [item for item in items if item.value is not None]

    def _values(self, sysfs: str) -> List[_Item]:
        items: List[_Item] = []
        for path in sorted_paths(sysfs, "devices/system/cpu/cpufreq/policy[0-9]*/scaling_cur_freq"):
            core = os.path.basename(os.path.dirname(path))[len("policy") :]
            items += self._item("cpu%s_khz" % core, path, VALUE)
        for pattern in GPU_CLOCKS:
            for path in sorted_paths(sysfs, "class/devfreq/%s/cur_freq" % pattern)[:1]:
                if not any(item.name == "gpu_hz" for item in items):
                    items += self._item("gpu_hz", path, VALUE)
        for name, path in thermal_zones(sysfs).items():
            items += self._item(name + "_c", path, VALUE, 1e-3)
        return items

    def _signs(self, sysfs: str) -> List[_Item]:
        items: List[_Item] = []
        for folder in sorted_paths(sysfs, "class/thermal/cooling_device[0-9]*"):
            name = _label(folder, "type") or ""
            if _SLOWS_DOWN.search(name) and not _FAN.search(name):
                label = "cooling %s %s" % (re.sub(r"\D", "", os.path.basename(folder)), name)
                items += self._item(label, os.path.join(folder, "cur_state"), STATE)
        for folder in sorted_paths(sysfs, "class/hwmon/hwmon[0-9]*"):
            if _label(folder, "name") == "soctherm_oc":
                for number, what in _OC.items():
                    path = os.path.join(folder, "oc%d_event_cnt" % number)
                    items += self._item("OC%d event (%s)" % (number, what), path, COUNT)
        for path in sorted_paths(
            sysfs, "devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count"
        ):
            core = path.split(os.sep)[-3]
            items += self._item(
                "%s %s" % (core, os.path.basename(path)[: -len("_count")]), path, COUNT
            )
        return items

    def _item(self, name: str, path: str, kind: str, scale: float = 1.0) -> List[_Item]:
        file = optional(path)
        if file is None:
            return []
        self.callback(file.close)
        item = _Item(name, kind, file.read, scale)
        return [item] if item.value is not None else []


class _KernelLog:
    """New lines of the kernel's log.

    On boards alone, which have a device tree: elsewhere the log's silence would mean nothing.
    """

    def __init__(self, sysfs: str) -> None:
        self._handle = -1
        if device_model(sysfs) is None:
            return
        path = os.path.join(os.path.dirname(os.path.abspath(sysfs)), "dev/kmsg")
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._handle, 0, os.SEEK_END)
        except OSError:  # not there, or for root only
            self.close()

    @property
    def open(self) -> bool:
        return self._handle >= 0

    def new(self) -> bool:
        """Whether a new line reports under-voltage or over-current."""
        reported = False
        while self.open:
            try:
                line = os.read(self._handle, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:  # lines were lost: the next one is there
                continue
            except OSError:
                self.close()
                break
            if not line:
                break
            reported = reported or _SAID.search(line) is not None
        return reported

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _slowed(nvml: Nvml, device: Any, reasons: int) -> Optional[float]:
    known = nvml.throttle_reasons(device)
    return None if known is None else float(known & reasons)


def _label(folder: str, name: str) -> Optional[str]:
    return text_of(os.path.join(folder, name))
