"""Answers that may be large: what they take of the memory while a client reads them slowly."""

# board: no

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

_PIECE_BYTES = 16 << 10


async def send_whole(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response, and return once the connection has taken it: until then it takes memory."""
    if len(response.body) <= _PIECE_BYTES:
        return await response(scope, receive, send)
    head = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def filled(first: bytes, filler: bytes, count: int, media_type: str) -> Response:
    """A response of `first` and `count` more bytes, which are never all in memory."""

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        for start in range(0, count, _PIECE_BYTES):
            yield filler * min(_PIECE_BYTES, count - start)
            await asyncio.sleep(0)  # others' turn: a fast reader is always ready for more

    if count <= _PIECE_BYTES:
        return Response(first + filler * count, media_type=media_type)
    headers = {"Content-Length": str(len(first) + count)}
    return StreamingResponse(pieces(), headers=headers, media_type=media_type)
