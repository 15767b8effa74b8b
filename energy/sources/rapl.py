"""The energy counters of x86 processors (RAPL), as the powercap framework shows them.

<sysfs>/class/powercap/intel-rapl:N[:M]/ with name, energy_uj (microjoules, readable by root only
since Linux 5.10) and max_energy_range_uj, above which the counter starts from 0 again. The zones
`intel-rapl-mmio` show the same counters a second time and are not read. Some processors also show
one meter for each die: such zones are marked, see `Rail.same_as`.
"""

import glob
import os
import re
import time
from typing import Dict, List, Optional, Tuple

from splitwatt.device_configs.input.small_files import number_of
from splitwatt.energy.rails import rail as rails
from splitwatt.energy.rails.sysfs import NumberFile, read_text, require_readable

# A writer may be between two zones while they are compared: number of tries, and s between them.
_COMPARISONS, _APART_S = 5, 0.002


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
        firsts: Dict[str, int] = {}
        for label, meter, folder in _zones(folders):
            path = os.path.join(folder, "energy_uj")
            rail = context.rail(label, self.name, path, rails.COUNTER)
            # Where it starts from 0 again, microjoules; 0: the kernel does not say.
            most = number_of(os.path.join(folder, "max_energy_range_uj"))
            counter = _Counter(NumberFile(path), int(most or 0))
            first = firsts.setdefault(meter, len(self.rails))
            if first < len(self.rails) and _equal(self._counters[first].file, counter.file):
                rail = rail._replace(same_as=self.rails[first].label)
            self._counters.append(counter)
            self.rails.append(rail)

    def read(self) -> List[Optional[float]]:
        """Joules of each zone since its first reading."""
        return [counter.joules() for counter in self._counters]

    def close(self) -> None:
        """Close the files."""
        for counter in self._counters:
            counter.file.close()


def _zones(folders: List[str]) -> List[Tuple[str, str, str]]:
    """(label, meter, folder) of each zone.

    The label is the zone's name, with its package's number where several zones have that name; the
    first `psys` keeps its name, as the kernel numbers only the others. Zones of one `meter` may be one meter: those of the dies of a package, and those of the platform.
    """
    names = {folder: read_text(os.path.join(folder, "name")) for folder in folders}
    zones: List[Tuple[str, str, str]] = []
    for folder, name in names.items():
        first_psys = name == "psys" and all(label != name for label, _, _ in zones)
        parent = ":".join(folder.split(":")[:2])
        again = list(names.values()).count(name) > 1
        label = "%s-%s" % (name, parent.split(":")[1]) if again and not first_psys else name
        package = re.sub(r"-die-[0-9]+$", "", names.get(parent, name))
        meter = "psys" if name.startswith("psys") else "%s of %s" % (
            package if parent == folder else name, package)  # fmt: skip
        zones.append((label, meter, folder))
    return zones


def _equal(one: NumberFile, other: NumberFile) -> bool:
    """Whether two counters show the same joules of their lifetime: two meters hardly ever do."""
    for _ in range(_COMPARISONS):
        before, value, after = one.read(), other.read(), one.read()
        if None not in (before, value, after) and before <= value <= after:  # type: ignore[operator]
            return True
        time.sleep(_APART_S)
    return False


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
                    return None  # it started again from an unknown value
                step += self._most  # it wrapped around once: that takes minutes
            self._total += step
        self._last = now
        return self._total / 1e6
