"""What the server offers to a board that measures energy, besides the protocol: an echo, a model's
work repeated, and the trace of its own power rails while a block runs.
"""

import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.input.small_files import real_number
from splitwatt.profiler.server.inference.refusals import Refused, json_response, without_paths
from splitwatt.profiler.server.web.body import (
    BODY_LIMIT_BYTES,
    ClientGoneError,
    infer_limit,
    read_body,
)
from splitwatt.profiler.server.web.recorder import PowerRecorder
from splitwatt.profiler.server.web.routes import filled, route

# The longest time for which a request may repeat one model's work, s.
LONGEST_REPEAT_S = 3600.0
_PREFIX = "/v2/splitwatt"
_LOOK_EVERY_S = 1.0


def energy_routes(server: Any, recorder: PowerRecorder | None) -> list[Route]:
    """What lies under /v2/splitwatt of a `Server`; without a recorder no power is sampled."""
    own = _EnergyRoutes(server, recorder)
    return [
        route(_PREFIX, own.offers),
        route(_PREFIX + "/echo/{bytes}", own.echo, "POST"),
        route(_PREFIX + "/repeat/{model}/{seconds}", own.repeat, "POST"),
        route(_PREFIX + "/energy/begin", own.begin, "POST"),
        route(_PREFIX + "/energy/end/{trace}", own.end, "POST"),
    ]


class _EnergyRoutes:
    def __init__(self, server: Any, recorder: PowerRecorder | None) -> None:
        self._server = server
        # A replica's clock is not the one that boards ask for: no work is repeated there.
        self._stages = server.runner.tells_time
        self._recorder = recorder

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
        """The infer request in the body, run again and again for that many seconds."""
        if not self._stages:
            raise Refused(404, "this server cannot repeat work")
        seconds = real_number(request.path_params["seconds"])
        if seconds is None or not 0 < seconds <= LONGEST_REPEAT_S:
            raise Refused(400, "work is repeated for 0 to %g s" % LONGEST_REPEAT_S)
        headers = dict(request.scope["headers"])
        model = await self._server.admitted(request.path_params["model"])
        with self._server.bodies.hold() as hold:
            body = await read_body(headers, request.receive, hold, infer_limit(headers))
            repetitions, start = 0, time.monotonic()
            looked = now = start
            while repetitions == 0 or now - start < seconds:
                _, count = await self._server.answer(model, headers, body, request.receive)
                count()
                repetitions, now = repetitions + 1, time.monotonic()
                if now - looked > _LOOK_EVERY_S:
                    looked = now
                    if await request.is_disconnected():
                        raise ClientGoneError()
        return json_response({"repetitions": repetitions, "start_s": start, "end_s": now})

    async def begin(self, request: Request) -> Response:
        """POST .../energy/begin: sample this machine's power from here on."""
        return await self._recorded(lambda recorder: recorder.begin())

    async def end(self, request: Request) -> Response:
        """POST .../energy/end/TRACE: its trace."""
        trace = request.path_params["trace"]
        return await self._recorded(lambda recorder: recorder.end(trace))

    async def _recorded(self, work: Callable[[PowerRecorder], dict[str, Any]]) -> Response:
        if self._recorder is None:
            raise Refused(404, "this server does not sample power: start it with --energy")
        try:
            return json_response(await run_in_threadpool(work, self._recorder))
        except SensorError as error:
            raise Refused(409, without_paths(error.message))
