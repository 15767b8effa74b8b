"""A recorded trace, replayed at its own pace, also on another machine than the one that recorded it."""

import time
from bisect import bisect_right
from typing import List, Optional

from splitwatt.energy.rails import rail as rails
from splitwatt.energy.trace.files import read_trace
from splitwatt.energy.trace.readings import holes_of


class Driver(rails.Driver):
    """Reads the sample of the trace at the time since the driver was opened."""

    name = "replay"
    provenance = "replayed"
    needs_target = False

    def __init__(self, context: rails.Context) -> None:
        path = context.options.get("trace")
        if not path:
            raise rails.UnavailableError("no trace was named", "--replay TRACE names one")
        self._trace = read_trace(path)
        if not self._trace.times:
            raise rails.UnavailableError("%s has no samples" % path, "record for longer")
        self.total = self._trace.total or None
        self._start_s: Optional[float] = None
        # Nothing was measured in a gap: reads in it return None.
        self._gaps = {i - 1 for i in holes_of(self._trace.times)}
        self.rails = []
        for rail in self._trace.rails:
            # A counter's trace holds mean powers.
            kind = rails.AVERAGE if rail.kind == rails.COUNTER else rail.kind
            self.rails.append(rail._replace(driver=self.name, path=path, kind=kind, same_as=None))

    def read(self) -> List[Optional[float]]:
        """The watts of each rail at this moment of the trace; None in a gap and after its end."""
        if self._start_s is None:
            self._start_s = time.monotonic()
        times = self._trace.times
        at = times[0] + time.monotonic() - self._start_s
        index = bisect_right(times, at) - 1
        if at > times[-1] or index in self._gaps:
            return [None] * len(self.rails)
        return [column[index] for column in self._trace.columns]
