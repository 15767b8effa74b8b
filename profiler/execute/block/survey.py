"""What a block measures of the network between its samples: both ends' clocks, the link's rate.

Appended to the run's clock.jsonl and links.jsonl. Nothing here ends a block: a server that is gone
or too old to be asked is recorded, and the samples go on.

A rate is bytes divided by time, up and down separately. A small and a larger request are sent, each
with the token bucket drained; the rate is the difference of their bytes, framing included, over the
difference of their times. So a fixed delay, such as that of two kernels and the server, cancels
out.
"""

import time
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.device_configs.errors import RunError, ServerError
from splitwatt.profiler.client.client import Client, NoClockError
from splitwatt.profiler.client.clock import estimate
from splitwatt.profiler.links.link import framed_bytes
from splitwatt.profiler.records.blocks import DURING, NO_SERVER, ClockEstimate, LinkRate
from splitwatt.profiler.records.fields import parse, plain_text
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import CLOCK_FILE, LINKS_FILE

# What a probe carries: more as long as it takes less than this.
ENOUGH_S = 0.25
_LEAST_BYTES, _MOST_BYTES = 4096, 1 << 20
_SMALL = 3
# Time between two comparisons of the clocks during the samples.
EVERY_S = 20.0


class Survey:
    """The clocks and the link of one block.

    Args:
        folder: the run's.
        block: its id.
        client: asks the server; None for a block without one, whose own clocks are kept.
        rates: whether the rate of the link is measured.
        session: of the run.
    """

    def __init__(
        self, folder: RunFolder, block: str, client: Optional[Client], rates: bool, session: int
    ) -> None:
        self._folder = folder
        self._block = block
        self._client = client
        self._rates = rates
        self._session = session
        self._last_s = 0.0

    def take(self, when: str) -> None:
        """Compare the clocks and measure the link, BEFORE and AFTER the samples; DURING them
        compare only the clocks, if the last comparison was long ago.
        """
        if when == DURING and time.monotonic() - self._last_s <= EVERY_S:
            return
        rows: List[Tuple[str, Any]] = []
        try:
            clocks = self._unknown(when, NO_SERVER)
            if self._client is not None:
                clocks = estimate(self._client, self._block, when)._replace(session=self._session)
            rows.append((CLOCK_FILE, clocks))
            if when != DURING and self._rates and self._client is not None:
                rows.append((LINKS_FILE, probe(self._client, self._block, when)))
        except ServerError as error:
            rows.append((CLOCK_FILE, self._unknown(when, error.message)))
        for name, row in rows:
            with self._folder.appender(name) as lines:
                lines.append(self._checked(row, when))
        self._last_s = time.monotonic()

    def _checked(self, row: Any, when: str) -> Dict[str, Any]:
        """A record that readers accept, whatever the server answered."""
        line = dict(row._asdict())
        if row.why_not is not None:
            line["why_not"] = plain_text(row.why_not)
        try:
            parse(type(row), line, "the server's answer")
        except RunError as error:
            why_not = plain_text(error.message)
            if isinstance(row, ClockEstimate):
                return dict(self._unknown(when, why_not)._asdict())
            line.update(uplink_kbit_s=None, downlink_kbit_s=None, why_not=why_not)
        return line

    def _unknown(self, when: str, why_not: str) -> ClockEstimate:
        return ClockEstimate(
            self._block, when, time.monotonic(), None, None, 0, time.time(), why_not, self._session
        )


def probe(client: Client, block: str, when: str) -> LinkRate:
    """Measure the link both ways.

    Raises:
        ServerError: the server is gone. A server that cannot be measured with is no error.
    """
    try:
        up, up_bytes = _rate(client, "up_bytes")
        down, down_bytes = _rate(client, "down_bytes")
    except NoClockError as error:
        return LinkRate(block, when, time.monotonic(), None, None, 0, 0, error.message)
    return LinkRate(block, when, time.monotonic(), up, down, up_bytes, down_bytes, None)


def _rate(client: Client, way: str) -> Tuple[Optional[float], int]:
    """The rate in kbit/s of one way, `up_bytes` or `down_bytes`; None if the larger request took no
    longer; and the
    bytes that it was measured with.
    """

    def one(size: int) -> Tuple[int, float]:
        client.drain()
        more: Dict[str, Any] = {way: size}
        exchange = client.clock(**more)
        return getattr(exchange, way), exchange.received_s - exchange.sent_s

    base_bytes, base_s = min((one(0) for _ in range(_SMALL)), key=lambda pair: pair[1])
    size = _LEAST_BYTES
    while True:
        content, took_s = one(size)
        if took_s - base_s >= ENOUGH_S or size >= _MOST_BYTES:
            break
        size = min(4 * size, _MOST_BYTES)
    took_s = min(took_s, one(size)[1])  # what disturbs it makes it longer
    sent = framed_bytes(content) - framed_bytes(base_bytes)
    return (8e-3 * sent / (took_s - base_s) if took_s > base_s else None), sent
