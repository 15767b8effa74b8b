"""Limits on what arrives at the socket: connections, size of a head, time of a request.

uvicorn bounds none of them. What is refused here never reaches the application; its answer is the
protocol's error object all the same.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from splitwatt.profiler.client.protocol import MAX_PIPELINED
from splitwatt.profiler.server.web.listener import MAX_CONNECTIONS
from splitwatt.profiler.server.web.pace import Pace, PacedFlow

MAX_HEAD_BYTES = 16 << 10
# Of the heads of all requests of a connection that are not answered yet.
_MAX_HEADS_BYTES = 4 * MAX_HEAD_BYTES
# What a header takes in memory besides its text.
_HEADER_BYTES = 64
_HEAD_TOO_LARGE = 431, "the request's head is larger than %d bytes" % MAX_HEAD_BYTES
# A body that was refused, and comes nevertheless, is read and dropped at this rate.
DISCARD_BYTES_S = 4e6
# What is read of a TLS connection before anybody asks for it.
_TLS_READ_AHEAD_BYTES = 16 << 10
# The least time between two equal messages in the log, s.
_REPEAT_AFTER_S = 10.0


class RepeatsFilter(logging.Filter):
    """Lets a message through once in ten seconds, with how often it came meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        text = str(record.msg)[:200]
        last_s, held = self._seen.get(text, (-_REPEAT_AFTER_S, 0))
        now_s = time.monotonic()
        if now_s - last_s < _REPEAT_AFTER_S:
            self._seen[text] = (last_s, held + 1)
            return False
        if len(self._seen) > 100:
            self._seen.clear()
        self._seen[text] = (now_s, 0)
        if held:
            record.msg = "%s (and %d times before)" % (record.getMessage(), held)
            record.args = ()
        return True


class _RefusedError(Exception):
    pass


class GuardedProtocol(HttpToolsProtocol):  # type: ignore[misc,unused-ignore]
    """uvicorn's protocol with limits."""

    max_connections = MAX_CONNECTIONS
    flow: PacedFlow
    pace: Pace
    # From the first byte of a request to its last, and longer for what has arrived of it at this
    # rate: a large body takes long over a slow link, and a client that hardly sends is cut off.
    arrival_timeout_s, least_bytes_s = 120.0, 1000.0
    # Whatever arrives of it: a body takes no longer, and pauses no longer between two of its bytes.
    whole_timeout_s, pause_timeout_s = 900.0, 30.0
    # Until the first byte of a connection, and for a client that does not read its answer.
    silence_timeout_s, write_timeout_s = 30.0, 60.0
    on_lost: Callable[[], None] = staticmethod(lambda: None)
    on_refusal: Callable[[int], None] = staticmethod(lambda status: None)

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self.flow = PacedFlow(transport, self.loop)
        limit = getattr(transport, "set_read_buffer_limits", None)  # of TLS, from Python 3.11 on
        if limit is not None:
            limit(high=_TLS_READ_AHEAD_BYTES)
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = False
        self._arriving = False
        self._refusal = 400, "the request is not HTTP/1.1"
        self._arrived_bytes = 0
        self._began_s = self._last_s = 0.0
        # Of requests that are not answered yet: each one's cycle, and the size of its head.
        self._cycles: deque[tuple[Any, int]] = deque()
        self._late: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        if len(self.connections) > self.max_connections:
            self._refuse(503, "the server has too many connections")
        else:
            self._expect(self.silence_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is lost."""
        self._expect(None)
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)
        self._disconnect()
        self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self.transport.is_closing():
            return
        arrived_before = self._arriving
        if self._in_head:
            self._unparsed_bytes += len(data)
        super().data_received(data)
        self._arrived_bytes += len(data)
        self._last_s = self.loop.time()
        refused = self._arriving and self.cycle is not None and self.cycle.response_complete
        self.pace.take(self.flow, len(data), len(data) / DISCARD_BYTES_S if refused else 0.0)
        if self.transport.is_closing():
            self._expect(None)
        elif self._in_head and self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refusal = _HEAD_TOO_LARGE
            self.send_400_response("")
        elif not self._arriving:
            self._expect(None)
        elif not arrived_before:
            self._expect(min(self.arrival_timeout_s, self.pause_timeout_s))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._arriving = True
        self._began_s, self._arrived_bytes = self.loop.time(), 0
        self._head_bytes = self._unparsed_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the request."""
        self._count(len(name) + len(value) + _HEADER_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        if len(self._cycles) > MAX_PIPELINED:
            self._refusal = 400, "more than %d requests wait on this connection" % MAX_PIPELINED
            raise _RefusedError()
        super().on_headers_complete()
        self._cycles.append((self.cycle, self._head_bytes))

    def on_response_complete(self) -> None:
        """A request is answered; they are answered in turn."""
        if self._cycles:
            self._cycles.popleft()[0].body = bytearray()  # what was not read of a refused body
        super().on_response_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._arriving = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.write_timeout_s, self._abort)

    def resume_writing(self) -> None:
        """The client has read."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, with the protocol's error object."""
        self._refuse(*self._refusal)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        waiting = sum(size for _, size in self._cycles)
        if self._head_bytes > MAX_HEAD_BYTES or self._head_bytes + waiting > _MAX_HEADS_BYTES:
            self._refusal = _HEAD_TOO_LARGE
            raise _RefusedError()

    def _expect(self, seconds: float | None) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if seconds is not None:
            self._late = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        self._late = None
        if self._arriving:
            allowed_s = self.arrival_timeout_s + self._arrived_bytes / self.least_bytes_s
            ends_s = min(
                self._began_s + min(allowed_s, self.whole_timeout_s),
                self._last_s + self.pause_timeout_s,
            )
            left_s = ends_s - self.loop.time()
            if left_s > 0:
                return self._expect(left_s)
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self._refuse(408, "the request did not arrive in time")
        else:
            self._abort()

    def _abort(self) -> None:
        self._disconnect()
        self.transport.abort()

    def _disconnect(self) -> None:
        """Mark every request of this connection as one whose answer nobody reads."""
        for cycle, _ in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        self.flow.resume_writing()

    def _refuse(self, status: int, sentence: str) -> None:
        self.on_refusal(status)
        body = json.dumps({"error": sentence}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\n"
        if status == 503:
            head += b"retry-after: 1\r\n"
        head += b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
        self._disconnect()
