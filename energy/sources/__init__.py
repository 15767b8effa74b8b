"""One file a driver: a module of this folder with one class, `Driver`, made from a `Context`.

A new driver is a new file here and its name in a target's YAML: see docs/energy.md.
"""

import importlib
import pkgutil
from typing import List, Type

from splitwatt.device_configs.names import check_known
from splitwatt.energy.rails.rail import Driver


def available() -> List[str]:
    """The names of all drivers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Type[Driver]:
    """The class of the driver `name`. Raises UsageError for an unknown one."""
    check_known("driver", name, available())
    return importlib.import_module("splitwatt.energy.sources." + name).Driver  # type: ignore[no-any-return]
