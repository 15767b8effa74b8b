"""Routes whose errors are the protocol's object, and the check of a client's token."""

# board: no

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from splitwatt.profiler.server.inference.refusals import (
    STATUS_OF,
    Refused,
    object_of,
    refusal,
    stopped,
)
from splitwatt.profiler.server.web.body import ClientGoneError

Handler = Callable[[Request], Awaitable[Response]]


class TokenCheck:
    """Checks the token of a request.

    Args:
        token: that a client must show; None for any client.
    """

    def __init__(self, token: str | None) -> None:
        self._expected = None if token is None else b"Bearer " + token.encode()

    def __call__(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises Refused: the token is missing or wrong."""
        if self._expected is None:
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            raise Refused(401, "the token is missing or wrong")


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
