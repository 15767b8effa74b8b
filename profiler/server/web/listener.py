"""The listening socket: how many connections are open, from their first packet on.

An event loop's own server counts none of them, and takes TLS clients that never finish their handshake
until the process has no file descriptor left.
"""

import asyncio
import asyncio.sslproto
import resource
import socket
import ssl
from collections.abc import Callable
from typing import Any

from splitwatt.profiler.server.web.body import Bodies

MAX_CONNECTIONS = 1024
# Of a TLS client; one that is slower is cut off.
HANDSHAKE_TIMEOUT_S = 30
# What a TLS connection takes: OpenSSL's state, and buffers of a few records.
TLS_BYTES = 144 << 10
_RECORD_BYTES = 16 << 10
# Descriptors for connections that are answered 503, and as many for the server's own files.
_SPARE_DESCRIPTORS = 64
_PAUSE_S = 0.1


def connection_limit() -> int:
    """How many connections this process can hold; raises its soft limit of open files for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + 2 * _SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, soft - 2 * _SPARE_DESCRIPTORS))


class _Tls(asyncio.sslproto.SSLProtocol):
    """TLS of one connection, with buffers of two records; an event loop's own has 256 KiB and more."""

    max_size = 2 * _RECORD_BYTES


class Listener:
    """Accepts connections; closes those beyond the limit and its spare ones without an answer.

    Args:
        protocol: makes a connection's; it has `on_lost`, to call when the connection is lost.
        context: of TLS; None without it.
        bodies: the budget that a TLS connection takes its memory of, from its handshake on.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], Any],
        context: ssl.SSLContext | None,
        limit: int,
        bodies: Bodies,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._context = context
        self._bodies = bodies
        self._each_bytes = TLS_BYTES if context else 0
        self._most = limit + _SPARE_DESCRIPTORS
        self._open: set[socket.socket] = set()
        self._opening: set[asyncio.Task[None]] = set()

    def start(self, backlog: int) -> asyncio.Task[None]:
        """Listen, and accept until the returned task is cancelled."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        return asyncio.get_running_loop().create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError:  # the client has gone, or other files took every descriptor
                await asyncio.sleep(_PAUSE_S)
                continue
            if len(self._open) >= self._most:
                connection.close()
                continue
            self._open.add(connection)
            self._bodies.held_bytes += self._each_bytes
            task = loop.create_task(self._connect(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self, connection: socket.socket) -> None:
        loop, protocol = asyncio.get_running_loop(), self._protocol()
        protocol.on_lost = lambda: self._lost(connection)
        try:
            if self._context is None:
                await loop.connect_accepted_socket(lambda: protocol, connection)
                return
            ready = loop.create_future()
            tls = _Tls(loop, protocol, self._context, ready, server_side=True,
                       ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S)  # fmt: skip
            await loop.connect_accepted_socket(lambda: tls, connection)
            await ready
        except OSError:  # no TLS, or too slow; ssl.SSLError and TimeoutError are OSErrors
            self._lost(connection)
            connection.close()

    def _lost(self, connection: socket.socket) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._bodies.held_bytes -= self._each_bytes
