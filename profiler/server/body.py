"""A request's body, read within its limit; the socket's guard bounds the time."""

# board: no

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive

from splitwatt.profiler.server.refusals import Refused

BODY_LIMIT_BYTES = 64 << 20


class ClientGoneError(Exception):
    """The client has closed its connection: nobody waits for an answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """The whole body.

    Raises:
        Refused: it is compressed, or larger than `BODY_LIMIT_BYTES`.
        ClientGoneError: it was cut off.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "a compressed body is not taken")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > BODY_LIMIT_BYTES:
        raise Refused(413, "the body is larger than %d bytes" % BODY_LIMIT_BYTES)
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > BODY_LIMIT_BYTES:
            raise Refused(413, "the body is larger than %d bytes" % BODY_LIMIT_BYTES)
        more = message.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def until_gone(receive: Receive) -> None:
    """Returns when the client of a request whose body was read closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
