"""What a server of ours offers besides the protocol, as a board uses it: an echo, a model's work
repeated, and its own power. Any other server offers nothing, and that is no error.
"""

import time
from typing import Any, Dict, List, NamedTuple

from splitwatt.device_configs.errors import ServerError
from splitwatt.energy.joules.per_image import Repetitions
from splitwatt.profiler.client.client import Client, quoted
from splitwatt.profiler.client.clock import EXCHANGES, best
from splitwatt.profiler.client.connection import ANSWER_BYTES, Endpoint
from splitwatt.profiler.records.fields import MAX_CLOCK_S

STAGES = "stages"
ENERGY = "energy"
_PREFIX = "/v2/splitwatt"
# A server that begins to sample looks at its sensors for some seconds first.
_PATIENCE_S = 30.0


class Offset(NamedTuple):
    """The server's monotonic clock less the board's, s; the round trip that it was taken from is
    twice the most that it can be wrong by.
    """

    at_s: float
    offset_s: float
    round_trip_s: float


class Remote(Client):
    """A separate connection to a server, which is asked once; a context manager."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        super().__init__(endpoint, timeout_s, ())
        self._timeout_s = timeout_s

    def offers(self) -> List[str]:
        """Which of these the server offers; none if it is not splitwatt's."""
        answer = self._ask("GET", _PREFIX, {}, b"", optional=range(300, 600))
        names = self._document(answer, _PREFIX).get("offers") if answer.status == 200 else None
        return [str(name) for name in names] if isinstance(names, list) else []

    def offset(self) -> Offset:
        """The clocks' offset.

        Raises:
            ServerError: the server is gone or has no clock.
        """
        with Client(self.endpoint, self._timeout_s) as client:  # it may ask again
            offset_s, uncertainty_s = best([client.clock(free=True) for _ in range(EXCHANGES)])
        return Offset(time.monotonic(), offset_s, 2 * uncertainty_s)

    def echo(self, headers: Dict[str, str], body: bytes, count: int) -> None:
        """Send this and get that many bytes back: a request without the server's work."""
        answer = self._ask("POST", "%s/echo/%d" % (_PREFIX, count), headers, body)
        if len(answer.body) != count:
            raise ServerError("%s echoed %d bytes" % (self.endpoint.url, len(answer.body)))

    def repeat(
        self, model: str, seconds: float, headers: Dict[str, str], body: bytes, offset_s: float
    ) -> Repetitions:
        """Have the server repeat this request without sending answers, for that time; times on the
        board's clock."""
        path = "%s/repeat/%s/%.3f" % (_PREFIX, model, seconds)
        document = self._document(self._ask("POST", path, headers, body, more_s=seconds), path)
        start, end = (_number(document, key, MAX_CLOCK_S) for key in ("start_s", "end_s"))
        repetitions = int(_number(document, "repetitions", 1e9))
        return Repetitions(repetitions, start - offset_s, end - offset_s)

    def begin_power(self) -> Dict[str, Any]:
        """Have the server sample its power: {"trace": its id, "about": what is sampled}."""
        return self._power("/energy/begin")

    def end_power(self, trace: str) -> Dict[str, Any]:
        """End it: {"csv": zlib, base64; "about": the trace's metadata}."""
        return self._power("/energy/end/" + quoted(trace))

    def _power(self, path: str) -> Dict[str, Any]:
        answer = self._ask("POST", _PREFIX + path, {}, b"", more_s=_PATIENCE_S)
        return self._document(answer, _PREFIX + path, ANSWER_BYTES)  # a trace of hours: some MB


def _number(document: Dict[str, Any], key: str, most: float) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise ServerError("the server's answer has no number '%s' from 0 to %g" % (key, most))
    return float(value)
