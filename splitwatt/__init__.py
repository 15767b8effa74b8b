"""splitwatt: deploy supervised-compression models for split computing, and measure what they cost.

The rooms are sub-packages: `splitwatt.engines`, `splitwatt.energy`, ... In a clone their folders
lie at its top and this folder holds links to them; an installation holds the folders themselves.
"""

from splitwatt.device_configs.version import __version__

__all__ = ["__version__"]
