"""The newest reading of a sampler, in a small file mapped into memory by it and by its readers.

One writer, any number of readers, no lock: the writer makes the sequence number odd while it
writes, and a reader that saw it odd or changing reads again. So a reader never delays the sampler.
"""

import mmap
import os
import struct
import time
from typing import List, NamedTuple, Optional

from splitwatt.device_configs.errors import SensorError

_HEAD = struct.Struct("<QddQQQd")  # sequence, t_s, wall - monotonic, samples, lost, failed, cpu_s
_RAIL = struct.Struct("<ddd")  # watts, volts, joules
_NAN = float("nan")


class Latest(NamedTuple):
    """The newest reading (monotonic s), what the sampler counted so far, its CPU seconds, and
    each rail's watts, volts and joules since the start (None: not known).
    """

    t_s: float
    wall_minus_monotonic_s: float
    samples: int
    lost: int
    failed: int
    cpu_s: float
    watts: List[Optional[float]]
    volts: List[Optional[float]]
    joules: List[Optional[float]]

    def fresh(self, now_s: float, hz: float) -> bool:
        """Whether it is at most a second, or ten sampling periods, old: else nothing samples now."""
        return now_s - self.t_s <= max(1.0, 10.0 / hz)

    def stale(self) -> "Latest":
        """Without the watts and volts, which are of another time; what was counted stays."""
        nothing: List[Optional[float]] = [None] * len(self.watts)
        return self._replace(watts=nothing, volts=list(nothing))


class LatestFile(object):
    """The mapped file; `create` on the writer's side first."""

    def __init__(self, path: str, rails: int, create: bool = False) -> None:
        self._rails = rails
        size = _HEAD.size + rails * _RAIL.size
        if create:
            with open(path, "wb") as stream:
                stream.write(b"\0" * size)
        with open(path, "r+b" if create else "rb") as stream:
            if os.fstat(stream.fileno()).st_size != size:
                raise SensorError("%s is not the newest reading of %d rails" % (path, rails))
            access = mmap.ACCESS_WRITE if create else mmap.ACCESS_READ
            self._map = mmap.mmap(stream.fileno(), size, access=access)
        self._sequence = 0

    def write(self, latest: Latest) -> None:
        """Put a reading where the readers find it."""
        self._sequence += 1
        head = latest[:6]
        _HEAD.pack_into(self._map, 0, self._sequence, *head)
        at = _HEAD.size
        for values in zip(latest.watts, latest.volts, latest.joules):
            _RAIL.pack_into(self._map, at, *[_NAN if v is None else v for v in values])
            at += _RAIL.size
        self._sequence += 1
        _HEAD.pack_into(self._map, 0, self._sequence, *head)

    def read(self) -> Optional[Latest]:
        """The newest reading; None before the first.

        Raises:
            SensorError: the writer died in the middle of one.
        """
        for _ in range(1000):
            before = _HEAD.unpack_from(self._map, 0)
            body = self._map[_HEAD.size :]
            after = _HEAD.unpack_from(self._map, 0)
            if before == after and before[0] % 2 == 0:
                if before[0] == 0:
                    return None
                rows = [_RAIL.unpack_from(body, i * _RAIL.size) for i in range(self._rails)]
                columns = [[None if v != v else v for v in c] for c in zip(*rows)]
                return Latest(*(before[1:] + tuple(columns or ([], [], []))))
            time.sleep(0.0005)
        raise SensorError("the sampler died while it wrote a reading", "start it again")

    def close(self) -> None:
        """Unmap it."""
        self._map.close()
