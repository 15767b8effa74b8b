"""Which target this machine is: the only place that decides it.

A board is known by its module's part number in the device tree (`p3636-0001`), then by the device
tree's model, then by the labels of its power sensors. A Jetson that no target describes is an error
and never "a PC", whose sensors it does not have.
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
# How device trees and chips of Jetsons are recognised, whatever the module.
_JETSON = re.compile(r"jetson|nvidia,tegra|\btegra[0-9]|nvidia,p[0-9]{4}|^nvidia orin", re.I)


def detect(sysfs: str = "/sys") -> Optional[Target]:
    """The target of the machine that a /sys tree belongs to; None: no board that is known, a PC.

    Raises:
        TargetError: a Jetson that no target describes.
    """
    name = detect_target(sysfs)
    return None if name is None else load_target(name)


def detect_target(sysfs: str = "/sys") -> Optional[str]:
    """Like `detect`, the target's name."""
    every = [load_target(name) for name in known_targets()]
    model, compatible = device_model(sysfs), _device_tree(sysfs, "compatible")
    # First the parts of the module, which are exact; a longer name wins: "Orin NX" holds "Orin".
    for text in (compatible, _device_tree(sysfs, "nvidia,dtsfilename"), model):
        fits = [(len(part), t.name) for t in every for part in t.detect if part in (text or "")]
        if fits:
            return max(fits)[1]
    chips = _chips(sysfs)
    fit = _by_labels(every, chips)
    if fit is not None:
        return fit
    if _JETSON.search(compatible or "") or _JETSON.search(model or "") or _has_ina3221x(sysfs):
        raise TargetError(
            "this Jetson (%s) is described by no target"
            % (model or compatible or "without a name"),
            "name the nearest with --target, or describe it: docs/adding-a-target.md",
        )
    return None


def device_model(sysfs: str = "/sys") -> Optional[str]:
    """What the device tree calls this machine; None on machines without one."""
    return _device_tree(sysfs, "model")


def _device_tree(sysfs: str, name: str) -> Optional[str]:
    """A property of the device tree; its parts are separated by spaces instead of NULs."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sysfs)), "proc/device-tree")
    for folder in (os.path.join(sysfs, "firmware/devicetree/base"), beside):
        text = text_of(os.path.join(folder, name))
        if text:
            return text.replace("\0", " ")
    return None


def _chips(sysfs: str) -> Set[Tuple[str, str]]:
    """(bus-address, label) of every INA3221 channel in the tree that may be read."""
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


def _has_ina3221x(sysfs: str) -> bool:
    """Whether the driver is there that only NVIDIA's own kernels have, with a chip."""
    return bool(glob.glob(os.path.join(glob.escape(sysfs), "bus/i2c/drivers/ina3221x/*-*")))
