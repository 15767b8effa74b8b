"""The board's client: sends one image's bytes, returns the answer and the times of both ends."""

import http.client
import time
from typing import Any, Container, Dict, List, NamedTuple, Optional, Sequence, Tuple, TypeVar
from urllib.parse import quote

from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.connection import Answer, Connection, Endpoint, shown, timed_out
from splitwatt.profiler.client.protocol import (
    HEADER_LENGTH,
    RESPONSE_JSON_BYTES,
    SHORT_NAMES,
    Tensor,
    decode_response,
    encode_request,
    load_json,
    read_header_length,
    short_name,
)
from splitwatt.profiler.client.wire_times import Times, read_times
from splitwatt.profiler.records.fields import MAX_CLOCK_S

TIMEOUT_S = 60.0
# Waited before the second, the third, ... attempt, or as long as a busy server says, within a bound; a
# time-out is not tried again.
RETRY_AFTER_S = (0.1, 0.4)
_LONGEST_WAIT_S = 10.0
# Of a server's stage times as text.
_TIMES_BYTES = 4096
_INFER = "/v2/models/%s/infer"
T = TypeVar("T", bound="Client")
_OLDER = "it is of an older version: both ends cannot be put on one clock"


class Reply(NamedTuple):
    """What came back for one image.

    Attributes:
        answer: the packed answer.
        stages: seconds of the server's stages by name; empty where the server does not say.
        total_s: the server's own time for the request; None where it does not say.
        wire_up_bytes: request line, headers and body that were sent, every attempt counted.
        wire_down_bytes: status line, headers and body that were received.
        attempts: 1, or more where the connection failed or the server was busy.
        sent_s: when the sending of the last attempt began, on this machine's monotonic clock.
        received_s: when the answer was there, on the same clock.
        server_at_s: when the server had all of the request, on its own monotonic clock; None where
            it does not say.
    """

    answer: bytes
    stages: Dict[str, float]
    total_s: Optional[float]
    wire_up_bytes: int
    wire_down_bytes: int
    attempts: int
    sent_s: float
    received_s: float
    server_at_s: Optional[float]


class NoClockError(ServerError):
    """The server is of a version that has no clock to ask."""


class Exchange(NamedTuple):
    """An exchange of times: this machine's clock, the server's twice, this machine's again.

    Attributes:
        sent_s, received_s: when its sending began and when its answer was there, here.
        server_received_s, server_sent_s: when the server had all of it, and when it answered.
        up_bytes, down_bytes: of HTTP, headers included.
    """

    sent_s: float
    server_received_s: float
    server_sent_s: float
    received_s: float
    up_bytes: int
    down_bytes: int


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
        self._retry_after_s = list(retry_after_s)
        self._attempts = 0
        self._sent_s = 0.0
        self._ask_binary = False
        self._short: Dict[str, str] = {}

    def infer(self, model: str, payload: bytes, sizes: Sequence[int]) -> Reply:
        """Send a codec's bytes and the six sizes of an image; blocks until the answer is there.

        Raises:
            ServerError: the server is gone, refused, or answered nonsense.
        """
        answer = self._ask("POST", self._path(model), *self.message(payload, sizes))
        received_s = time.perf_counter()
        packed, times = self.read_answer(answer)
        up, down = self._connection.sent_bytes, self._connection.received_bytes
        return Reply(
            packed, times.stages, times.total_s, up, down, self._attempts,
            self._sent_s, received_s, times.at_s,
        )  # fmt: skip

    def request(self, model: str, payload: bytes, sizes: Sequence[int]) -> bytes:
        """The whole HTTP request that `infer` sends."""
        message = self.message(payload, sizes)
        return self._connection.message("POST", self._path(model), *message)

    def read_answer(self, answer: Answer) -> Tuple[bytes, Times]:
        """The packed answer and the server's times in the response to such a request.

        Raises:
            ServerError: the server refused, or answered nonsense.
        """
        if answer.status != 200:
            raise _refusal(answer, "POST", self.endpoint.url)
        length = read_header_length(answer.headers.get(HEADER_LENGTH.lower()))
        response = decode_response(answer.body, length)
        # Ours answers as it was asked. Others need to be asked, which costs each request 42 bytes.
        self._ask_binary = self._ask_binary or length is None
        packed = response.tensors.get("answer")
        if packed is None or packed.datatype != "UINT8":
            raise ServerError("%s answered without the output 'answer'" % self.endpoint.url)
        stages = response.parameters.get("stages", "")
        if "stages" in response.tensors:  # a Triton's answers have no parameters
            stages = bytes(response.tensors["stages"].data[:_TIMES_BYTES]).decode(
                "utf-8", "replace"
            )
        return bytes(packed.data), read_times(stages)

    def _path(self, model: str) -> str:
        return _INFER % (self._short.get(model) or quoted(model))

    def request_bytes(self, model: str, payload: bytes, sizes: Sequence[int]) -> int:
        """What `infer` would send to a server of ours, in bytes; nothing is sent."""
        path = _INFER % (short_name(model) or quoted(model))
        return len(self._connection.message("POST", path, *self.message(payload, sizes)))

    def message(self, payload: bytes, sizes: Sequence[int]) -> Tuple[Dict[str, str], bytes]:
        """Headers and body of the request for one image, whatever the model."""
        bitstream = Tensor("bitstream", "UINT8", (1, len(payload)), payload)
        size = b"".join(int(n).to_bytes(4, "little", signed=True) for n in sizes)
        plain = [Tensor("sizes", "INT32", (1, len(sizes)), size)]
        message = encode_request([bitstream], plain, self._ask_binary)
        return {HEADER_LENGTH: str(message.header_length)}, message.body

    def drain(self) -> Optional[float]:
        """Empty a shaped link's token bucket before a request, see `Connection.drain`."""
        return self._connection.drain()

    def clock(self, up_bytes: int = 0, down_bytes: int = 0, free: bool = False) -> Exchange:
        """One exchange of times with the server, with as many bytes more each way.

        Args:
            up_bytes, down_bytes: what the request and the answer carry besides.
            free: not slowed down by a token bucket of this process.

        Raises:
            ServerError: the server is gone, or of a version without a clock.
        """
        path = "/v2/clock" + ("?bytes=%d" % down_bytes if down_bytes else "")
        method = "POST" if up_bytes else "GET"
        answer = self._ask(method, path, {}, bytes(up_bytes), optional=(404, 405), free=free)
        received_s = time.perf_counter()
        # Blanks fill the answer up to the bytes that were asked for.
        document = _object_of(answer.body.rstrip(b" ")) or {}
        own = document.get("received_s"), document.get("sent_s")
        if not all(isinstance(at, float) and 0 <= at <= MAX_CLOCK_S for at in own):
            raise NoClockError("the server at %s has no clock" % self.endpoint.url, _OLDER)
        up, down = self._connection.sent_bytes, self._connection.received_bytes
        return Exchange(self._sent_s, own[0], own[1], received_s, up, down)  # type: ignore

    def metadata(self) -> Dict[str, Any]:
        """What the server says about itself (`GET /v2`)."""
        return self._get("/v2")

    def model_metadata(self, model: str) -> Dict[str, Any]:
        """What the server says about a model (`GET /v2/models/MODEL`)."""
        return self._get("/v2/models/" + quoted(model))

    def bundle(self, model: str, tables_id: Optional[str]) -> Dict[str, Any]:
        """What the server says of its bundle of a model; empty where it says nothing.

        Raises:
            ServerError: it does not have the model, or other entropy tables than the board, whose
                `tables_id` is None of a codec without any.
        """
        parameters = self.model_metadata(model).get("parameters")
        theirs: Dict[str, Any] = parameters if isinstance(parameters, dict) else {}
        if "tables_id" in theirs and theirs["tables_id"] != tables_id:
            raise ServerError(
                "the server's bundle of %s has the entropy tables %s and the board's has %s"
                % (model, shown(str(theirs["tables_id"])), tables_id),
                "copy one bundle to both",
            )
        return theirs

    def load(self, model: str) -> None:
        """Have the server load a model now, so that no sample waits for it.

        A server that does not know the request loads as it pleases: that is no error. One that
        takes short names is asked by them from now on.
        """
        extensions = self.metadata().get("extensions")
        short = short_name(model)
        if short and isinstance(extensions, list) and SHORT_NAMES in extensions:
            self._short[model] = short
        path = "/v2/repository/models/%s/load" % quoted(model)
        self._ask("POST", path, {}, b"{}", optional=(400, 403, 404, 405))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _get(self, path: str) -> Dict[str, Any]:
        return self._document(self._ask("GET", path, {}, b""), path)

    def _document(
        self, answer: Answer, path: str, limit_bytes: int = RESPONSE_JSON_BYTES
    ) -> Dict[str, Any]:
        document = _object_of(answer.body, limit_bytes)
        if document is None:
            raise ServerError("%s%s did not answer with a JSON object" % (self.endpoint.url, path))
        return document

    def _ask(
        self,
        method: str,
        path: str,
        headers: Dict[str, str],
        body: bytes,
        optional: Container[int] = (),
        free: bool = False,
        more_s: float = 0.0,
    ) -> Answer:
        waits: List[float] = self._retry_after_s + [0.0]
        self._connection.sent_bytes = self._connection.received_bytes = 0
        for self._attempts, wait_s in enumerate(waits, 1):
            last = self._attempts == len(waits)
            self._sent_s = time.perf_counter()
            try:
                answer = self._connection.exchange(method, path, headers, body, free, more_s)
            except (OSError, http.client.HTTPException) as error:
                self.reachable = False
                if last or timed_out(error):
                    raise self._connection.gone(error)
            else:
                self.reachable = True
                if answer.status == 200 or answer.status in optional:
                    return answer
                if answer.status != 503 or last:
                    raise _refusal(answer, method, self.endpoint.url + path)
                asked = answer.headers.get("retry-after", "")
                wait_s = max(wait_s, min(float(asked) if asked.isdecimal() else 0, _LONGEST_WAIT_S))
            time.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")


def _refusal(answer: Answer, method: str, url: str) -> ServerError:
    if 300 <= answer.status < 400:
        return ServerError(
            "%s %s was redirected (%d)" % (method, url, answer.status),
            "redirects are not followed: give the server's own URL",
        )
    sentence = (_object_of(answer.body) or {}).get("error")
    if sentence is None and url.endswith("/v2"):  # every inference server answers that
        return ServerError(
            "%s is not an inference server: it refused %s (%d)" % (url[:-3], method, answer.status),
            "give --server the address that 'splitwatt serve' printed",
        )
    reason = "no reason given" if sentence is None else shown(str(sentence))
    return ServerError("%s %s was refused (%d): %s" % (method, url, answer.status, reason))


def _object_of(data: bytes, limit_bytes: int = RESPONSE_JSON_BYTES) -> Optional[Dict[str, Any]]:
    """The JSON object in a server's answer; None where it holds none."""
    try:
        document = load_json(data, limit_bytes)
    except ServerError:
        return None
    return document if isinstance(document, dict) else None


def quoted(model: str) -> str:
    """A model's name as part of an address, which is how Triton's own client writes it."""
    return quote(model, safe="")
