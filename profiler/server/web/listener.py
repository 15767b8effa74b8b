# board: no
"""The listening socket: how many connections are open, from their first packet on.

An event loop's own server counts none of them, and takes TLS clients that never finish their handshake
until the process has no file descriptor left.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable
from typing import Any

MAX_CONNECTIONS = 1024
# Of a TLS client; one that is slower is cut off.
HANDSHAKE_TIMEOUT_S = 30.0
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


class Listener:
    """Accepts connections; closes those beyond the limit and its spare ones without an answer.

    Args:
        listener: a bound socket.
        protocol: makes a connection's; it has `on_lost`, to call when the connection is lost.
        context: of TLS; None without it.
        limit: of connections.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], Any],
        context: ssl.SSLContext | None,
        limit: int,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._context = context
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
            task = loop.create_task(self._connect(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self, connection: socket.socket) -> None:
        protocol = self._protocol()
        protocol.on_lost = lambda: self._open.discard(connection)
        timeout_s = HANDSHAKE_TIMEOUT_S if self._context else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context, ssl_handshake_timeout=timeout_s
            )
        except OSError:  # no TLS, or too slow; ssl.SSLError and TimeoutError are OSErrors
            self._open.discard(connection)
            connection.close()
