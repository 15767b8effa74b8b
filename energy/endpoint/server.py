"""The Prometheus endpoint: an HTTP server that tells the sampler's newest reading."""

import os
import shutil
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any, Optional

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.endpoint.metrics import CONTENT_TYPE, page
from splitwatt.energy.endpoint.system_facts import SystemFacts
from splitwatt.energy.sampler.latest import LatestFile
from splitwatt.energy.sampler.sampler import Sampler

PORT = 9877
# Connections at once, each a thread; those beyond are closed.
MOST_CONNECTIONS = 32


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
            try:
                text = self.server.page_of()  # type: ignore[attr-defined]
            except SensorError as error:
                self._send(503, "text/plain", "%s\n" % error)
                return
            self._send(200, CONTENT_TYPE, text)
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
    """A sampler and the server that tells what it reads; a context manager.

    Args:
        target, sysfs, sampling: as for `splitwatt.energy.sampler.sampler.Sampler`.
        host, port: where to listen; port 0: any free one (see `.port`).
        procfs: the root of the tree that stands for /proc.
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
        self._folder: Optional[str] = None
        self._sampler = Sampler(target, sysfs, **sampling)
        self._address = (host, port)
        self._facts = SystemFacts(sysfs, procfs)
        self._lock = threading.Lock()
        self._latest: Optional[LatestFile] = None
        self._server: Optional[_Server] = None
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
            self._folder = tempfile.mkdtemp(prefix="splitwatt-")
            self._sampler.latest = os.path.join(self._folder, "latest")
            self._sampler.start()
            self._latest = LatestFile(self._sampler.latest, len(self._sampler.about["rails"]))
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
            latest = self._latest.read() if self._latest is not None else None
            about = self._sampler.about
            if latest is not None and not latest.fresh(time.monotonic(), about["hz"]):
                latest = latest.stale()
            return page(about, latest, self._facts)

    @property
    def alive(self) -> bool:
        """Whether the sampler's process runs."""
        return self._sampler.alive

    def close(self) -> None:
        """Stop serving and sampling."""
        if self._server is not None:
            if self._latest is not None:
                self._server.shutdown()
            self._server.server_close()
            self._server = None
        try:
            self._sampler.stop()
        finally:
            if self._latest is not None:
                self._latest.close()
                self._latest = None
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
