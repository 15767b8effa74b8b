"""An artificial load of known energy, for demos and tests: marked `generated` in every record."""

import math
import time
from typing import List, Optional

from splitwatt.energy.rails import rail as rails

_BASE_W = 2.0
_SWING_W = 1.5
_PERIOD_S = 4.0


def watts(at_s: float) -> float:
    """The load: a slow sine around 2 W."""
    return _BASE_W + _SWING_W * math.sin(2 * math.pi * at_s / _PERIOD_S)


class Driver(rails.Driver):
    """Reads `watts` of the monotonic clock, on one rail."""

    name = "generated"
    provenance = "generated"
    needs_target = False
    total = ("generated",)

    def __init__(self, context: rails.Context) -> None:
        self.rails = [
            rails.Rail(
                label="generated",
                driver=self.name,
                kind=rails.INSTANT,
                path="a formula",
                period_s=None,
                part_of=None,
                energon="total",
                measures="nothing: an artificial load",
                absurd_above_w=1000.0,
            )
        ]

    def read(self) -> List[Optional[float]]:
        """The load now, W."""
        return [watts(time.monotonic())]
