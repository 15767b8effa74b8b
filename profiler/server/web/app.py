"""The ASGI application: the Open Inference Protocol v2, errors as its object."""

# board: no

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from splitwatt.profiler.board.state import hardware
from splitwatt.profiler.board.versions import machine_id, versions
from splitwatt.profiler.client.protocol import (
    EXTENSIONS,
    HEADER_LENGTH,
    decode_request,
)
from splitwatt.profiler.client.short_names import long_names
from splitwatt.profiler.server.inference.refusals import Refused, json_response, refusal, stopped
from splitwatt.profiler.server.inference.runner import Answered, Asked, Runner
from splitwatt.profiler.server.inference.work import Job
from splitwatt.profiler.server.web.body import (
    BodyBudget,
    ClientGoneError,
    body_bytes,
    json_bytes,
    read_body,
    until_gone,
)
from splitwatt.profiler.server.web.clock import clock
from splitwatt.profiler.server.web.energy import EnergyRoutes
from splitwatt.profiler.server.web.metrics import CONTENT_TYPE, Metrics
from splitwatt.profiler.server.web.openapi import document
from splitwatt.profiler.server.web.recorder import PowerRecorder
from splitwatt.profiler.server.web.routes import TokenCheck, http_error, route

INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")

Headers = Mapping[bytes, bytes]


class Server:
    """The application. Inferences take a short way past the routes; all else is Starlette's.

    Args:
        runner: the models and their threads; closed at the end of the lifespan.
        backend: what runs the parts, for clients to know.
        token: that a client must show; None for any client.
        recorder: where this machine's power may be sampled; None where not. Closed at the end, too.
    """

    def __init__(
        self,
        runner: Runner,
        backend: str = "cpu",
        token: str | None = None,
        recorder: PowerRecorder | None = None,
    ) -> None:
        self._runner = runner
        self._check_token = TokenCheck(token)
        self._recorder = recorder
        self._energy = EnergyRoutes(self._repeated, runner.tells_time, recorder)
        self._version = str(versions()["splitwatt"])
        self._about = {
            "name": "splitwatt",
            "version": self._version,
            "extensions": EXTENSIONS,
            "backend": backend,
            "machine": machine_id(),
            **hardware(),
        }
        models = runner.models
        self._metrics = Metrics(models.usage, models.budget_bytes, lambda: runner.work.waiting)
        runner.on_batch = self._metrics.batch
        self._bodies = BodyBudget()
        self._names: set[str] = set()
        self._long_names: dict[str, str] = {}
        self._routes = self._starlette()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            self._check_token(headers)
        except Refused as error:
            await refusal(error, "")(scope, receive, send)
            return
        found = INFER.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if found is None:
            await self._routes(scope, receive, send)
            return
        model, version = found.groups()
        count: Callable[[], None]
        try:
            response, count = await self._infer(model, version, headers, receive)
        except ClientGoneError:
            self._metrics.failed(self._known(model), 499)
            return
        except asyncio.CancelledError:  # by uvicorn, whose time to stop is over
            response = stopped()
            count = functools.partial(self._metrics.failed, self._known(model), 503)
        except Exception as error:
            response = refusal(error, "an inference of %.100r" % model)
            status = response.status_code
            count = functools.partial(self._metrics.failed, self._known(model), status)
        await response(scope, receive, send)
        count()  # once it is sent: nobody waits for the counters

    async def _infer(
        self, model: str, version: str | None, headers: Headers, receive: Receive
    ) -> tuple[Response, Callable[[], None]]:
        """The answer, and what counts it."""
        if version not in (None, "1"):
            raise Refused(404, "every model has the version 1 alone")
        model = self._long(model)
        if model not in self._names:  # an unknown model, before its body is read
            await self._runner.call(self._runner.models.bundle, model)
        with self._bodies.share(body_bytes(headers)):
            body = await read_body(headers, receive, json_bytes(headers))
            return await self._answer(model, headers, body, receive)

    async def _repeated(self, model: str, headers: Headers, body: bytes, receive: Receive) -> None:
        _, count = await self._answer(self._long(model), headers, body, receive)
        count()

    async def _answer(
        self, model: str, headers: Headers, body: bytes, receive: Receive
    ) -> tuple[Response, Callable[[], None]]:
        start_s = time.perf_counter()
        asked = decode_request(body, json_bytes(headers))
        job = self._runner.submit(Asked(model, asked, start_s))
        deadline_s = None if asked.timeout_s is None else start_s + asked.timeout_s
        result = await self._result(job, deadline_s, receive)
        total_s = time.perf_counter() - start_s
        self._names.add(model)
        count = functools.partial(self._metrics.answered, model, total_s, job.wait_s, result.stages)
        message = result.message
        if message.header_length is None:
            return Response(message.body, media_type="application/json"), count
        more = {HEADER_LENGTH: str(message.header_length)}
        return Response(message.body, headers=more, media_type="application/octet-stream"), count

    async def _result(self, job: Job, deadline_s: float | None, receive: Receive) -> Answered:
        work = self._runner.work
        if not job.queued:
            answered: Answered = await work.result(job, deadline_s)
            return answered
        # It waits: a client that goes away meanwhile needs no answer.
        gone = asyncio.ensure_future(until_gone(receive))
        gone.add_done_callback(lambda _: job.future.cancel())
        try:
            answered = await work.result(job, deadline_s)
            return answered
        except asyncio.CancelledError:
            if gone.done() and not gone.cancelled():
                raise ClientGoneError()
            raise
        finally:
            gone.cancel()

    async def about(self, request: Request) -> Response:
        """GET /v2."""
        return json_response(self._about)

    async def live(self, request: Request) -> Response:
        """GET /v2/health/live and ready."""
        return Response(status_code=200)

    async def index(self, request: Request) -> Response:
        """POST /v2/repository/index."""
        models = self._runner.models
        rows = [
            {"name": n, "version": "1", "state": "READY" if models.is_loaded(n) else "UNAVAILABLE"}
            for n in models.names()
        ]
        return json_response(rows)

    async def load(self, request: Request) -> Response:
        """POST /v2/repository/models/MODEL/load."""
        await self._runner.call(self._runner.models.load, request.path_params["model"])
        return Response(status_code=200)

    async def unload(self, request: Request) -> Response:
        """POST /v2/repository/models/MODEL/unload."""
        await self._runner.call(self._runner.models.unload, request.path_params["model"])
        return Response(status_code=200)

    async def model(self, request: Request) -> Response:
        """GET /v2/models/MODEL."""
        _check_version(request)
        models = self._runner.models
        return json_response(await self._runner.call(models.metadata, request.path_params["model"]))

    async def model_ready(self, request: Request) -> Response:
        """GET /v2/models/MODEL/ready: whether it can be loaded when the first request asks."""
        _check_version(request)
        await self._runner.call(self._runner.models.bundle, request.path_params["model"])
        return Response(status_code=200)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json."""
        return json_response(document(self._version))

    def _starlette(self) -> Starlette:
        one = "/v2/models/{model}"
        routes = [
            route("/v2", self.about),
            route("/v2/health/live", self.live),
            route("/v2/health/ready", self.live),
            route("/v2/repository/index", self.index, "POST"),
            route("/v2/repository/models/{model}/load", self.load, "POST"),
            route("/v2/repository/models/{model}/unload", self.unload, "POST"),
            route("/v2/clock", clock),
            route("/v2/clock", clock, "POST"),
            route("/metrics", self.metrics),
            route("/openapi.json", self.openapi),
            *self._energy.routes(),
        ]
        for path in (one, one + "/versions/{version}"):
            routes.append(route(path, self.model))
            routes.append(route(path + "/ready", self.model_ready))
            # Where a request is no POST: that is told.
            routes.append(route(path + "/infer", self.live, "POST"))
        handlers: dict[Any, Any] = {HTTPException: http_error}

        @asynccontextmanager
        async def lifespan(app: Starlette) -> Any:
            yield
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._runner.close)
            if self._recorder is not None:
                await loop.run_in_executor(None, self._recorder.close)

        return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)

    def _long(self, model: str) -> str:
        """The model that a short name stands for; bundles may have come since it was last asked."""
        if not model.startswith("~"):
            return model
        if model not in self._long_names:
            self._long_names = long_names(self._runner.models.names())
        return self._long_names.get(model, model)

    def _known(self, model: str) -> str:
        """The name under which a failed inference counts."""
        name = self._long(model)
        return name if name in self._names or name in self._runner.models.names() else ""


def _check_version(request: Request) -> None:
    if request.path_params.get("version", "1") != "1":
        raise Refused(404, "every model has the version 1 alone")
