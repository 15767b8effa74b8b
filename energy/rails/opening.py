"""Finds the sensors of a target: which drivers work here, which rails they have, what is the total.

with open_rails("nano") as found:
    watts = found.read()
"""

import glob
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.targets import Power, Target, known_targets, load_target
from splitwatt.energy import sources as drivers
from splitwatt.energy.rails.rail import Context, Driver, UnavailableError
from splitwatt.energy.rails.total import total_of


class Tried(NamedTuple):
    """A driver that has no rails here: why, and the command that would help ("": none)."""

    driver: str
    reason: str
    remedy: str


class NoSensorError(SensorError):
    """No driver has rails here; `tried` says why, driver by driver."""

    def __init__(self, message: str, remedy: str, tried: List[Tried]) -> None:
        super().__init__(message, remedy)
        self.tried = tried


class RailSet(object):
    """The rails of every driver that works here, read together.

    Attributes:
        rails: all rails found, in reading order.
        total: labels whose sum is the board's total (one label: that rail is it), or ().
        tried: the drivers that said no, and why.
        target: the target's name (None for drivers that need none).
        provenance: measured, generated or replayed.
    """

    def __init__(
        self, found: List[Driver], tried: List[Tried], target: Optional[str], power: Power
    ) -> None:
        self._drivers = found
        self.tried = tried
        self.target = target
        self.rails = [rail for driver in found for rail in driver.rails]
        labels = [rail.label for rail in self.rails]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            self.close()
            raise SensorError("two sensors have the label '%s'" % twice[0])
        own = found[0].total
        self.total = total_of(power, labels) if own is None else own
        self.provenance = found[0].provenance

    def read(self) -> List[Optional[float]]:
        """One reading a rail: watts, or joules so far for a counter; None where there was none."""
        if len(self._drivers) == 1:
            return self._drivers[0].read()
        return [value for driver in self._drivers for value in driver.read()]

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail, None where the sensor tells none."""
        return [value for driver in self._drivers for value in driver.volts()]

    def close(self) -> None:
        """Close every driver."""
        for driver in self._drivers:
            driver.close()

    def __enter__(self) -> "RailSet":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def open_rails(
    target: Optional[str] = None,
    sysfs: str = "/sys",
    driver: Optional[str] = None,
    options: Optional[Dict[str, Any]] = None,
) -> RailSet:
    """The rails of a target, read by the first driver of each of its groups that works.

    Args:
        target: the target's name or file; None finds it out from `sysfs` (see `detect_target`).
        sysfs: the root of the tree that stands for /sys.
        driver: use this driver only.
        options: what a driver may need: `trace` (replay), `jtop`, `nvml_library`.

    Raises:
        NoSensorError: no driver has rails here (the message says why each said no).
        SensorError: a rail is not in the target's YAML.
    """
    if not os.path.isdir(sysfs):
        raise SensorError("there is no folder %s" % sysfs, "name a tree that stands for /sys")
    known = load_target(target or detect_target(sysfs) or "cpu")
    context = Context(known.power, sysfs, options)
    if driver is not None:
        groups: Tuple[Tuple[str, ...], ...] = ((driver,),)
    else:
        groups = known.power.drivers
    found: List[Driver] = []
    tried: List[Tried] = []
    try:
        for group in groups:
            _open_first(group, context, found, tried)
        if not found:
            raise NoSensorError(_nothing_found(known, tried), _first_remedy(tried), tried)
    except BaseException:
        for opened in found:
            opened.close()
        raise
    name = known.name if target or found[0].needs_target else None
    return RailSet(found, tried, name, known.power)


def _open_first(
    group: Tuple[str, ...], context: Context, found: List[Driver], tried: List[Tried]
) -> None:
    for name in group:
        try:
            found.append(drivers.load(name)(context))
            return
        except UnavailableError as no:
            tried.append(Tried(name, no.reason, no.remedy))


def _nothing_found(target: Target, tried: List[Tried]) -> str:
    reasons = "; ".join("%s: %s" % (t.driver, t.reason) for t in tried)
    return "no power sensor of '%s' can be read (%s)" % (target.name, reasons or "it has none")


def _first_remedy(tried: List[Tried]) -> str:
    remedies = [t.remedy for t in tried if t.remedy]
    return remedies[0] if remedies else "name the right machine with --target"


def detect_target(sysfs: str = "/sys") -> Optional[str]:
    """The Jetson that a /sys tree belongs to, or None.

    Known by the device tree's model; where there is none, by the INA3221's labels and addresses.
    """
    model = _device_tree_model(sysfs)
    every = [load_target(name) for name in known_targets()]
    if model:
        fits = [(len(part), t.name) for t in every for part in t.detect if part in model]
        if fits:
            return max(fits)[1]  # the longest: "Jetson Orin Nano" holds "Orin" as well
    chips = _chips(sysfs)
    if chips:
        for target in every:
            if chips <= {(rail.chip, rail.label) for rail in target.rails}:
                return target.name
        for target in every:
            labels = {rail.label for rail in target.rails}
            if {label for _, label in chips} <= labels:
                return target.name
    return None


def _device_tree_model(sysfs: str) -> str:
    try:
        with open(os.path.join(sysfs, "firmware/devicetree/base/model"), "rb") as stream:
            return stream.read(256).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""


def _chips(sysfs: str) -> set:
    """(bus-address, label) of every INA3221 channel in the tree that may be read."""
    found = set()
    root = os.path.join(glob.escape(sysfs), "bus/i2c/drivers/ina3221*/*-*")
    for pattern in ("iio:device*/rail_name_[0-2]", "hwmon/hwmon*/in[1-3]_label"):
        for path in glob.glob(os.path.join(root, pattern)):
            try:
                with open(path) as stream:
                    label = stream.read(64).strip()
            except OSError:
                continue
            if label not in ("NC", ""):
                found.add((path[len(sysfs.rstrip("/")) + 1 :].split("/")[4], label))
    return found
