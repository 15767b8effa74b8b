"""`splitwatt serve`: the application on a socket, with or without TLS, until SIGTERM or SIGINT."""

import argparse
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from splitwatt.profiler.client.connection import read_token
from splitwatt.profiler.server.inference.models import Models
from splitwatt.profiler.server.inference.runner import Runner
from splitwatt.profiler.server.place import Place, announce, listen, place_of
from splitwatt.profiler.server.setup import Served, set_up
from splitwatt.profiler.server.web.app import Server
from splitwatt.profiler.server.web.guard import GuardedProtocol, RepeatsFilter
from splitwatt.profiler.server.web.listener import Listener, connection_limit
from splitwatt.profiler.server.web.pace import Pace
from splitwatt.profiler.server.web.recorder import PowerRecorder

# A thread that decodes or postprocesses lets the event loop run after this time, s. The loop asks for its
# turn some ten times in a request.
_SWITCH_AFTER_S = 0.0002
# A board is silent while it runs something else; it connects again where that takes longer.
_KEEP_ALIVE_S = 120
_STOP_WITHIN_S = 30


def run_server(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; what was taken is finished first.

    Raises:
        UsageError: an address other than loopback without token and certificate, an unknown
            backend or target.
        SplitwattError: the address is taken.
    """
    workers = options.workers or 1
    what, models = set_up(options, workers, options.threads)

    def embedded(token: str | None) -> Server:
        runner = Runner(models, workers, options.queue, options.batch)
        return Server(runner, options.backend, token, _recorder(options))

    serve_models(options, what, models, embedded)
    return 0


def serve_models(
    options: argparse.Namespace,
    what: Served,
    models: Models,
    application: Callable[[str | None], Any],
) -> None:
    """Serve where the command line says, and announce it; `application` makes the ASGI application
    that asks for this token.
    """
    place = place_of(options)
    token = read_token(place.token_file)
    listener = listen(place.host, options.port)
    url = place.url(listener.getsockname()[1])
    count = len(models.names())
    app = application(token)
    serve_app(app, listener, place, lambda: announce(options, place, url, what, count))


def serve_app(app: Any, listener: Any, place: Place, ready: Callable[[], None]) -> None:
    """Run an ASGI application on a bound socket until SIGTERM or SIGINT; call `ready` first."""
    GuardedProtocol.max_connections = connection_limit()
    sys.setswitchinterval(_SWITCH_AFTER_S)
    logging.getLogger("uvicorn.error").addFilter(RepeatsFilter())
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        ssl_certfile=place.cert,
        ssl_keyfile=place.key,
    )
    server = _Counted(app, config, listener, ready)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises a signal again once it has stopped, which would make a failure of an ordinary stop.
        signal.signal(number, server.handle_exit)
    # What was imported is never freed: the collector need not visit it, which takes 25 ms each time.
    gc.collect()
    gc.freeze()
    server.run([])


def _recorder(options: argparse.Namespace) -> PowerRecorder | None:
    if not options.energy:
        return None
    return PowerRecorder(options.energy_target, options.sysfs or "/sys", options.driver)


class _Counted(uvicorn.Server):  # type: ignore[misc,unused-ignore]
    """A server that counts its connections from their first packet on, and says when it listens."""

    def __init__(
        self, app: Any, config: Any, listener: socket.socket, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._listener = listener
        self._ready = ready
        self._pace = Pace()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup([])
        if not self.started:
            return
        limit = GuardedProtocol.max_connections
        listener = Listener(
            self._listener, self._protocol, self.config.ssl, limit, self._app.bodies
        )
        self._accepting = listener.start(self.config.backlog)
        self._ready()

    async def shutdown(self, sockets: Any = None) -> None:
        self._accepting.cancel()
        await super().shutdown([self._listener])
        # By a second signal: the application is cut off and would log a traceback.
        if self.force_exit:
            logging.disable()

    def _protocol(self) -> Any:
        state = self.lifespan.state
        made = GuardedProtocol(self.config, server_state=self.server_state, app_state=state)
        made.on_refusal = self._app.count_refusal
        made.pace = self._pace
        return made
