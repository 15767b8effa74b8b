"""What a server of ours offers besides the protocol, as a board uses it: an echo, a model's work
repeated, and its own power. Any other server offers nothing, and that is no error.
"""

import http.client
import time
from typing import Any, Dict, List, NamedTuple

from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.client import Client, quoted, reason_of
from splitwatt.profiler.client.clock import EXCHANGES, best
from splitwatt.profiler.client.connection import ANSWER_BYTES, Answer, Connection, Endpoint
from splitwatt.profiler.client.protocol import RESPONSE_JSON_BYTES, load_json
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


class Repeated(NamedTuple):
    """A model's work on the server: how often, and from when to when on the board's clock."""

    repetitions: int
    start_s: float
    end_s: float


class Remote:
    """A separate connection to a server; a context manager.

    Args:
        endpoint: where it is.
        timeout_s: of one request, to which the time of what it is asked to do is added.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._url = endpoint.url
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._connection = Connection(endpoint, timeout_s)

    def offers(self) -> List[str]:
        """What of this the server has; nothing where it is another's."""
        answer = self._exchange(self._connection, "GET", _PREFIX, {}, b"")
        names = _document(answer).get("offers") if answer.status == 200 else None
        return [str(name) for name in names] if isinstance(names, list) else []

    def offset(self) -> Offset:
        """The clocks' offset.

        Raises:
            ServerError: the server is gone or has no clock.
        """
        with Client(self._endpoint, self._timeout_s) as client:
            offset_s, uncertainty_s = best([client.clock(free=True) for _ in range(EXCHANGES)])
        return Offset(time.monotonic(), offset_s, 2 * uncertainty_s)

    def echo(self, headers: Dict[str, str], body: bytes, count: int) -> None:
        """Send this and get so many bytes back: a request without the server's work."""
        answer = self._exchange(
            self._connection, "POST", "%s/echo/%d" % (_PREFIX, count), headers, body
        )
        if answer.status != 200 or len(answer.body) != count:
            raise self._refused(answer)

    def repeat(
        self, model: str, seconds: float, headers: Dict[str, str], body: bytes, offset_s: float
    ) -> Repeated:
        """Have the server answer this infer request to itself for so long."""
        slow = Connection(self._endpoint, self._timeout_s + seconds)
        try:
            path = "%s/repeat/%s/%.3f" % (_PREFIX, model, seconds)
            answer = self._exchange(slow, "POST", path, headers, body)
        finally:
            slow.close()
        if answer.status != 200:
            raise self._refused(answer)
        document = _document(answer)
        start, end = (_number(document, key, MAX_CLOCK_S) for key in ("start_s", "end_s"))
        repetitions = int(_number(document, "repetitions", 1e9))
        return Repeated(repetitions, start - offset_s, end - offset_s)

    def begin_power(self) -> Dict[str, Any]:
        """Have the server sample its power: {"trace": its id, "about": what is sampled}."""
        return self._ask("POST", "/energy/begin", _PATIENCE_S)

    def end_power(self, trace: str) -> Dict[str, Any]:
        """End it: {"csv": zlib, base64; "about": the trace's metadata}."""
        return self._ask("POST", "/energy/end/" + quoted(trace), _PATIENCE_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _ask(self, method: str, path: str, patience_s: float = 0.0) -> Dict[str, Any]:
        connection = self._connection
        if patience_s:
            connection = Connection(self._endpoint, max(self._timeout_s, patience_s))
        try:
            answer = self._exchange(connection, method, _PREFIX + path, {}, b"")
        finally:
            if connection is not self._connection:
                connection.close()
        if answer.status != 200:
            raise self._refused(answer)
        return _document(answer, ANSWER_BYTES)  # a trace of hours is some megabytes

    def _exchange(
        self, connection: Connection, method: str, path: str, headers: Dict[str, str], body: bytes
    ) -> Answer:
        try:
            return connection.exchange(method, path, headers, body)
        except (OSError, http.client.HTTPException) as error:
            raise connection.gone(error)

    def _refused(self, answer: Answer) -> ServerError:
        return ServerError("%s refused (%d): %s" % (self._url, answer.status, reason_of(answer)))


def _document(answer: Answer, limit_bytes: int = RESPONSE_JSON_BYTES) -> Dict[str, Any]:
    document = load_json(answer.body, limit_bytes)
    if not isinstance(document, dict):
        raise ServerError("the server answered no JSON object")
    return document


def _number(document: Dict[str, Any], key: str, most: float) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise ServerError("the server's answer has no number '%s' from 0 to %g" % (key, most))
    return float(value)
