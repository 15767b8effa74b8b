"""What `splitwatt doctor` asks of this room: the packages that a report needs."""

# board: no

from __future__ import annotations

from device_configs.diagnosis import Check, package

_REMEDY = "pip install 'splitwatt[report]'"


def checks() -> list[Check]:
    """Whether figures and statistics can be made here."""
    return [
        package("matplotlib", "figures", _REMEDY),
        package("scipy", "statistics", _REMEDY),
        package("rich", "tables in the terminal", "pip install rich"),
    ]
