"""The version of splitwatt, in every bundle and run, and the Python that a host needs."""

import sys

from splitwatt.device_configs.errors import UsageError

__version__ = "0.1.0"
# The oldest Python that can parse a host's files; a board may have 3.6.
_HOST_PYTHON = (3, 10)
ON_HOST = sys.version_info >= _HOST_PYTHON
HOST_ONLY = "needs Python %d.%d or newer" % _HOST_PYTHON


def check_host(what: str, remedy: str) -> None:
    """Raise UsageError if this Python is too old for what only a host runs."""
    if not ON_HOST:
        here = sys.version_info[:2]
        raise UsageError("%s %s and this is %d.%d" % ((what, HOST_ONLY) + here), remedy)
