"""What a block finds out of the network between its samples: both ends' clocks, the link's rate.

Appended to the run's clock.jsonl and links.jsonl. Nothing here ends a block: a server that is gone
or too old to be asked is recorded, and the samples go on.
"""

import time
from typing import Any, List, Optional, Tuple

from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.clock import estimate
from splitwatt.profiler.execute.link_probe import probe
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.folder import Appender, RunFolder
from splitwatt.profiler.records.network import CLOCK_FILE, LINKS_FILE, NO_SERVER, ClockEstimate

BEFORE, DURING, AFTER = "before", "during", "after"
# Between samples the clocks are compared again after so long.
EVERY_S = 20.0


class Survey:
    """The clocks and the link of one block; a context manager that surveys when it ends.

    Args:
        folder: the run's.
        block: its id.
        client: asks the server; None for a block without one, whose own clocks are kept.
        link: the one that the samples are taken over, whose rate is measured; None measures none.
        session: of the run.
    """

    def __init__(
        self,
        folder: RunFolder,
        block: str,
        client: Optional[Any],
        link: Optional[Link],
        session: int,
    ) -> None:
        self._folder = folder
        self._block = block
        self._client = client
        self._link = link
        self._session = session
        self._last_s = 0.0

    def begin(self) -> None:
        """Compare the clocks and measure the link, before the first sample."""
        self._take(BEFORE, True)

    def between(self) -> None:
        """Compare the clocks between two samples, where that was long ago."""
        if time.monotonic() - self._last_s > EVERY_S:
            self._take(DURING, False)

    def end(self) -> None:
        """As `begin`, after the last sample."""
        self._take(AFTER, True)

    def _take(self, when: str, rate: bool) -> None:
        rows: List[Tuple[str, Any]] = []
        try:
            rows.append((CLOCK_FILE, self._clocks(when)))
            if rate and self._client is not None and self._link is not None:
                rows.append((LINKS_FILE, probe(self._client, self._block, when)))
        except ServerError as error:
            rows.append((CLOCK_FILE, self._unknown(when, error.message)))
        for name, row in rows:
            with Appender(self._folder.file(name)) as lines:
                lines.append(dict(row._asdict()))
        self._last_s = time.monotonic()

    def _clocks(self, when: str) -> ClockEstimate:
        if self._client is None:
            return self._unknown(when, NO_SERVER)
        return estimate(self._client, self._block, when)._replace(session=self._session)

    def _unknown(self, when: str, why_not: str) -> ClockEstimate:
        return ClockEstimate(
            self._block, when, time.monotonic(), None, None, 0, time.time(), why_not, self._session
        )
