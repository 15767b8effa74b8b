"""The range coder: latents to bytes and back, the same bytes on every machine.

The format is specified in docs/bitstream.md.
"""

from splitwatt.engines.rangecoder.coder import RangeCoder
from splitwatt.engines.rangecoder.tables import Tables

__all__ = ["RangeCoder", "Tables"]
