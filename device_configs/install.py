"""The commands that install missing packages, in the way this copy of splitwatt was installed."""

import glob
import os
import shlex
from typing import Optional, Tuple
from urllib.parse import quote, unquote, urlsplit

import splitwatt
from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.input.strict_json import read_json

# extra -> the packages that it adds to the board runtime's, by the names of their modules
EXTRAS = {
    "export": ("torch", "torchvision", "timm", "safetensors", "compressai", "sc2bench", "onnx",
               "pillow_heif"),
    "report": ("matplotlib", "scipy"),
    "serve": ("starlette", "uvicorn", "httptools", "uvloop", "cryptography", "prometheus_client"),
    "video": ("cv2",),
    "cluster": ("ray", "pytriton"),
    "cuda": ("tensorrt", "pycuda"),
    "rtx": ("tensorrt_rtx",),
    "jetson": ("jtop",),
}  # fmt: skip


def install_command(extra: Optional[str] = None) -> str:
    """The command that adds an extra to this installation: from its clone, its wheel, or an index.

    Args:
        extra: its name; None for the packages that every installation needs.
    """
    extras = "[%s]" % extra if extra else ""
    origin = _origin()
    if origin is None:
        return "pip install %s" % shlex.quote("splitwatt" + extras)
    path, editable = origin
    if os.path.isfile(path):
        return "pip install %s" % shlex.quote("splitwatt%s @ file://%s" % (extras, quote(path)))
    return "pip install %s%s" % ("-e " if editable else "", shlex.quote(path + extras))


def install_for(package: str) -> str:
    """The command that installs a package, with the extra that has it."""
    for extra, packages in EXTRAS.items():
        if package in packages:
            return install_command(extra)
    return install_command()


def _origin() -> Optional[Tuple[str, bool]]:
    """The folder or wheel that this copy was installed from, and whether it runs from there.

    None: installed from an index, or unknown. PEP 610's direct_url.json has the origin; a clone that
    runs uninstalled is its own origin.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(splitwatt.__file__)))
    if os.path.isfile(os.path.join(root, "pyproject.toml")):
        return root, True
    for origin in glob.glob(os.path.join(root, "splitwatt-*.dist-info", "direct_url.json")):
        try:
            url = urlsplit(str(read_json(origin, 1 << 16)["url"]))
        except (SplitwattError, ValueError, KeyError, TypeError):
            return None
        path = unquote(url.path)
        return (path, False) if url.scheme == "file" and os.path.exists(path) else None
    return None
