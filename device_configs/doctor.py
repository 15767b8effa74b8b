"""What `splitwatt doctor` asks of this room: which machine this is, and whether Python fits it."""

import os
import platform
import sys
from typing import List, Optional

from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.targets import Target, known_targets, load_target

_GUIDE = "see docs/board-guide.md"


def checks(root: str = "/") -> List[Check]:
    """This machine, its Python, its name among the targets.

    Args:
        root: where /proc is; another folder in tests.
    """
    return [
        _python(),
        _machine(root),
        package("yaml", "targets and configs", "pip install PyYAML", "PyYAML"),
    ]


def detect(root: str = "/") -> Optional[Target]:
    """The board that this machine says it is, None where it says none.

    A longer name wins: an "Orin NX" is no "Orin".
    """
    model = device_model(root)
    found = []
    for name in known_targets():
        target = load_target(name)
        found += [(len(text), name) for text in target.detect if model and text in model]
    return load_target(max(found)[1]) if found else None


def device_model(root: str = "/") -> Optional[str]:
    """What the device tree calls this machine; None on machines without one."""
    try:
        with open(os.path.join(root, "proc/device-tree/model"), encoding="utf-8") as stream:
            return stream.read().strip("\0\n ") or None
    except (OSError, UnicodeDecodeError):
        return None


def _python() -> Check:
    version = "%d.%d.%d" % sys.version_info[:3]
    if sys.version_info < (3, 6):
        return Check("Python", False, version, "use Python 3.6 or newer")
    if sys.version_info < (3, 10):
        return Check("Python", True, version + " (a board's: no export, no report here)", "")
    return Check("Python", True, version, "")


def _machine(root: str) -> Check:
    model = device_model(root)
    where = "%s, %s" % (model or "no device tree", platform.machine())
    target = detect(root)
    if model and target is None:
        return Check("target", False, where + ": no target has that name", _GUIDE)
    return Check("target", True, "%s: --target %s" % (where, target.name if target else "cpu"), "")
