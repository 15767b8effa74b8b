"""The ASGI application: the Open Inference Protocol v2, errors as its object."""

import asyncio
import functools
import hmac
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from splitwatt.profiler.board.state import hardware
from splitwatt.profiler.board.versions import machine_id, versions
from splitwatt.profiler.client.protocol import (
    EXTENSIONS,
    HEADER_LENGTH,
    InferRequest,
    decode_request,
    load_json,
    long_names,
)
from splitwatt.profiler.server.inference.refusals import (
    Refused,
    json_response,
    object_of,
    refusal,
    stopped,
)
from splitwatt.profiler.server.inference.runner import Answered, Asked, Runner
from splitwatt.profiler.server.inference.work import Job
from splitwatt.profiler.server.web.body import (
    Bodies,
    ClientGoneError,
    Hold,
    infer_limit,
    json_length,
    read_body,
    until_gone,
)
from splitwatt.profiler.server.web.energy import energy_routes
from splitwatt.profiler.server.web.metrics import CONTENT_TYPE, Metrics, ServerMetrics
from splitwatt.profiler.server.web.recorder import PowerRecorder
from splitwatt.profiler.server.web.routes import PIECE_BYTES, clock, http_error, route

# A JSON part up to this size, far above our own client's, is decoded in the event loop.
_SMALL_JSON_BYTES = 4 << 10
INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")

Headers = Mapping[bytes, bytes]


class Application:
    """What a server and a cluster's front have in common: the token that a client must show, the
    budget for bodies, counters, the clock, and errors as the protocol's object. Inferences go past
    the routes.
    """

    def __init__(
        self, token: str | None, metrics: Metrics, routes: list[Route], lifespan: Any = None
    ) -> None:
        self._expected = None if token is None else b"Bearer " + token.encode()
        self.bodies = Bodies()
        self.count_refusal = metrics.refused
        self._metrics = metrics

        async def text(request: Request) -> Response:
            return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

        common = [
            route("/v2/clock", clock),
            route("/v2/clock", clock, "POST"),
            route("/metrics", text),
        ]
        handlers: dict[Any, Any] = {HTTPException: http_error}
        self._routes = Starlette(
            routes=common + routes, exception_handlers=handlers, lifespan=lifespan
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self._routes(scope, receive, send)
        headers = dict(scope["headers"])
        shown = headers.get(b"authorization", b"")
        if self._expected is not None and not hmac.compare_digest(shown, self._expected):
            self._metrics.refused(401)
            return await object_of(401, "the token is missing or wrong")(scope, receive, send)
        infer = INFER.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if not infer and self._is_own(scope["path"]):
            return await self._routes(scope, receive, send)
        try:
            with self.bodies.hold() as hold:
                answer, count = await self._respond(scope, infer, receive, hold)
                hold.add(len(answer.body))
                await _send_whole(answer, scope, receive, send)
            return count()  # once it is sent: nobody waits for the counters
        except ClientGoneError:
            return self._failed(infer, 499)
        except asyncio.CancelledError:  # by uvicorn, whose time to stop is over
            response = stopped()
        except Exception as error:
            response = refusal(error, "%s %.100r" % (scope["method"], scope["path"]))
        await response(scope, receive, send)
        self._failed(infer, response.status_code)

    def _failed(self, infer: Any, status: int) -> None:
        if infer:
            self._metrics.ended(self._known(infer.group(1)), status)

    def _is_own(self, path: str) -> bool:
        """Whether the routes answer a path."""
        return True

    def _known(self, model: str) -> str:
        """The name under which a failed inference counts; "" where the model is unknown."""
        raise NotImplementedError

    async def _respond(
        self, scope: Scope, infer: Any, receive: Receive, hold: Hold
    ) -> tuple[Response, Callable[[], None]]:
        """The answer, and what counts it; what can be refused is refused before the body is read.

        Args:
            infer: the match of `INFER`; None for a path that is not the routes' own.
        """
        raise NotImplementedError


class Server(Application):
    """The embedded server.

    Args:
        runner: the models and their threads; closed at the end of the lifespan, as is `recorder`.
        backend: what runs the parts, for clients to know.
        token: that a client must show; None for any client.
        recorder: where this machine's power may be sampled; None where not.
        copies: how many of this server there are behind one address.
    """

    _metrics: ServerMetrics

    def __init__(
        self,
        runner: Runner,
        backend: str = "cpu",
        token: str | None = None,
        recorder: PowerRecorder | None = None,
        copies: int = 1,
    ) -> None:
        self.runner = runner
        self._recorder = recorder
        # Larger JSON is decoded here, one at a time: the event loop serves others meanwhile.
        self._decoder = ThreadPoolExecutor(1, "decoder")
        self._about = {
            "name": "splitwatt",
            "version": str(versions()["splitwatt"]),
            "extensions": EXTENSIONS,
            "backend": backend,
            "workers": copies * runner.work.workers,
            "machine": machine_id(),
            **hardware(),
        }
        models = runner.models
        metrics = ServerMetrics(models.usage, models.budget_bytes, lambda: runner.work.waiting)
        runner.on_batch = metrics.batch
        self._long_names: dict[str, str] = {}
        super().__init__(token, metrics, self._own_routes(), self._lifespan)

    async def _respond(
        self, scope: Scope, infer: Any, receive: Receive, hold: Hold
    ) -> tuple[Response, Callable[[], None]]:
        model, version = infer.groups()
        _check_version(version)
        model = await self.admitted(model)
        headers = dict(scope["headers"])
        body = await read_body(headers, receive, hold, infer_limit(headers))
        return await self.answer(model, headers, body, receive)

    async def admitted(self, model: str) -> str:
        """The model's full name; raises where it is unknown or too many requests wait."""
        models = self.runner.models
        if model.startswith("~") and model not in self._long_names:  # bundles may be new
            self._long_names = long_names(await asyncio.to_thread(models.names))
        model = self._long_names.get(model, model)
        if not models.is_there(model):
            await asyncio.to_thread(models.bundle, model)  # raises, with a suggestion
        self.runner.work.check_room()
        return model

    async def answer(
        self, model: str, headers: Headers, body: memoryview, receive: Receive
    ) -> tuple[Response, Callable[[], None]]:
        """The answer to an infer request, and what counts it."""
        start_s = time.perf_counter()
        asked = await self._decoded(body, json_length(headers))
        job = self.runner.submit(Asked(model, asked, start_s))
        deadline_s = None if asked.timeout_s is None else start_s + asked.timeout_s
        result: Answered = await self._result(job, deadline_s, receive)
        total_s = time.perf_counter() - start_s
        count = functools.partial(self._metrics.answered, model, total_s, job.wait_s, result.stages)
        message = result.message
        if message.header_length is None:
            return Response(message.body, media_type="application/json"), count
        more = {HEADER_LENGTH: str(message.header_length)}
        return Response(message.body, headers=more, media_type="application/octet-stream"), count

    async def _decoded(self, body: memoryview, length: int | None) -> InferRequest:
        if (len(body) if length is None else length) <= _SMALL_JSON_BYTES:
            return decode_request(body, length)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoder, decode_request, body, length)

    async def _result(self, job: Job, deadline_s: float | None, receive: Receive) -> Any:
        work = self.runner.work
        if not job.queued:
            return await work.result(job, deadline_s)
        # It waits: a client that goes away meanwhile needs no answer.
        gone = asyncio.ensure_future(until_gone(receive))
        gone.add_done_callback(lambda _: job.future.cancel())
        try:
            return await work.result(job, deadline_s)
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
        ready = (await self._options(request, ("ready",))).get("ready", False)
        if not isinstance(ready, bool):
            raise Refused(400, "'ready' must be true or false")
        models = self.runner.models
        rows = [
            {"name": n, "version": "1", "state": "READY" if models.is_loaded(n) else "UNAVAILABLE"}
            for n in await asyncio.to_thread(models.names)
            if models.is_loaded(n) or not ready
        ]
        return json_response(rows)

    async def load(self, request: Request) -> Response:
        """POST /v2/repository/models/MODEL/load."""
        await self._options(request, ("parameters",))
        await self.runner.call(self.runner.models.load, request.path_params["model"])
        return Response(status_code=200)

    async def unload(self, request: Request) -> Response:
        """POST /v2/repository/models/MODEL/unload."""
        await self._options(request, ("parameters",), ("unload_dependents",))
        await self.runner.call(self.runner.models.unload, request.path_params["model"])
        return Response(status_code=200)

    async def _options(
        self, request: Request, known: tuple[str, ...], parameters: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The JSON object of a request about the repository; Triton's client may send none."""
        with self.bodies.hold() as hold:
            headers = dict(request.scope["headers"])
            body = await read_body(headers, request.receive, hold, _SMALL_JSON_BYTES)
        document = load_json(bytes(body)) if body else {}
        rows = (document.get("parameters") or {}) if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(rows, dict):
            raise Refused(400, "the body must be a JSON object, and its 'parameters' another")
        unknown = [name for name in document if name not in known]
        unknown += [name for name in rows if name not in parameters]
        if unknown:
            raise Refused(400, "the parameter '%.80s' is not supported" % unknown[0])
        return document

    async def model(self, request: Request) -> Response:
        """GET /v2/models/MODEL."""
        _check_version(request.path_params.get("version"))
        models = self.runner.models
        return json_response(await self.runner.call(models.metadata, request.path_params["model"]))

    async def model_ready(self, request: Request) -> Response:
        """GET /v2/models/MODEL/ready: whether it can be loaded when the first request asks."""
        _check_version(request.path_params.get("version"))
        await self.runner.call(self.runner.models.bundle, request.path_params["model"])
        return Response(status_code=200)

    def _own_routes(self) -> list[Route]:
        one = "/v2/models/{model}"
        routes = [
            route("/v2", self.about),
            route("/v2/health/live", self.live),
            route("/v2/health/ready", self.live),
            route("/v2/repository/index", self.index, "POST"),
            route("/v2/repository/models/{model}/load", self.load, "POST"),
            route("/v2/repository/models/{model}/unload", self.unload, "POST"),
            *energy_routes(self, self._recorder),
        ]
        for path in (one, one + "/versions/{version}"):
            routes.append(route(path, self.model))
            routes.append(route(path + "/ready", self.model_ready))
            # Answers 405 to every other method.
            routes.append(route(path + "/infer", self.live, "POST"))
        return routes

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> Any:
        yield
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.runner.close)
        self._decoder.shutdown(wait=False, cancel_futures=True)
        if self._recorder is not None:
            await loop.run_in_executor(None, self._recorder.close)

    def _known(self, model: str) -> str:
        name = self._long_names.get(model, model)
        return name if self.runner.models.is_there(name) else ""


def _check_version(version: str | None) -> None:
    if version not in (None, "1"):
        raise Refused(404, "every model has the version 1 alone")


async def _send_whole(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response, and return once the connection has taken it: until then it takes memory."""
    if len(response.body) <= PIECE_BYTES:
        return await response(scope, receive, send)
    head = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
