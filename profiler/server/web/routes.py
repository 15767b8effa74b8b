"""Routes whose errors are the protocol's object, and the clock."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from splitwatt.device_configs.input.small_files import whole_number
from splitwatt.profiler.server.inference.refusals import (
    STATUS_OF,
    Refused,
    object_of,
    refusal,
    stopped,
)
from splitwatt.profiler.server.web.body import ClientGoneError, read_body

# The most extra bytes that a request for the clock may ask for.
MOST_BYTES = 1 << 20
PIECE_BYTES = 16 << 10

Handler = Callable[[Request], Awaitable[Response]]


def route(path: str, handler: Handler, method: str = "GET") -> Route:
    """A route whose handler's errors become the protocol's error object."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except asyncio.CancelledError:
            return stopped()
        except ClientGoneError:
            return object_of(400, "the request was cut off")  # nobody reads it
        except Exception as error:
            return refusal(error, "%s %.100r" % (method, request.url.path))

    return Route(path, answered, methods=[method])


async def http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses, as the protocol's object."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    response = object_of(status, STATUS_OF.get(status, "the request cannot be read"))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


async def clock(request: Request) -> Response:
    """GET and POST /v2/clock: when the server had the request and when it answered, on its
    monotonic clock. A request may carry bytes that nobody reads; ?bytes=N asks for N blanks more.
    """
    await read_body(dict(request.scope["headers"]), request.receive, None)
    received_s = time.monotonic()
    asked = whole_number(request.query_params.get("bytes", "0"))
    if asked is None or not 0 <= asked <= MOST_BYTES:
        raise Refused(400, "'bytes' must be a number of at most %d" % MOST_BYTES)
    document = {"received_s": received_s, "sent_s": time.monotonic()}
    return filled(json.dumps(document).encode(), b" ", asked, "application/json")


def filled(first: bytes, filler: bytes, count: int, media_type: str) -> Response:
    """A response of `first` and `count` more bytes, which are never all in memory."""

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        for start in range(0, count, PIECE_BYTES):
            yield filler * min(PIECE_BYTES, count - start)
            await asyncio.sleep(0)  # others' turn: a fast reader is always ready for more

    if count <= PIECE_BYTES:
        return Response(first + filler * count, media_type=media_type)
    headers = {"Content-Length": str(len(first) + count)}
    return StreamingResponse(pieces(), headers=headers, media_type=media_type)
