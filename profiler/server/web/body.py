"""A request's body, read within its limits; the socket's guard bounds the time."""

# board: no

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.types import Receive

from splitwatt.profiler.client.protocol import HEADER_LENGTH, REQUEST_JSON_BYTES, read_header_length
from splitwatt.profiler.server.inference.refusals import Refused

BODY_LIMIT_BYTES = 64 << 20
# Of all bodies together that arrive or wait to be answered.
BUDGET_BYTES = 256 << 20


_HEADER_LENGTH = HEADER_LENGTH.lower().encode()


class ClientGoneError(Exception):
    """The client has closed its connection: nobody waits for an answer."""


class BodyBudget:
    """The bytes of bodies that a server holds at once; a body has its share before it is read."""

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    @contextmanager
    def share(self, size: int) -> Iterator[None]:
        """Hold `size` bytes. Raises Refused (503) where too many are held already."""
        if self.held_bytes + size > self._limit_bytes:
            raise Refused(503, "the server holds %d bytes of other requests" % self.held_bytes)
        self.held_bytes += size
        try:
            yield
        finally:
            self.held_bytes -= size


def body_bytes(headers: Mapping[bytes, bytes]) -> int:
    """The most that a request's body takes: what its head says, or the limit where it says nothing."""
    length = headers.get(b"content-length")
    if length is not None and length.isdigit():
        return min(int(length[:20]), BODY_LIMIT_BYTES)
    return BODY_LIMIT_BYTES if b"transfer-encoding" in headers else 0


def json_bytes(headers: Mapping[bytes, bytes]) -> int | None:
    """How much of an infer request's body is JSON, as the protocol's header says; None: all of it.

    Raises:
        ServerError: the header is not a number.
    """
    length = headers.get(_HEADER_LENGTH)
    return read_header_length(None if length is None else length.decode("latin-1"))


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, json_part: int | None = 0
) -> bytes:
    """The whole body.

    Args:
        headers: of the request.
        receive: ASGI's.
        json_part: how many bytes of the body are JSON; None: all of it.

    Raises:
        Refused: it is compressed, larger than `BODY_LIMIT_BYTES`, or has more JSON than
            `REQUEST_JSON_BYTES`.
        ClientGoneError: it was cut off.
    """
    limit = BODY_LIMIT_BYTES if json_part is not None else REQUEST_JSON_BYTES
    if json_part is not None and json_part > REQUEST_JSON_BYTES:
        raise _too_much_json()
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "a compressed body is not taken")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(limit: int) -> Refused:
    if limit == REQUEST_JSON_BYTES:
        return _too_much_json()
    return Refused(413, "the body is larger than %d bytes" % limit)


def _too_much_json() -> Refused:
    return Refused(
        413,
        "the JSON of a request has at most %d bytes; send tensors as bytes behind it (the protocol's "
        "binary tensor extension)" % REQUEST_JSON_BYTES,
    )


async def until_gone(receive: Receive) -> None:
    """Returns when the client of a request whose body was read closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
