"""A small HTTP server for a page or a scraper: few connections, each within its time.

The standard library's own server has a thread for each connection, however many, and waits as long
as another byte comes.
"""

import io
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any

from splitwatt.device_configs.cli import note

# At once, each a thread; those beyond are closed.
MOST_CONNECTIONS = 32
# For the whole head of a request, or an answer that a client does not read.
TIMEOUT_S = 10.0


class PageServer(ThreadingMixIn, HTTPServer):
    """Serves GET with a `PageHandler`; `content` is what its handlers show."""

    daemon_threads = True
    content: Any = None

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.Semaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection's thread, or close the connection."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error on one line; a client that left in the middle of an answer is not one."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            note("splitwatt: a request failed: %s: %s" % (type(error).__name__, error))


class PageHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: PageServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """A connection begins."""
        super().setup()
        self.connection.settimeout(TIMEOUT_S)
        self.rfile.close()
        self._request = _InTime(self.connection)
        self.rfile = io.BufferedReader(self._request)

    def handle_one_request(self) -> None:
        """Read and answer a request."""
        self._request.begin()
        super().handle_one_request()

    def send(self, status: int, kind: str, body: bytes) -> None:
        """An answer with a body of a known length."""
        self.send_head(status, kind, [("Content-Length", str(len(body)))])
        self.wfile.write(body)

    def send_head(self, status: int, kind: str, headers: Any = ()) -> None:
        """The head of an answer."""
        self.connection.settimeout(TIMEOUT_S)
        self.send_response(status)
        for name, value in [("Content-Type", kind), *headers]:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""


class _InTime(io.RawIOBase):
    """Reads a connection until a moment that further bytes do not put off."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.begin()

    def begin(self) -> None:
        """A request may take its time from now on."""
        self._ends_s = time.monotonic() + TIMEOUT_S

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """How many bytes came; 0 at the end."""
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise socket.timeout("the request did not arrive in time")
        self._connection.settimeout(left_s)
        return int(self._connection.recv_into(buffer))
