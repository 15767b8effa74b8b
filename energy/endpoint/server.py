"""The Prometheus endpoint: an HTTP server that gives the sampler's newest reading."""

import threading
from typing import Any, Dict, Optional

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.endpoint.metrics import CONTENT_TYPE, SystemFacts, page
from splitwatt.energy.endpoint.pages import PageHandler, PageServer
from splitwatt.energy.sampler.sampler import Sampler

PORT = 9877
# How old a reading may be that a scrape gets, s.
_EVERY_S = 0.1


class _Handler(PageHandler):
    def do_GET(self) -> None:  # noqa: N802
        if self.path.split("?")[0] in ("/", "/metrics"):
            # A name of the system may hold bytes that are no text.
            text = self.server.content().encode("utf-8", "replace")
            self.send(200, CONTENT_TYPE, text)
        else:
            self.send(404, "text/plain", b"the figures are at /metrics\n")


class Endpoint(Sampler):
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
        super().__init__(target, sysfs, every_s=_EVERY_S, **sampling)
        self._address = (host, port)
        self._facts = SystemFacts(sysfs, procfs)
        self._lock = threading.Lock()
        self._server: Optional[PageServer] = None
        self._serving = False
        self.port = port

    def start(self) -> None:
        """Listen, start the sampler, and serve."""
        try:
            try:
                self._server = PageServer(self._address, _Handler)
            except OSError as error:
                raise SensorError(
                    "port %d cannot be listened on: %s" % (self._address[1], error.strerror),
                    "name another with --port",
                )
            self._server.content = self._page
            self.port = self._server.server_address[1]
            super().start()
            self._serving = True
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        except BaseException:
            self.stop()
            raise

    def _page(self) -> str:
        with self._lock:  # SystemFacts remembers processor times
            return page(self.about, self.latest, self._facts)

    def stop(self) -> Optional[Dict[str, Any]]:
        """Stop serving and sampling."""
        if self._server is not None:
            if self._serving:
                self._server.shutdown()
            self._server.server_close()
            self._server = None
        return super().stop()
