"""The INA chips of Jetsons, as different kernels show them: one loop, three layouts.

A chip's folder has a label per channel, and either a file with its power or files with its voltage
and current. Channels are known by their labels, never by their numbers.
"""

import glob
import os
from typing import List, NamedTuple, Optional, Tuple

from splitwatt.energy.rails import rail as rails
from splitwatt.energy.rails.sysfs import NumberFile, optional, read_text, require_readable, scaled


class Layout(NamedTuple):
    """Where a kernel puts a chip's figures: the pattern of its folders, its channels, the names of
    the files of the label, the voltage, and the power or current (`%d`: the channel), the unit of
    the last for 1 W or 1 A, whether it is a current, and the label where there is no label's file
    (None: such a channel is not used).
    """

    folders: str
    channels: Tuple[int, ...]
    label: str
    volts: str
    file: str
    unit: float
    is_current: bool = False
    without_label: Optional[str] = None


# JetPack 4: milliwatts per channel; the labels are for root only.
_IIO = Layout(
    "bus/i2c/drivers/ina3221x/*-*/iio:device*", (0, 1, 2),
    "rail_name_%d", "in_voltage%d_input", "in_power%d_input", 1e3,
)  # fmt: skip
# JetPack 5 and newer: no power file. in4 to in6 are shunt voltages and in7 is their sum: they are not
# power, whatever their labels say.
_HWMON = Layout(
    "bus/i2c/drivers/ina3221/*-*/hwmon/hwmon*", (1, 2, 3),
    "in%d_label", "in%d_input", "curr%d_input", 1e3, is_current=True,
)  # fmt: skip
# Thor's whole input: microwatts. Thor's device tree gives no label; jetson-stats calls it VIN too.
# Written from the kernel's documents; not run on a Thor.
_INA238 = Layout(
    "bus/i2c/drivers/ina238/*-*/hwmon/hwmon*", (1,),
    "label", "in%d_input", "power%d_input", 1e6, without_label="VIN",
)  # fmt: skip


class _Ina(rails.Driver):
    """Reads power directly, or as voltage times current, as its layout says."""

    layout: Layout

    def __init__(self, context: rails.Context) -> None:
        pattern = os.path.join(glob.escape(context.sysfs), self.layout.folders)
        folders = sorted(glob.glob(pattern))
        if not folders:
            raise rails.UnavailableError("there is no %s" % pattern)
        self.rails = []
        self._read: List[NumberFile] = []
        self._volts: List[Optional[NumberFile]] = []
        channels = [(folder, channel) for folder in folders for channel in self.layout.channels]
        require_readable([self._path(self.layout.label, *channel) for channel in channels])
        for folder, channel in channels:
            label = self._label(folder, channel)
            if label and label not in context.power.ignored:  # no label: nothing is connected
                self._add(context, label, folder, channel)
        if not self.rails:
            raise rails.UnavailableError("%s has no channel with a rail's label" % folders[0])

    @staticmethod
    def _path(name: str, folder: str, channel: int) -> str:
        return os.path.join(folder, name % channel if "%" in name else name)

    def _label(self, folder: str, channel: int) -> Optional[str]:
        path = self._path(self.layout.label, folder, channel)
        return read_text(path) if os.path.lexists(path) else self.layout.without_label

    def _add(self, context: rails.Context, label: str, folder: str, channel: int) -> None:
        path = self._path(self.layout.file, folder, channel)
        rail = context.rail(label, self.name, path)
        volts = self._path(self.layout.volts, folder, channel)
        self._read.append(NumberFile(path))
        # With a power file the voltage is not needed.
        self._volts.append(NumberFile(volts) if self.layout.is_current else optional(volts))
        self.rails.append(rail)

    def read(self) -> List[Optional[float]]:
        """Watts of each rail."""
        if not self.layout.is_current:
            return scaled(self._read, self.layout.unit)
        read = [(v.read() if v else None, a.read()) for v, a in zip(self._volts, self._read)]
        # Multiplied as integers, so that the product is exact.
        return [
            None if mv is None or ma is None else mv * ma / (1e3 * self.layout.unit)
            for mv, ma in read
        ]

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail."""
        return scaled(self._volts, 1e3)

    def close(self) -> None:
        """Close the files."""
        for file in list(self._read) + self._volts:
            if file is not None:
                file.close()


class Ina3221Iio(_Ina):
    """INA3221 as JetPack 4's kernel shows it."""

    name, layout = "ina3221_iio", _IIO


class Ina3221Hwmon(_Ina):
    """INA3221 as JetPack 5's and newer kernels show it."""

    name, layout = "ina3221_hwmon", _HWMON


class Ina238Hwmon(_Ina):
    """INA238 as the kernel shows it."""

    name, layout = "ina238_hwmon", _INA238


DRIVERS = (Ina3221Iio, Ina3221Hwmon, Ina238Hwmon)
