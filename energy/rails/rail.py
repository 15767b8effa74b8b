"""What every driver offers: rails, one reading of them all, and why it cannot.

A driver finds its rails when it is made and raises `UnavailableError` when there are none. It keeps
its files open, because a sampler reads them a thousand times a second.
"""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.targets import Power, SensorConfig, find_rail

# How a rail's readings come about.
INSTANT = "instant"  # the power at the moment of the read
AVERAGE = "average"  # the mean power since the reading before
COUNTER = "counter"  # joules so far; the sampler turns them into the mean power since the last read


class Rail(NamedTuple):
    """One power rail that was found: label, driver, kind of reading (instant, average, counter),
    where it is read, how often the sensor changes (s, None: not known), the rail that feeds
    it, which of Energon's figures it is, what it measures, and above which watts a reading is
    absurd.
    """

    label: str
    driver: str
    kind: str
    path: str
    period_s: Optional[float]
    part_of: Optional[str]
    energon: Optional[str]
    measures: str
    absurd_above_w: float


class UnavailableError(Exception):
    """Why a driver has no rails here: one sentence, and the command that would help, if any."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Driver(object):
    """A way to read power. Subclasses set `name` and `rails`, and write `read` and `close`."""

    name = ""
    rails: List[Rail] = []
    # What a record of it may be called: measured, generated or replayed.
    provenance = "measured"
    # Whether its rails are a target's; else it is used only when asked for.
    needs_target = True
    # The labels that make the total, where the driver knows; None: the target's data tell.
    total: Optional[Tuple[str, ...]] = None

    def __init__(self, context: "Context") -> None:
        raise NotImplementedError

    def read(self) -> List[Optional[float]]:
        """One reading a rail: watts, or joules so far for a counter; None where there was none."""
        raise NotImplementedError

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail, None where the sensor tells none."""
        return [None] * len(self.rails)

    def close(self) -> None:
        """Let go of files and libraries."""


class Context(object):
    """What a driver is opened with.

    Attributes:
        power: the target's sensors and rails.
        sysfs: the root of the tree that stands for /sys.
        options: what only one driver takes: the trace to replay, the load to generate.
    """

    def __init__(self, power: Power, sysfs: str = "/sys", options: Optional[Dict[str, Any]] = None):
        self.power = power
        self.sysfs = sysfs
        self.options = options or {}

    @property
    def is_this_machine(self) -> bool:
        """Whether `sysfs` is the machine's own tree: only then may a library be asked."""
        return os.path.realpath(self.sysfs) == os.path.realpath("/sys")

    def rail(self, label: str, driver: str, path: str, kind: Optional[str] = None) -> Rail:
        """The rail that a sensor's label means on this target.

        Raises:
            SensorError: the target's YAML does not know the label: nobody can say whether it is the
                total, a part, or power at all.
        """
        known = find_rail(self.power, label)
        if known is None:
            names = ", ".join(r.label for r in self.power.rails) or "none"
            raise SensorError(
                "%s has a rail '%s' that the target does not know (it knows: %s)"
                % (path, label, names),
                "name the right target with --target, or add the rail to the target's YAML",
            )
        sensor = self.power.sensors.get(driver, SensorConfig(None, False, "", False, ""))
        return Rail(
            label=label,
            driver=driver,
            kind=kind or (AVERAGE if sensor.averages else INSTANT),
            path=path,
            period_s=sensor.period_s,
            part_of=known.part_of,
            energon=known.energon,
            measures=known.measures,
            absurd_above_w=self.power.absurd_above_w,
        )
