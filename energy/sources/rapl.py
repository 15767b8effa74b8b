"""The energy counters of x86 processors (RAPL), as the powercap framework shows them.

<sysfs>/class/powercap/intel-rapl:N[:M]/ with name, energy_uj (microjoules, readable by root only
since Linux 5.10) and max_energy_range_uj, past which the counter starts from 0 again. The zones
`intel-rapl-mmio` show the same counters a second time and are left alone.
"""

import glob
import os
from typing import Dict, List, Optional, Tuple

from splitwatt.energy.rails import rail as rails
from splitwatt.energy.rails.sysfs import NumberFile, read_text, require_readable


class Driver(rails.Driver):
    """Reads energy_uj of every zone, in joules since the driver was opened."""

    name = "rapl"

    def __init__(self, context: rails.Context) -> None:
        pattern = os.path.join(glob.escape(context.sysfs), "class/powercap/intel-rapl:*")
        folders = sorted(f for f in glob.glob(pattern) if os.path.exists(os.path.join(f, "name")))
        if not folders:
            raise rails.UnavailableError("there is no %s" % pattern)
        require_readable([os.path.join(folder, "energy_uj") for folder in folders])
        self.rails = []
        self._counters: List[_Counter] = []
        for folder, label in _labels(folders):
            path = os.path.join(folder, "energy_uj")
            rail = context.rail(label, self.name, path, rails.COUNTER)
            most = _range(os.path.join(folder, "max_energy_range_uj"))
            self._counters.append(_Counter(NumberFile(path), most))
            self.rails.append(rail)

    def read(self) -> List[Optional[float]]:
        """One reading a rail (see `splitwatt.energy.rails.rail.Driver`)."""
        return [counter.joules() for counter in self._counters]

    def close(self) -> None:
        """Let go of what was opened."""
        for counter in self._counters:
            counter.file.close()


def _labels(folders: List[str]) -> List[Tuple[str, str]]:
    """(folder, label): the zone's name; with its package's number where a name is there twice."""
    names = [(f, read_text(os.path.join(f, "name"))) for f in folders]
    count: Dict[str, int] = {}
    for _, name in names:
        count[name] = count.get(name, 0) + 1
    return [
        (f, name if count[name] == 1 else "%s-%s" % (name, os.path.basename(f).split(":")[1]))
        for f, name in names
    ]


def _range(path: str) -> int:
    """Where a counter starts from 0 again, microjoules; 0: the kernel does not tell."""
    try:
        return int(read_text(path))
    except (rails.UnavailableError, ValueError):
        return 0


class _Counter(object):
    """A counter that starts from 0 again past `most` (microjoules)."""

    def __init__(self, file: NumberFile, most: int) -> None:
        self.file = file
        self._most = most
        self._last: Optional[int] = None
        self._total = 0

    def joules(self) -> Optional[float]:
        """Joules since the first call."""
        now = self.file.read()
        if now is None:
            return None
        if self._last is not None:
            step = now - self._last
            if step < 0:
                if not self._most:
                    self._last = now
                    return None  # it started again, nobody knows from where
                step += self._most  # it wrapped around, once: that takes minutes
            self._total += step
        self._last = now
        return self._total / 1e6
