"""splitwatt: deploy supervised-compression models for split computing, and measure what they cost.

The rooms are sub-packages: `splitwatt.engines`, `splitwatt.energy`, ... In a clone their folders
are at the top and this folder has links to them; an installation has the folders themselves.
"""

import sys
import types
from typing import TYPE_CHECKING, Any

from splitwatt.device_configs.version import __version__

if TYPE_CHECKING:
    from splitwatt.profiler.deploy.board import Board

__all__ = ["Board", "__version__"]


class _Package(types.ModuleType):
    """Imports `Board`, and with it the runtime, when it is first used (Python 3.6 has no
    `__getattr__` of a module)."""

    def __getattr__(self, name: str) -> Any:
        if name != "Board":
            raise AttributeError("module 'splitwatt' has no attribute '%s'" % name)
        from splitwatt.profiler.deploy.board import Board

        self.Board = Board
        return Board


sys.modules[__name__].__class__ = _Package
