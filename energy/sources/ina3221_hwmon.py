"""INA3221 as JetPack 5 and newer kernels show it: a hwmon device without a power file.

<sysfs>/bus/i2c/drivers/ina3221/<bus>-<addr>/hwmon/hwmon*/ with inN_label, inN_input (mV) and
currN_input (mA), N = 1 to 3: power is their product. in4 to in6 are shunt voltages in microvolts
and in7 is their sum: they are not power, whatever their labels say.
"""

import glob
import os
from typing import List, Optional

from splitwatt.energy.rails import rail as rails
from splitwatt.energy.rails.sysfs import NumberFile, read_text

_CHANNELS = range(1, 4)


class Driver(rails.Driver):
    """Reads voltage and current of each channel; rails are found by their labels."""

    name = "ina3221_hwmon"

    def __init__(self, context: rails.Context) -> None:
        pattern = os.path.join(
            glob.escape(context.sysfs), "bus/i2c/drivers/ina3221/*-*/hwmon/hwmon*"
        )
        folders = sorted(glob.glob(pattern))
        if not folders:
            raise rails.UnavailableError("there is no %s" % pattern)
        self.rails = []
        self._volts: List[NumberFile] = []
        self._amperes: List[NumberFile] = []
        for folder in folders:
            for channel in _CHANNELS:
                self._add(context, folder, channel)
        if not self.rails:
            raise rails.UnavailableError("%s has no channel with a label" % folders[0])

    def _add(self, context: rails.Context, folder: str, channel: int) -> None:
        label_file = os.path.join(folder, "in%d_label" % channel)
        if not os.path.lexists(label_file):
            return
        label = read_text(label_file)
        if label in context.power.ignored:
            return
        volts = os.path.join(folder, "in%d_input" % channel)
        amperes = os.path.join(folder, "curr%d_input" % channel)
        rail = context.rail(label, self.name, amperes)
        self._volts.append(NumberFile(volts))
        self._amperes.append(NumberFile(amperes))
        self.rails.append(rail)

    def read(self) -> List[Optional[float]]:
        """One reading a rail (see `splitwatt.energy.rails.rail.Driver`)."""
        readings: List[Optional[float]] = []
        for volts, amperes in zip(self._volts, self._amperes):
            millivolts, milliamperes = volts.read(), amperes.read()
            if millivolts is None or milliamperes is None:
                readings.append(None)
            else:
                readings.append(millivolts * milliamperes / 1e6)
        return readings

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail."""
        readings = [file.read() for file in self._volts]
        return [None if value is None else value / 1000.0 for value in readings]

    def close(self) -> None:
        """Let go of what was opened."""
        for file in self._volts + self._amperes:
            file.close()
