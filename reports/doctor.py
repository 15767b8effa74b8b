"""What `splitwatt doctor` asks of this room: the packages that a report needs."""

# board: no

from __future__ import annotations

from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.install import install_command

_REMEDY = install_command("report")


def checks() -> list[Check]:
    """Whether figures and statistics can be made here."""
    return [
        package("matplotlib", "figures", _REMEDY),
        package("scipy", "statistics", _REMEDY),
        package("rich", "tables in the terminal", "pip install rich"),
    ]
