"""This room's checks for `splitwatt doctor`: the packages that an export needs."""

# board: no

from importlib import metadata

from splitwatt.device_configs.diagnosis import Check
from splitwatt.device_configs.install import install_command

_PACKAGES = ("torch", "torchvision", "timm", "compressai", "sc2bench", "onnx")


def checks() -> list[Check]:
    """Whether each is installed: by its metadata, because importing torch takes seconds."""
    made = []
    for name in _PACKAGES:
        try:
            made.append(Check(name, True, f"{metadata.version(name)} (export)", ""))
        except metadata.PackageNotFoundError:
            made.append(Check(name, False, "not installed (export)", install_command("export")))
    return made
