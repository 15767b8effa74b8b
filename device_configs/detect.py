"""Detects which target this machine is. No other file decides that.

A board is recognised by its module's part number in the device tree (`p3636-0001`), then by the device
tree's model, then by the labels of its power sensors. A Jetson without a target is an error, because it
must not be taken for a PC, which has other sensors.
"""

import glob
import os
import re
from typing import List, Optional, Set, Tuple

from splitwatt.device_configs.errors import TargetError
from splitwatt.device_configs.input.small_files import text_of
from splitwatt.device_configs.targets import Target, known_targets, load_target

_SENSORS = "bus/i2c/drivers/ina3221*/*-*"
_LABELS = ("iio:device*/rail_name_[0-2]", "hwmon/hwmon*/in[1-3]_label")
_NO_RAIL = ("", "NC")
# Matches the device tree of every Jetson, whatever its module.
_JETSON = re.compile(r"jetson|nvidia,tegra|\btegra[0-9]|nvidia,p[0-9]{4}|^nvidia orin", re.I)


def detect_target(sysfs: str = "/sys") -> Optional[str]:
    """The name of the target of the machine whose /sys is given; None for a PC.

    Raises:
        TargetError: a Jetson without a target.
    """
    every = [load_target(name) for name in known_targets()]
    model, compatible = device_model(sysfs), _device_tree(sysfs, "compatible")
    # The part numbers of modules come first, as they are exact. A longer match wins: "Orin NX" contains
    # "Orin".
    for text in (compatible, _device_tree(sysfs, "nvidia,dtsfilename"), model):
        fits = [(len(part), t.name) for t in every for part in t.detect if part in (text or "")]
        if fits:
            return max(fits)[1]
    chips = _chips(sysfs)
    fit = _by_labels(every, chips)
    if fit is not None:
        return fit
    # Only NVIDIA's own kernels have this driver.
    has_ina3221x = glob.glob(os.path.join(glob.escape(sysfs), "bus/i2c/drivers/ina3221x/*-*"))
    if _JETSON.search(compatible or "") or _JETSON.search(model or "") or has_ina3221x:
        raise TargetError(
            "no target describes this Jetson (%s)" % (model or compatible or "without a name"),
            "name the nearest with --target, or describe it: docs/adding-a-target.md",
        )
    return None


def device_model(sysfs: str = "/sys") -> Optional[str]:
    """The machine's model in the device tree; None without a device tree."""
    return _device_tree(sysfs, "model")


def _device_tree(sysfs: str, name: str) -> Optional[str]:
    """A property of the device tree, with spaces instead of NULs between its parts."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sysfs)), "proc/device-tree")
    for folder in (os.path.join(sysfs, "firmware/devicetree/base"), beside):
        text = text_of(os.path.join(folder, name))
        if text:
            return text.replace("\0", " ")
    return None


def _chips(sysfs: str) -> Set[Tuple[str, str]]:
    """(bus-address, label) of every readable INA3221 channel."""
    chips = set()
    root = os.path.join(glob.escape(sysfs), _SENSORS)
    for pattern in _LABELS:
        for path in glob.glob(os.path.join(root, pattern)):
            label = text_of(path)
            if label not in _NO_RAIL and label is not None:
                chips.add((os.path.relpath(path, sysfs).split(os.sep)[4], label))
    return chips


def _by_labels(every: List[Target], chips: Set[Tuple[str, str]]) -> Optional[str]:
    if not chips:
        return None
    for target in every:
        if chips <= {(rail.chip, rail.label) for rail in target.rails}:
            return target.name
    labels = {label for _, label in chips}
    for target in every:
        if labels <= {rail.label for rail in target.rails}:
            return target.name
    return None
