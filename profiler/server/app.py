"""The ASGI application: requests checked and answered in turn, errors as the protocol's object."""

# board: no

from __future__ import annotations

import asyncio
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from device_configs.errors import BitstreamError, ServerError, SplitwattError
from profiler.client import write_stages
from profiler.protocol import (
    EXTENSIONS,
    HEADER_LENGTH,
    InferRequest,
    Wanted,
    decode_request,
    encode_response,
    read_header_length,
)
from profiler.server.models import Models, UnknownModelError
from profiler.versions import machine_id, versions

BODY_LIMIT_BYTES = 64 << 20
BODY_TIMEOUT_S = 120.0
# Requests that wait for the one that runs; more are told to come back.
QUEUE_LIMIT = 64

_T = TypeVar("_T")
Handler = Callable[[Request], Awaitable[Response]]


class Refused(Exception):  # noqa: N818  (not an error of ours: an answer)
    """A request is answered with a status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Server:
    """The handlers. All work on models happens in one thread: timings do not disturb each other."""

    def __init__(self, models: Models, backend: str, token: str | None) -> None:
        self.models = models
        self._backend = backend
        self._token = token
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._waiting = 0
        self._machine = machine_id()
        self._version = versions()["splitwatt"]

    def app(self) -> Starlette:
        """The application."""
        one = "/v2/models/{model}"
        routes = [
            self._route("/v2", self.about),
            self._route("/v2/health/live", self.live),
            self._route("/v2/health/ready", self.live),
            self._route("/v2/repository/index", self.index, "POST"),
            self._route("/v2/repository/models/{model}/load", self.load, "POST"),
            self._route("/v2/repository/models/{model}/unload", self.unload, "POST"),
        ]
        for path in (one, one + "/versions/{version}"):
            routes.append(self._route(path, self.model))
            routes.append(self._route(path + "/ready", self.model_ready))
            routes.append(self._route(path + "/infer", self.infer, "POST"))
        handlers: dict[Any, Any] = {HTTPException: _http_error}

        @asynccontextmanager
        async def lifespan(app: Starlette) -> Any:
            yield
            self._pool.shutdown(wait=True)
            self.models.close()

        return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)

    async def about(self, request: Request) -> Response:
        """GET /v2."""
        return _json(
            {
                "name": "splitwatt",
                "version": self._version,
                "extensions": EXTENSIONS,
                "backend": self._backend,
                "machine": self._machine,
            }
        )

    async def live(self, request: Request) -> Response:
        """GET /v2/health/live and ready."""
        return Response(status_code=200)

    async def index(self, request: Request) -> Response:
        """POST /v2/repository/index."""
        loaded = self.models.is_loaded
        rows = [
            {"name": n, "version": "1", "state": "READY" if loaded(n) else "UNAVAILABLE"}
            for n in self.models.names()
        ]
        return _json(rows)

    async def load(self, request: Request) -> Response:
        """POST /v2/repository/models/MODEL/load."""
        await self._work(self.models.load, request.path_params["model"])
        return Response(status_code=200)

    async def unload(self, request: Request) -> Response:
        """POST /v2/repository/models/MODEL/unload."""
        await self._work(self.models.unload, request.path_params["model"])
        return Response(status_code=200)

    async def model(self, request: Request) -> Response:
        """GET /v2/models/MODEL."""
        _check_version(request)
        return _json(await self._work(self.models.metadata, request.path_params["model"]))

    async def model_ready(self, request: Request) -> Response:
        """GET /v2/models/MODEL/ready: loads it, as the first request would."""
        _check_version(request)
        await self._work(self.models.load, request.path_params["model"])
        return Response(status_code=200)

    async def infer(self, request: Request) -> Response:
        """POST /v2/models/MODEL/infer."""
        _check_version(request)
        body = await _body(request)
        start = time.perf_counter()
        asked = decode_request(body, read_header_length(request.headers.get(HEADER_LENGTH)))
        wanted = asked.wanted or [Wanted("answer", asked.binary)]
        return await self._work(self._answer, request.path_params["model"], asked, wanted, start)

    def _answer(
        self, model: str, asked: InferRequest, wanted: list[Wanted], start: float
    ) -> Response:
        outputs, stages = self.models.infer(model, asked.tensors, [w.name for w in wanted])
        chosen = [(output, w.binary) for output, w in zip(outputs, wanted, strict=True)]
        parameters = {"stages": write_stages(stages, time.perf_counter() - start)}
        message = encode_response(model, chosen, parameters, asked.id)
        if message.header_length is None:
            return Response(message.body, media_type="application/json")
        return Response(
            message.body,
            headers={HEADER_LENGTH: str(message.header_length)},
            media_type="application/octet-stream",
        )

    async def _work(self, function: Callable[..., _T], *arguments: Any) -> _T:
        if self._waiting >= QUEUE_LIMIT:
            raise Refused(503, "the server is busy: %d requests wait" % self._waiting)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, function, *arguments)
        finally:
            self._waiting -= 1

    def _route(self, path: str, handler: Handler, method: str = "GET") -> Route:
        async def checked(request: Request) -> Response:
            try:
                self._check_token(request)
                return await handler(request)
            except Refused as refused:
                return _error(refused.status, refused.sentence)
            except ClientDisconnect:
                return _error(400, "the request was cut off")
            except UnknownModelError as error:
                return _error(404, str(error))
            except (ServerError, BitstreamError) as error:
                return _error(400, str(error))
            except SplitwattError as error:
                return _error(503, _without_paths(str(error)))

        return Route(path, checked, methods=[method])

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), ("Bearer " + self._token).encode()):
            raise Refused(401, "the token is missing or wrong")


async def _body(request: Request) -> bytes:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "a compressed body is not taken")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > BODY_LIMIT_BYTES:
        raise Refused(413, "the body is larger than %d bytes" % BODY_LIMIT_BYTES)
    try:
        return await asyncio.wait_for(_read(request), BODY_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise Refused(408, "the body did not arrive within %g s" % BODY_TIMEOUT_S)


async def _read(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > BODY_LIMIT_BYTES:
            raise Refused(413, "the body is larger than %d bytes" % BODY_LIMIT_BYTES)
        pieces.append(piece)
    return b"".join(pieces)


def _check_version(request: Request) -> None:
    if request.path_params.get("version", "1") != "1":
        raise Refused(404, "every model has the version 1 alone")


def _json(document: Any) -> Response:
    return Response(json.dumps(document), media_type="application/json")


def _error(status: int, sentence: str) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else {}
    body = json.dumps({"error": sentence})
    return Response(body, status, headers=headers, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    sentences = {404: "there is nothing at this address", 405: "this method is not taken here"}
    return _error(status, sentences.get(status, "the request cannot be read"))


def _without_paths(sentence: str) -> str:
    """A sentence for strangers: folders of this machine are none of their business."""
    words = [os.path.basename(word) if word.startswith("/") else word for word in sentence.split()]
    return " ".join(words)
