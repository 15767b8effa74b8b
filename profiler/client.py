"""The board's client: one image's bytes to the server, its answer back, both ends' times apart."""

import http.client
import math
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence
from urllib.parse import quote

from device_configs.errors import ServerError
from profiler.connection import Answer, Connection, Endpoint
from profiler.protocol import (
    HEADER_LENGTH,
    Tensor,
    decode_response,
    encode_request,
    load_json,
    read_header_length,
)

TIMEOUT_S = 60.0
# Waited before the second, the third, ... attempt; a time-out is not tried again.
RETRY_AFTER_S = (0.1, 0.4)
_TOTAL = "all"  # the name of the server's total among its stages: short, as headers must be
_REMEDY = "is 'splitwatt serve' running there?"


class Reply(NamedTuple):
    """What came back for one image.

    Attributes:
        answer: the packed answer.
        stages: seconds of the server's stages by name; empty where the server does not say.
        total_s: the server's own time for the request; None where it does not say.
        wire_up_bytes: request line, headers and body that were sent, every attempt counted.
        wire_down_bytes: status line, headers and body that were received.
        attempts: 1, or more where the connection failed or the server was busy.
    """

    answer: bytes
    stages: Dict[str, float]
    total_s: Optional[float]
    wire_up_bytes: int
    wire_down_bytes: int
    attempts: int


class Client:
    """Talks to any server of the Open Inference Protocol v2 with binary tensors.

    Attributes:
        reachable: whether the last attempt got any answer at all.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeout_s: float = TIMEOUT_S,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self.endpoint = endpoint
        self.reachable = True
        self._connection = Connection(endpoint, timeout_s)
        self._timeout_s = timeout_s
        self._retry_after_s = list(retry_after_s)
        self._attempts = 0

    def infer(self, model: str, payload: bytes, sizes: Sequence[int]) -> Reply:
        """Send a codec's bytes and the six sizes of an image; blocks until the answer is there.

        Raises:
            ServerError: the server is gone, refused, or answered nonsense.
        """
        bitstream = Tensor("bitstream", "UINT8", (len(payload),), payload)
        size = b"".join(int(n).to_bytes(4, "little", signed=True) for n in sizes)
        message = encode_request([bitstream], [Tensor("sizes", "INT32", (len(sizes),), size)])
        headers = {HEADER_LENGTH: str(message.header_length)}
        self._connection.sent_bytes = self._connection.received_bytes = 0
        answer = self._ask("POST", "/v2/models/%s/infer" % _quoted(model), headers, message.body)
        length = read_header_length(answer.headers.get(HEADER_LENGTH.lower()))
        response = decode_response(answer.body, length)
        packed = response.tensors.get("answer")
        if packed is None or packed.datatype != "UINT8":
            raise ServerError("%s answered without the output 'answer'" % self.endpoint.url)
        stages = read_stages(response.parameters.get("stages", ""))
        total_s = stages.pop(_TOTAL, None)
        sent, received = self._connection.sent_bytes, self._connection.received_bytes
        return Reply(packed.data, stages, total_s, sent, received, self._attempts)

    def metadata(self) -> Dict[str, Any]:
        """What the server says about itself (`GET /v2`)."""
        return self._get("/v2")

    def model_metadata(self, model: str) -> Dict[str, Any]:
        """What the server says about a model (`GET /v2/models/MODEL`)."""
        return self._get("/v2/models/" + _quoted(model))

    def load(self, model: str) -> None:
        """Have the server load a model now, so that no sample waits for it.

        A server that does not know the request loads as it pleases: that is no error.
        """
        path = "/v2/repository/models/%s/load" % _quoted(model)
        self._ask("POST", path, {}, b"{}", optional=(400, 404, 405))

    def ready(self) -> bool:
        """Whether the server takes requests."""
        try:
            self._ask("GET", "/v2/health/ready", {}, b"")
        except ServerError:
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _get(self, path: str) -> Dict[str, Any]:
        document = load_json(self._ask("GET", path, {}, b"").body)
        if not isinstance(document, dict):
            raise ServerError("%s%s answered no JSON object" % (self.endpoint.url, path))
        return document

    def _ask(
        self,
        method: str,
        path: str,
        headers: Dict[str, str],
        body: bytes,
        optional: Sequence[int] = (),
    ) -> Answer:
        waits: List[float] = self._retry_after_s + [0.0]
        for self._attempts, wait_s in enumerate(waits, 1):
            last = self._attempts == len(waits)
            try:
                answer = self._connection.exchange(method, path, headers, body)
            except (OSError, http.client.HTTPException) as error:
                self.reachable = False
                if last or _timed_out(error):
                    raise self._gone(error)
            else:
                self.reachable = True
                if answer.status == 200 or answer.status in optional:
                    return answer
                if answer.status != 503 or last:
                    raise _refusal(answer, method, self.endpoint.url + path)
            time.sleep(wait_s)
        raise ServerError("%s was not asked" % self.endpoint.url)

    def _gone(self, error: Exception) -> ServerError:
        if _timed_out(error):
            reason = "gave no answer within %g s" % self._timeout_s
        else:
            reason = "cannot be reached: %s" % (getattr(error, "strerror", None) or error)
        return ServerError("the server %s %s" % (self.endpoint.url, reason), _REMEDY)


def write_stages(stages: Dict[str, float], total_s: float) -> str:
    """The server's stage seconds as the short text that travels in an answer.

    Ten microseconds are its resolution: headers and JSON of an answer stay under 400 bytes.
    """
    rows = list(stages.items()) + [(_TOTAL, total_s)]
    return " ".join("%s=%s" % (name, ("%.5f" % value).lstrip("0")) for name, value in rows)


def read_stages(text: Any) -> Dict[str, float]:
    """What `write_stages` wrote.

    Raises:
        ServerError: it is something else.
    """
    stages = {}
    for word in text.split() if isinstance(text, str) else [repr(text)]:
        name, _, value = word.partition("=")
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not name.isidentifier() or not math.isfinite(seconds) or seconds < 0:
            raise ServerError("the server's stage times cannot be read: '%s'" % word[:80])
        stages[name] = seconds
    return stages


def _refusal(answer: Answer, method: str, url: str) -> ServerError:
    try:
        document = load_json(answer.body[: 1 << 16])
        sentence = document.get("error") if isinstance(document, dict) else None
    except ServerError:
        sentence = None
    sentence = str(sentence or "no reason given")[:500]
    return ServerError("%s %s was refused (%d): %s" % (method, url, answer.status, sentence))


def _timed_out(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or "timed out" in str(error)


def _quoted(model: str) -> str:
    return quote(model, safe="@+")
