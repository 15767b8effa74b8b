# board: no
"""What a server of ours offers to a board that measures energy, beside the protocol: an echo, a
model's work repeated, and the trace of its own power rails while a block runs.

All of it lies under /v2/splitwatt/, behind the same token as everything else.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from device_configs.errors import SensorError
from profiler.server_recorder import PowerRecorder

BODY_LIMIT_BYTES = 64 << 20
# A request may keep the server at one model's work for so long, s.
LONGEST_REPEAT_S = 3600.0
_PREFIX = "/v2/splitwatt"


class EnergyApp:
    """An ASGI application around the server's: it answers what lies under /v2/splitwatt itself.

    Args:
        inner: the server's application.
        token: asked for as the server's own; None for none.
        recorder: where this machine's power may be sampled; None where not.
    """

    def __init__(self, inner: Any, token: str | None, recorder: PowerRecorder | None) -> None:
        self._inner = inner
        self._token = token
        self._recorder = recorder
        routes = [
            Route(_PREFIX, self._offers, methods=["GET"]),
            Route(_PREFIX + "/echo/{count:int}", self._echo, methods=["POST"]),
            Route(_PREFIX + "/repeat/{model}/{seconds:float}", self._repeat, methods=["POST"]),
            Route(_PREFIX + "/energy/begin", self._begin, methods=["POST"]),
            Route(_PREFIX + "/energy/end/{trace}", self._end, methods=["POST"]),
        ]
        self._own = Starlette(routes=routes, exception_handlers={HTTPException: _told})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        path = scope.get("path", "")
        ours = path == _PREFIX or path.startswith(_PREFIX + "/")
        if scope["type"] == "http" and ours:
            given = Request(scope).headers.get("authorization", "")
            wanted = "Bearer %s" % self._token
            if self._token is not None and not hmac.compare_digest(given.encode(), wanted.encode()):
                await _error(401, "the token is missing or wrong")(scope, receive, send)
                return
            await self._own(scope, receive, send)
            return
        try:
            await self._inner(scope, receive, send)
        finally:
            if scope["type"] == "lifespan" and self._recorder is not None:
                self._recorder.close()

    async def _offers(self, request: Request) -> Response:
        names = ["stages"] + (["energy"] if self._recorder is not None else [])
        return JSONResponse({"offers": names})

    async def _echo(self, request: Request) -> Response:
        """As many bytes as were asked for, whatever came: a round trip without any work."""
        count = request.path_params["count"]
        if count > BODY_LIMIT_BYTES:
            return _error(413, "an answer larger than %d bytes is not made" % BODY_LIMIT_BYTES)
        await _body(request)
        return Response(b"\0" * count, media_type="application/octet-stream")

    async def _repeat(self, request: Request) -> Response:
        """The infer request in the body, answered again and again for so many seconds."""
        seconds = request.path_params["seconds"]
        if not 0 < seconds <= LONGEST_REPEAT_S:
            return _error(400, "work is repeated for 0 to %g s" % LONGEST_REPEAT_S)
        body = await _body(request)
        path = "/v2/models/%s/infer" % request.path_params["model"]
        scope = dict(request.scope, path=path, raw_path=path.encode(), query_string=b"")
        count, start = 0, time.monotonic()
        looked = now = start
        while count == 0 or now - start < seconds:
            status, answer = await _asked(self._inner, scope, body)
            if status != 200:
                return Response(answer, status, media_type="application/json")
            count, now = count + 1, time.monotonic()
            if now - looked > 1.0:
                looked = now
                if await request.is_disconnected():
                    return _error(400, "the request was cut off")
        return JSONResponse({"repetitions": count, "start_s": start, "end_s": now})

    async def _begin(self, request: Request) -> Response:
        return await self._recorded(lambda recorder: recorder.begin())

    async def _end(self, request: Request) -> Response:
        trace = request.path_params["trace"]
        return await self._recorded(lambda recorder: recorder.end(trace))

    async def _recorded(self, work: Callable[[PowerRecorder], dict[str, Any]]) -> Response:
        if self._recorder is None:
            return _error(404, "this server samples no power: start it with --energy")
        try:
            return JSONResponse(await run_in_threadpool(work, self._recorder))
        except SensorError as error:
            return _error(409, error.message)


async def _asked(app: Any, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    """Status and body of what an application answers to a request."""
    status, pieces, taken = 500, [], False

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if taken:
            await asyncio.Event().wait()  # nobody goes away here
        taken = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(pieces)


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_LIMIT_BYTES:
            raise HTTPException(413, "the body is larger than %d bytes" % BODY_LIMIT_BYTES)
        pieces.append(piece)
    return b"".join(pieces)


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


async def _told(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    known = {404: "there is nothing at this address", 405: "this method is not taken here"}
    detail = error.detail if isinstance(error, HTTPException) else "the request cannot be read"
    return _error(status, known.get(status, detail))
