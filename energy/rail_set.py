"""Opens the sensors of a target: which drivers work here, which rails they have, what is the total.

with open_rails("nano") as rails:
    watts = rails.read()
"""

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from splitwatt.device_configs.detect import detect_target
from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.targets import Power, load_target
from splitwatt.energy import sources
from splitwatt.energy.rails.rail import Context, Driver, UnavailableError, choose_total, total_lines


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
        rails: all rails, in reading order.
        total_lines: the sums that may be the board's total, the first that measures counts (see
            `splitwatt.energy.rails.rail.choose_total`).
        total: the labels of that sum as far as is known without a reading, or ().
        tried: the drivers that have no rails here, and why.
        target: the target's name (None for drivers that need none).
        provenance: measured, generated or replayed.
    """

    def __init__(
        self, opened: List[Driver], tried: List[Tried], target: Optional[str], power: Power
    ) -> None:
        self._drivers = opened
        self.tried = tried
        self.target = target
        self.rails = [rail for driver in opened for rail in driver.rails]
        labels = [rail.label for rail in self.rails]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            self.close()
            raise SensorError(
                "two sensors have the label '%s'" % twice[0], "use one of them with --driver NAME"
            )
        own = opened[0].total
        self.total_lines = total_lines(power, labels) if own is None else (own,)
        self.total = self.total_of({})
        self.provenance = opened[0].provenance

    def total_of(self, joules: Mapping[str, Optional[float]]) -> Tuple[str, ...]:
        """The labels that make the board's total, by the joules that each counter has counted."""
        return choose_total(self.total_lines, self.rails, joules)

    def read(self) -> List[Optional[float]]:
        """One reading per rail: watts, or joules so far for a counter; None where it failed."""
        if len(self._drivers) == 1:
            return self._drivers[0].read()
        return [value for driver in self._drivers for value in driver.read()]

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail, None where the sensor has none."""
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
        target: the target's name or file; None: detected (see `splitwatt.device_configs.detect`).
        sysfs: the folder to use instead of /sys.
        driver: use this driver only.
        options: what a driver may need: `trace` (replay), `jtop`, `nvml_library`.

    Raises:
        NoSensorError: no driver has rails here (the message says why for each).
        SensorError: a rail is not in the target's YAML.
        TargetError: a Jetson that no target describes.
    """
    if not os.path.isdir(sysfs):
        raise SensorError("there is no folder %s" % sysfs, "name a tree to use instead of /sys")
    if target is None and (driver is None or sources.load(driver).needs_target):
        detected = detect_target(sysfs)
    else:
        detected = None  # a made-up load and a replay need no board
    known = load_target(target or detected or "cpu")
    context = Context(known.power, sysfs, options or {})
    opened: List[Driver] = []
    tried: List[Tried] = []
    try:
        for group in known.power.drivers if driver is None else ((driver,),):
            for name in group:
                try:
                    opened.append(sources.load(name)(context))
                    break
                except UnavailableError as no:
                    tried.append(Tried(name, no.reason, no.remedy))
        if not opened:
            reasons = "; ".join(["%s: %s" % (t.driver, t.reason) for t in tried] or ["it has none"])
            more = "; %s" % known.power.without if known.power.without else ""
            remedies = [t.remedy for t in tried if t.remedy]
            raise NoSensorError(
                "no power sensor of '%s' can be read (%s%s)" % (known.name, reasons, more),
                remedies[0] if remedies else "name the right machine with --target",
                tried,
            )
    except BaseException:
        for one in opened:
            one.close()
        raise
    shown = known.name if target or opened[0].needs_target else None
    return RailSet(opened, tried, shown, known.power)
