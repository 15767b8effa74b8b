"""The Prometheus endpoint: an HTTP server that gives the sampler's newest reading."""

import threading
from typing import Any, Optional

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.endpoint.metrics import CONTENT_TYPE, page
from splitwatt.energy.endpoint.pages import PageHandler, PageServer
from splitwatt.energy.endpoint.system_facts import SystemFacts
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
        self._server: Optional[PageServer] = None
        self._serving = False
        self.port = port

    def __enter__(self) -> "Endpoint":
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
