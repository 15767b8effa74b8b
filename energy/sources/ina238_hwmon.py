"""INA238 as the kernel shows it (Jetson Thor's whole input): a hwmon device with a power file.

<sysfs>/bus/i2c/drivers/ina238/<bus>-<addr>/hwmon/hwmon*/ with power1_input (microwatts), in1_input
(mV) and, where the device tree gives one, label. Thor's has none: its only rail is called VIN, as
jetson-stats does. Written from the kernel's documents; not run on a Thor.
"""

import glob
import os
from typing import List, Optional

from splitwatt.energy.rails import rail as rails
from splitwatt.energy.rails.sysfs import NumberFile, read_text

_WITHOUT_LABEL = "VIN"


class Driver(rails.Driver):
    """Reads power1_input of each chip."""

    name = "ina238_hwmon"

    def __init__(self, context: rails.Context) -> None:
        pattern = os.path.join(
            glob.escape(context.sysfs), "bus/i2c/drivers/ina238/*-*/hwmon/hwmon*"
        )
        folders = sorted(glob.glob(pattern))
        if not folders:
            raise rails.UnavailableError("there is no %s" % pattern)
        self.rails = []
        self._power: List[NumberFile] = []
        self._volts: List[Optional[NumberFile]] = []
        for folder in folders:
            label_file = os.path.join(folder, "label")
            label = read_text(label_file) if os.path.lexists(label_file) else _WITHOUT_LABEL
            if label in context.power.ignored:
                continue
            path = os.path.join(folder, "power1_input")
            rail = context.rail(label, self.name, path)
            self._power.append(NumberFile(path))
            self._volts.append(_optional(os.path.join(folder, "in1_input")))
            self.rails.append(rail)
        if not self.rails:
            raise rails.UnavailableError("%s is no power rail" % folders[0])

    def read(self) -> List[Optional[float]]:
        """One reading a rail (see `splitwatt.energy.rails.rail.Driver`)."""
        readings = [file.read() for file in self._power]
        return [None if value is None else value / 1e6 for value in readings]

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail."""
        readings = [file.read() if file else None for file in self._volts]
        return [None if value is None else value / 1e3 for value in readings]

    def close(self) -> None:
        """Let go of what was opened."""
        for file in self._power + [file for file in self._volts if file]:
            file.close()


def _optional(path: str) -> Optional[NumberFile]:
    try:
        return NumberFile(path)
    except rails.UnavailableError:
        return None  # the power is there: that is what counts
