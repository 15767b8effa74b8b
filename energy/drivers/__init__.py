"""One file a driver. A new one: a file here with a class `Driver`, its name in a target's YAML."""

import importlib
from typing import List, Type

from device_configs.names import check_known
from energy.rails import Driver

# Each is a module of this folder with one class, `Driver`, made from a `Context`.
NAMES = ["ina3221_hwmon", "ina3221_iio", "rapl", "nvml", "jtop", "replay", "generated"]


def load(name: str) -> Type[Driver]:
    """The class of the driver `name`. Raises UsageError for an unknown one."""
    check_known("driver", name, NAMES)
    return importlib.import_module("energy.drivers." + name).Driver  # type: ignore[no-any-return]


def available() -> List[str]:
    """The names of all drivers."""
    return list(NAMES)
