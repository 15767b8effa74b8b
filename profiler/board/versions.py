"""What software a run was made with, and which machine this is."""

import hashlib
import importlib
import platform
from typing import Dict, Optional

from splitwatt.device_configs.input.small_files import text_of
from splitwatt.device_configs.version import __version__

_PACKAGES = {
    "onnxruntime": "onnxruntime",
    "numpy": "numpy",
    "pillow": "PIL",
    "pyyaml": "yaml",
}
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def versions() -> Dict[str, Optional[str]]:
    """Python's, the kernel's and each package's version; None for one that is not here."""
    result: Dict[str, Optional[str]] = {
        "splitwatt": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for package, module in _PACKAGES.items():
        result[package] = _version(package, module)
    return result


def machine_id() -> Optional[str]:
    """The same 16 digits for every process on this machine until it is started again.

    By it a board knows whether its server runs on the same machine. None where the kernel has none.
    """
    text = text_of(_BOOT_ID)
    if not text:
        return None
    return hashlib.sha256(b"splitwatt " + text.encode("utf-8")).hexdigest()[:16]


def _version(package: str, module: str) -> Optional[str]:
    try:
        from importlib.metadata import version  # Python >= 3.8

        return version(package)
    except Exception:  # PackageNotFoundError, or no such module: ask the package itself
        pass
    try:
        number = getattr(importlib.import_module(module), "__version__", None)
    except ImportError:
        return None
    return str(number) if number else None
