"""Requests over one kept connection without waiting for answers in between (HTTP/1.1 pipelining).

One thread sends and receives, so that TLS works too. A request is sent when the one before it has
been acknowledged: bytes never queue up in the kernel, and every transfer is timed by itself.
"""

import contextlib
import http.client
import io
import os
import select
import ssl
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, List, NamedTuple, Optional, Tuple, Union

from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.connection import Answer, Connection, Endpoint, answer_of, too_large
from splitwatt.profiler.client.protocol import MAX_PIPELINED
from splitwatt.profiler.links.way import unsent_bytes

_ACK_POLL_S = 0.002
_POLL_S = 0.2
_READ_BYTES = 64 << 10
_ANSWER_LIMIT_BYTES, _HEAD_LIMIT_BYTES = 64 << 20, 64 << 10
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Exchanged(NamedTuple):
    """How a request ended.

    Attributes:
        tag: what the caller gave with it.
        answer: the response; None where it failed.
        error: why it failed; None where it did not.
        up_bytes, down_bytes: of HTTP, headers included; `down_bytes` 0 where it failed.
        sent_s: when its first byte was sent, on this machine's monotonic clock; None: never.
        acknowledged_s: when its last byte was acknowledged, as far as that was seen.
        received_s: when its answer was there, or its failure was known.
    """

    tag: Any
    answer: Optional[Answer]
    error: Optional[ServerError]
    up_bytes: int
    down_bytes: int
    sent_s: Optional[float]
    acknowledged_s: Optional[float]
    received_s: float


class _Item:
    def __init__(self, tag: Any, data: bytes) -> None:
        self.tag, self.data = tag, data
        self.sent = 0
        self.sent_s: Optional[float] = None
        self.acknowledged_s: Optional[float] = None


class Stream:
    """Sends requests in order, over the network as it is; answers come in the same order.

    Args:
        timeout_s: of connecting.
        done: called with each request's end, in this object's own thread.
    """

    def __init__(
        self, endpoint: Endpoint, timeout_s: float, done: Callable[[Exchanged], None]
    ) -> None:
        self._connection = Connection(endpoint, timeout_s)
        self._done = done
        self._items: Deque[_Item] = deque()  # those in flight first
        self._lock = threading.Lock()
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._wake, False)
        self._failure: Optional[ServerError] = None
        self._stopped = False
        self._number = -1
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def submit(self, tag: Any, data: bytes) -> None:
        """Send a request as soon as those before it are sent."""
        with self._lock:
            self._items.append(_Item(tag, data))
        os.write(self._woken, b"w")

    def cancel(self, tag: Any) -> bool:
        """Take back a request that is not being sent yet; whether that was possible."""
        with self._lock:
            for item in self._items:
                if item.tag is tag and item.sent_s is None:
                    self._items.remove(item)
                    return True
        return False

    def abort(self, reason: str) -> None:
        """Fail every request and drop the connection with what the kernel has not sent of it."""
        self._failure = ServerError(reason)
        os.write(self._woken, b"w")

    def progress(self) -> Optional[Tuple[Any, float]]:
        """The tag of the request that is being sent, and its bytes a second so far, or None."""
        item = self._first()
        if item is None or item.sent_s is None:
            return None
        gone = max(0, item.sent - self._unacknowledged())
        return item.tag, gone / max(1e-6, time.perf_counter() - item.sent_s)

    @property
    def sending(self) -> bool:
        """Whether a request is not acknowledged yet."""
        return self._first() is not None

    def close(self) -> None:
        """Close the connection; requests in flight fail."""
        self._stopped = True
        os.write(self._woken, b"w")
        self._thread.join()
        os.close(self._wake)
        os.close(self._woken)

    def _first(self) -> Optional[_Item]:
        """The first request that is not acknowledged: the only one that is being sent."""
        with self._lock:
            return next((item for item in self._items if item.acknowledged_s is None), None)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._turn()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._fail(self._connection.gone(error))
            except ServerError as error:
                self._fail(error)
        self._fail(ServerError("the connection was closed"))

    def _turn(self) -> None:
        """Serve one connection until it fails or is no longer wanted."""
        self._buffer, self._needed = bytearray(), 1
        while not self._items and not self._stopped:
            self._wait([], [], _POLL_S)
        if self._stopped:
            return
        stream = self._connection.open()
        self._number = stream.fileno()
        stream.setblocking(False)
        while not self._stopped:
            if self._failure is not None:
                raise self._failure
            item = self._first()
            left = item is not None and item.sent < len(item.data)
            with self._lock:  # no more requests wait for their answers than the server takes
                sending = left and item in list(self._items)[:MAX_PIPELINED]
            wait_s = _POLL_S if item is None or left else _ACK_POLL_S
            pending = isinstance(stream, ssl.SSLSocket) and stream.pending()
            readable = self._wait([stream], [stream] * sending, 0 if pending else wait_s)
            if item is not None and sending:
                self._send(stream, item)
            if item is not None and item.sent == len(item.data) and not self._unacknowledged():
                item.acknowledged_s = time.perf_counter()
            if readable or pending:
                self._receive(stream)

    def _wait(self, read: List[Any], write: List[Any], wait_s: float) -> bool:
        """Wait for a socket or a change by another thread; whether there is something to read."""
        readable, _, _ = select.select(read + [self._wake], write, [], wait_s)
        if self._wake in readable:
            os.read(self._wake, 4096)
        return bool(set(readable) - {self._wake})

    def _send(self, stream: Any, item: _Item) -> None:
        with self._lock:
            if item not in self._items:  # another thread has just cancelled it
                return
            item.sent_s = item.sent_s or time.perf_counter()
        with contextlib.suppress(*_NOT_YET):
            item.sent += stream.send(memoryview(item.data)[item.sent : item.sent + _READ_BYTES])

    def _unacknowledged(self) -> int:
        try:
            return unsent_bytes(self._number)
        except OSError:
            return 0

    def _receive(self, stream: Any) -> None:
        try:
            data = stream.recv(_READ_BYTES)
        except _NOT_YET:
            return
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._buffer += data
        if len(self._buffer) > _ANSWER_LIMIT_BYTES:
            raise too_large(_ANSWER_LIMIT_BYTES)
        while len(self._buffer) >= self._needed:
            parsed = parse(bytes(self._buffer))
            if isinstance(parsed, int):
                self._needed = parsed
                return
            answer, size, last = parsed
            del self._buffer[:size]
            self._needed = 1
            with self._lock:
                item = self._items.popleft() if self._items else None
            if item is None or item.sent_s is None:
                raise ServerError("the server answered more often than it was asked")
            item.acknowledged_s = item.acknowledged_s or time.perf_counter()
            self._end(item, answer, None, size)
            if last:
                raise ConnectionResetError("the server closed the connection")

    def _fail(self, error: ServerError) -> None:
        if self._failure is not None:
            self._connection.close_now()
        self._connection.close()
        with self._lock:
            items = list(self._items)
            self._items.clear()
            self._failure = None
        for item in items:
            self._end(item, None, error, 0)

    def _end(
        self, item: _Item, answer: Optional[Answer], error: Optional[ServerError], down_bytes: int
    ) -> None:
        self._done(Exchanged(item.tag, answer, error, item.sent, down_bytes, item.sent_s,
                             item.acknowledged_s, time.perf_counter()))  # fmt: skip


class _Bytes(io.BytesIO):
    """What http.client takes for a socket and its file: bytes that are there already."""

    def makefile(self, mode: str) -> "_Bytes":
        """Itself."""
        return self

    def close(self) -> None:
        """It stays open, to say how much was read."""


def parse(data: bytes) -> Union[int, Tuple[Answer, int, bool]]:
    """The first response in `data`, its size in bytes, and whether it ends the connection; while it is
    incomplete, the least number of bytes that `data` needs.

    Raises:
        ServerError, http.client.HTTPException: it is too large, or not HTTP/1.1 with a length.
    """
    end = 0
    while True:
        start, end = end, data.find(b"\r\n\r\n", end, _HEAD_LIMIT_BYTES) + 4
        if end < 4:
            if len(data) >= _HEAD_LIMIT_BYTES:
                raise ServerError("the head of the server's answer has no end")
            return len(data) + 1
        if not data.startswith(b"HTTP/1.1 1", start):  # as 100 Continue, which the answer follows
            break
    source = _Bytes(data)
    response = http.client.HTTPResponse(source, method="POST")  # type: ignore[arg-type]
    response.begin()
    if response.length is None and not response.chunked:
        raise http.client.HTTPException("the server's answer does not state its length")
    size = end + (response.length or 0)
    if size > _ANSWER_LIMIT_BYTES:
        raise too_large(_ANSWER_LIMIT_BYTES)
    if size > len(data):
        return size
    try:
        return answer_of(response), source.tell(), response.will_close
    except http.client.IncompleteRead:
        return len(data) + 1
