"""This room's checks for `splitwatt doctor`: the machine, its target, and its Python."""

import os
import platform
import sys
from typing import List

from splitwatt.device_configs.detect import detect_target, device_model
from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.errors import TargetError
from splitwatt.device_configs.version import ON_HOST

_GUIDE = "see docs/board-guide.md"


def checks(root: str = "/") -> List[Check]:
    """This machine's Python and target.

    Args:
        root: the folder of /proc and /sys; another one in tests.
    """
    return [
        _python(),
        _machine(root),
        package("yaml", "targets and configs", "pip install PyYAML", "PyYAML"),
    ]


def _python() -> Check:
    version = "%d.%d.%d" % sys.version_info[:3]
    if sys.version_info < (3, 6):
        return Check("Python", False, version, "use Python 3.6 or newer")
    if not ON_HOST:
        return Check("Python", True, version + " (a board's: no export, no report here)", "")
    return Check("Python", True, version, "")


def _machine(root: str) -> Check:
    sysfs = os.path.join(root, "sys")
    model = device_model(sysfs)
    where = "%s, %s" % (model or "no device tree", platform.machine())
    try:
        target = detect_target(sysfs)
    except TargetError as error:
        return Check("target", False, "%s: %s" % (where, error.message), _GUIDE)
    if model and target is None:
        return Check("target", False, where + ": no target matches it", _GUIDE)
    return Check("target", True, "%s: --target %s" % (where, target or "cpu"), "")
