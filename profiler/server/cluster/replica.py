"""A replica of a cluster: the server's whole ASGI application in a process of Ray's."""

import asyncio
import contextlib
from typing import Any

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.server.inference.models import Models, process_bytes
from splitwatt.profiler.server.inference.refusals import Refused
from splitwatt.profiler.server.inference.runner import Runner
from splitwatt.profiler.server.web.app import Server

# Models that boards asked for, each with "load" or "unload", whichever came last, and its number.
Wanted = tuple[tuple[str, str, int], ...]
# Of a request: method, path, query, headers, body, and what is wanted.
# Of an answer: status, headers, body.
Request = tuple[str, str, bytes, list[tuple[bytes, bytes]], bytes, Wanted]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Replica:
    """Ray Serve starts as many of these as are needed, at least `copies`.

    The bundles are as of `server.setup.Served`, at the same place on every machine.
    """

    def __init__(
        self,
        bundles: str | dict[str, str],
        backend: str,
        threads: int,
        workers: int,
        budget_bytes: int,
        queue: int,
        batch: int,
        copies: int = 1,
    ) -> None:
        models = Models(bundles, backend, threads, budget_bytes, process_bytes)
        # Its clock is not the front's, which is the one that boards ask for.
        self._runner = Runner(models, workers, queue, batch, tells_time=False)
        self._app = Server(self._runner, backend, copies=copies)
        self._followed: dict[str, int] = {}

    async def answer(self, request: Request) -> Answer:
        """What the application answers to a request, once it has the models that are wanted."""
        method, path, query, headers, body, wanted = request
        await self._follow(wanted)
        status, answered, pieces, taken = 503, [], [], False

        async def receive() -> dict[str, Any]:
            nonlocal taken
            if taken:
                await asyncio.Event().wait()  # the front knows whether its client is there
            taken = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], list(message["headers"])
            else:
                pieces.append(message.get("body", b""))

        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": query, "headers": headers,
            "root_path": "", "scheme": "http", "client": None, "server": None,
        }  # fmt: skip
        await self._app(scope, receive, send)
        return status, answered, b"".join(pieces)

    async def _follow(self, wanted: Wanted) -> None:
        """Load or unload what another replica was asked to; a request for a model that cannot be
        loaded gets the error.
        """
        models = self._runner.models
        later = [one for one in wanted if one[2] > self._followed.get(one[0], 0)]
        self._followed.update({name: number for name, _, number in later})
        for name, what, _ in later:
            with contextlib.suppress(SplitwattError, Refused):
                await self._runner.call(models.load if what == "load" else models.unload, name)

    def __del__(self) -> None:
        self._runner.close()
