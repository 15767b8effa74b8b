"""What the server offers to a board that measures energy, besides the protocol: an echo, a model's
work repeated, and the trace of its own power rails while a block runs.
"""

# board: no

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.input.small_files import real_number
from splitwatt.profiler.server.inference.refusals import Refused, json_response, without_paths
from splitwatt.profiler.server.web.answers import filled
from splitwatt.profiler.server.web.body import (
    BODY_LIMIT_BYTES,
    Bodies,
    ClientGoneError,
    infer_limit,
    read_body,
)
from splitwatt.profiler.server.web.recorder import PowerRecorder
from splitwatt.profiler.server.web.routes import route

# A request may keep the server at one model's work for so long, s.
LONGEST_REPEAT_S = 3600.0
_PREFIX = "/v2/splitwatt"
_LOOK_EVERY_S = 1.0

Headers = Mapping[bytes, bytes]
Infer = Callable[[str, Headers, memoryview, Receive], Awaitable[None]]


class EnergyRoutes:
    """The handlers of what lies under /v2/splitwatt.

    Args:
        admitted: returns a model's full name; raises where it is unknown or the server is busy.
        infer: answers a model's infer request of these headers and this body.
        stages: whether work is repeated here: a replica's clock is not the one that boards ask for.
        recorder: where this machine's power may be sampled; None where not.
        bodies: the budget for bodies.
    """

    def __init__(
        self,
        admitted: Callable[[str], Awaitable[str]],
        infer: Infer,
        stages: bool,
        recorder: PowerRecorder | None,
        bodies: Bodies,
    ) -> None:
        self._admitted = admitted
        self._infer = infer
        self._stages = stages
        self._recorder = recorder
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """For the server's application."""
        return [
            route(_PREFIX, self.offers),
            route(_PREFIX + "/echo/{bytes}", self.echo, "POST"),
            route(_PREFIX + "/repeat/{model}/{seconds}", self.repeat, "POST"),
            route(_PREFIX + "/energy/begin", self.begin, "POST"),
            route(_PREFIX + "/energy/end/{trace}", self.end, "POST"),
        ]

    async def offers(self, request: Request) -> Response:
        """GET /v2/splitwatt."""
        names = ["stages"] if self._stages else []
        return json_response({"offers": names + (["energy"] if self._recorder else [])})

    async def echo(self, request: Request) -> Response:
        """As many bytes as were asked for, whatever came: a round trip without any work."""
        asked = request.path_params["bytes"]
        if not (asked.isascii() and asked.isdigit()):
            raise Refused(400, "an echo has a number of bytes")
        if len(asked) > len(str(BODY_LIMIT_BYTES)) or int(asked) > BODY_LIMIT_BYTES:
            raise Refused(413, "an answer larger than %d bytes is not made" % BODY_LIMIT_BYTES)
        await read_body(dict(request.scope["headers"]), request.receive, None)
        return filled(b"", b"\0", int(asked), "application/octet-stream")

    async def repeat(self, request: Request) -> Response:
        """The infer request in the body, answered again and again for so many seconds."""
        if not self._stages:
            raise Refused(404, "this server repeats no work")
        seconds = _seconds(request.path_params["seconds"])
        headers = dict(request.scope["headers"])
        model = await self._admitted(request.path_params["model"])
        with self._bodies.hold() as hold:
            body = await read_body(headers, request.receive, hold, infer_limit(headers))
            return await self._repeat(request, model, headers, body, seconds)

    async def _repeat(
        self, request: Request, model: str, headers: Headers, body: memoryview, seconds: float
    ) -> Response:
        count, start = 0, time.monotonic()
        looked = now = start
        while count == 0 or now - start < seconds:
            await self._infer(model, headers, body, request.receive)
            count, now = count + 1, time.monotonic()
            if now - looked > _LOOK_EVERY_S:
                looked = now
                if await request.is_disconnected():
                    raise ClientGoneError()
        return json_response({"repetitions": count, "start_s": start, "end_s": now})

    async def begin(self, request: Request) -> Response:
        """POST .../energy/begin: sample this machine's power from here on."""
        return await self._recorded(lambda recorder: recorder.begin())

    async def end(self, request: Request) -> Response:
        """POST .../energy/end/TRACE: its trace."""
        trace = request.path_params["trace"]
        return await self._recorded(lambda recorder: recorder.end(trace))

    async def _recorded(self, work: Callable[[PowerRecorder], dict[str, Any]]) -> Response:
        if self._recorder is None:
            raise Refused(404, "this server samples no power: start it with --energy")
        try:
            return json_response(await run_in_threadpool(work, self._recorder))
        except SensorError as error:
            raise Refused(409, without_paths(error.message))


def _seconds(text: str) -> float:
    seconds = real_number(text)
    if seconds is None or not 0 < seconds <= LONGEST_REPEAT_S:
        raise Refused(400, "work is repeated for 0 to %g s" % LONGEST_REPEAT_S)
    return seconds
