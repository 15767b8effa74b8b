"""The drivers: modules of this folder with a class `Driver` made from a `Context`, or `ina.py`.

A new driver is a new file here and its name in a target's YAML: see docs/adding-a-sensor.md.
"""

import importlib
import pkgutil
from typing import List, Type

from splitwatt.device_configs.names import check_known
from splitwatt.energy.rails.rail import Driver

# Drivers that share a module.
_INA = ("ina3221_iio", "ina3221_hwmon", "ina238_hwmon")


def available() -> List[str]:
    """The names of all drivers."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)}
    return sorted((modules - {"ina"}) | set(_INA))


def load(name: str) -> Type[Driver]:
    """The class of the driver `name`. Raises UsageError for an unknown one."""
    check_known("driver", name, available())
    module = importlib.import_module(
        "splitwatt.energy.sources." + ("ina" if name in _INA else name)
    )
    if name in _INA:
        return next(driver for driver in module.DRIVERS if driver.name == name)  # type: ignore[no-any-return]
    return module.Driver  # type: ignore[no-any-return]
