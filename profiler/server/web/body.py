"""A request's body: read within its limit, and within what all bodies may take together.

The socket's guard bounds the time that it takes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from starlette.types import Receive

from splitwatt.profiler.client.protocol import HEADER_LENGTH, REQUEST_JSON_BYTES, read_header_length
from splitwatt.profiler.server.inference.refusals import Refused

BODY_LIMIT_BYTES = 16 << 20
# Of all bodies that are in memory, and of answers until they are sent.
BUDGET_BYTES = 256 << 20
# What a request takes besides its body.
_EACH_BYTES = 120 << 10
# Larger bodies leave a quarter of the budget to smaller ones.
_LARGE_BYTES = 1 << 20
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()


class ClientGoneError(Exception):
    """The client has closed its connection: nobody waits for an answer."""


class Bodies:
    """The budget for the bytes of all requests; for the event loop's thread alone."""

    def __init__(self) -> None:
        self.held_bytes = 0

    @contextmanager
    def hold(self) -> Iterator["Hold"]:
        """A request's share, given back at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.held_bytes -= hold.bytes


class Hold:
    """What one request holds of the budget."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.bytes = 0

    def add(self, count: int) -> None:
        """Hold `count` more bytes. Raises Refused (503) where the budget has no room for them."""
        bodies, limit = self._bodies, BUDGET_BYTES
        if self.bytes + count > _LARGE_BYTES:
            limit -= limit // 4
        if bodies.held_bytes + count > limit:
            raise Refused(503, "the server holds %d bytes of other requests" % bodies.held_bytes)
        bodies.held_bytes += count
        self.bytes += count


def json_length(headers: Mapping[bytes, bytes]) -> int | None:
    """How much of an infer request's body is JSON, by its header, or ServerError; None: all of it."""
    text = headers.get(_HEADER_LENGTH)
    return read_header_length(None if text is None else text.decode("latin-1"))


def infer_limit(headers: Mapping[bytes, bytes]) -> int:
    """The largest body that an infer request of these headers may have, in bytes.

    Raises:
        ServerError: its JSON part has a length that is not a number.
        Refused: its JSON part is too large.
    """
    length = json_length(headers)
    if length is None:
        return REQUEST_JSON_BYTES
    _check_size(length, REQUEST_JSON_BYTES)
    return BODY_LIMIT_BYTES


async def read_body(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    hold: Hold | None,
    limit_bytes: int = BODY_LIMIT_BYTES,
) -> memoryview:
    """The whole body, of at most `limit_bytes`; nothing of it where `hold` is None: nobody needs it.

    A body whose length is known is refused before any of it is read. It is filled piece by piece:
    one copy of all of it at its end would delay every other client.

    Raises:
        Refused: it is compressed, too large, or the budget has no room for it.
        ClientGoneError: it was cut off.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "compressed bodies are not supported")
    length = headers.get(b"content-length", b"")
    # Zeros may lead; a longer number is refused in any case.
    declared = int(length.lstrip(b"0")[:20] or b"0") if length.isdigit() else None
    _check_size(declared or 0, limit_bytes)
    if hold is None:
        declared = 0
    else:
        hold.add(_EACH_BYTES + (declared or 0))
    # Memory that the kernel gives page by page: neither cleared here, nor moved as it fills.
    body = memoryview(np.empty(declared or 0, np.uint8))  # type: ignore[arg-type,unused-ignore]
    grown, size, more = bytearray(), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError()
        piece = message.get("body", b"")
        before, size = size, size + len(piece)
        _check_size(size, limit_bytes)
        if declared is None and hold is not None:
            hold.add(len(piece) + len(piece) // 8)  # a growing bytearray has an eighth to spare
            grown += piece
        elif hold is not None:
            body[before:size] = piece
        more = message.get("more_body", False)
    return body if declared is not None else memoryview(grown)


async def until_gone(receive: Receive) -> None:
    """Returns when the client of a request whose body was read closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _check_size(size: int, limit_bytes: int) -> None:
    if size <= limit_bytes:
        return
    if limit_bytes == REQUEST_JSON_BYTES:
        raise Refused(
            413,
            "the JSON of a request has at most %d bytes; send tensors as bytes behind it (the "
            "protocol's binary tensor extension)" % limit_bytes,
        )
    raise Refused(413, "the body is larger than %d bytes" % limit_bytes)
