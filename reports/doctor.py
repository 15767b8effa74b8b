"""The checks of `splitwatt doctor` for reports: the packages that a report needs."""

# board: no

from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.install import install_command

_REMEDY = install_command("report")


def checks() -> list[Check]:
    """Are the packages installed?"""
    return [
        package("matplotlib", "figures", _REMEDY),
        package("scipy", "statistics", _REMEDY),
        package("rich", "tables in the terminal", "pip install rich"),
    ]
