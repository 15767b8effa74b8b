"""INA3221 as JetPack 4's kernel shows it: an iio device with a power file per channel.

<sysfs>/bus/i2c/drivers/ina3221x/<bus>-<addr>/iio:device*/ with rail_name_N (root only),
in_voltageN_input (mV), in_currentN_input (mA), in_powerN_input (mW), N = 0 to 2.
"""

import glob
import os
from typing import List, Optional

from splitwatt.energy.rails import rail as rails
from splitwatt.energy.rails.sysfs import NumberFile, read_text, require_readable

_CHANNELS = range(3)


class Driver(rails.Driver):
    """Reads in_powerN_input; rails are found by their names, never by N."""

    name = "ina3221_iio"

    def __init__(self, context: rails.Context) -> None:
        pattern = os.path.join(
            glob.escape(context.sysfs), "bus/i2c/drivers/ina3221x/*-*/iio:device*"
        )
        folders = sorted(glob.glob(pattern))
        if not folders:
            raise rails.UnavailableError("there is no %s" % pattern)
        names = ["rail_name_%d" % channel for channel in _CHANNELS]
        require_readable([os.path.join(folder, name) for folder in folders for name in names])
        self.rails = []
        self._power: List[NumberFile] = []
        self._volts: List[Optional[NumberFile]] = []
        for folder in folders:
            for channel in _CHANNELS:
                self._add(context, folder, channel)
        if not self.rails:
            raise rails.UnavailableError("%s has no channel with a rail_name" % folders[0])

    def _add(self, context: rails.Context, folder: str, channel: int) -> None:
        name_file = os.path.join(folder, "rail_name_%d" % channel)
        if not os.path.lexists(name_file):
            return
        label = read_text(name_file)
        if label in context.power.ignored:
            return
        power = os.path.join(folder, "in_power%d_input" % channel)
        rail = context.rail(label, self.name, power)
        self._power.append(NumberFile(power))
        try:
            volts: Optional[NumberFile] = NumberFile(
                os.path.join(folder, "in_voltage%d_input" % channel)
            )
        except rails.UnavailableError:
            volts = None  # the power is there: that is what counts
        self._volts.append(volts)
        self.rails.append(rail)

    def read(self) -> List[Optional[float]]:
        """One reading a rail (see `splitwatt.energy.rails.rail.Driver`)."""
        return [_thousandth(file.read()) for file in self._power]

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail."""
        return [_thousandth(file.read()) if file else None for file in self._volts]

    def close(self) -> None:
        """Let go of what was opened."""
        for file in self._power + [file for file in self._volts if file]:
            file.close()


def _thousandth(value: Optional[int]) -> Optional[float]:
    return None if value is None else value / 1000.0
