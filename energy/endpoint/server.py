"""The Prometheus endpoint: an HTTP server that gives the sampler's newest reading."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any, Optional

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.endpoint.metrics import CONTENT_TYPE, page
from splitwatt.energy.endpoint.system_facts import SystemFacts
from splitwatt.energy.sampler.sampler import Sampler

PORT = 9877
# Connections at once, each a thread; those beyond are closed.
MOST_CONNECTIONS = 32
# How old a reading may be that a scrape gets, s.
_EVERY_S = 0.1


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    page_of: Any = None

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.Semaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle of an answer is no error; others are one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            note("splitwatt: a scrape failed: %s: %s" % (type(error).__name__, error))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        if self.path.split("?")[0] in ("/", "/metrics"):
            self._send(200, CONTENT_TYPE, self.server.page_of())  # type: ignore[attr-defined]
        else:
            self._send(404, "text/plain", "the figures are at /metrics\n")

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Scrapes are not logged."""


class Endpoint(object):
    """A sampler and the server that gives what it reads; a context manager.

    Args:
        target, sysfs, sampling: as for `splitwatt.energy.sampler.sampler.Sampler`.
        host, port: where to listen; port 0: any free one (see `.port`).
        procfs: the folder to use instead of /proc.
    """

    def __init__(
        self,
        target: Optional[str] = None,
        sysfs: str = "/sys",
        host: str = "",
        port: int = PORT,
        procfs: str = "/proc",
        **sampling: Any,
    ) -> None:
        self._sampler = Sampler(target, sysfs, every_s=_EVERY_S, **sampling)
        self._address = (host, port)
        self._facts = SystemFacts(sysfs, procfs)
        self._lock = threading.Lock()
        self._server: Optional[_Server] = None
        self._serving = False
        self.port = port

    def __enter__(self) -> "Endpoint":
        try:
            try:
                self._server = _Server(self._address, _Handler)
            except OSError as error:
                raise SensorError(
                    "port %d cannot be listened on: %s" % (self._address[1], error.strerror),
                    "name another with --port",
                )
            self._server.page_of = self._page
            self.port = self._server.server_address[1]
            self._sampler.start()
            self._serving = True
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    @property
    def about(self) -> Any:
        """What is sampled (see `splitwatt.energy.sampler.sampler.Sampler.about`)."""
        return self._sampler.about

    @property
    def stats(self) -> Any:
        """After `close`, what the sampler did."""
        return self._sampler.stats

    def _page(self) -> str:
        with self._lock:  # SystemFacts remembers processor times
            return page(self._sampler.about, self._sampler.latest, self._facts)

    @property
    def alive(self) -> bool:
        """Whether the sampler's process runs."""
        return self._sampler.alive

    def close(self) -> None:
        """Stop serving and sampling."""
        if self._server is not None:
            if self._serving:
                self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._sampler.stop()
