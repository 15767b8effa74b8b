"""Inferences on the server's models, by its threads."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.client.protocol import InferRequest, Message, Wanted, encode_response
from splitwatt.profiler.client.wire_times import write_stages
from splitwatt.profiler.server.inference.models import Models
from splitwatt.profiler.server.inference.tensors import check_outputs, read_inputs, write_output
from splitwatt.profiler.server.inference.work import Job, Work


class Asked(NamedTuple):
    """An inference as a client asks for it; `start_s` of time.perf_counter, its body read."""

    model: str
    request: InferRequest
    start_s: float


class Answered(NamedTuple):
    """Its answer, and the stages in seconds."""

    message: Message
    stages: dict[str, float]


class Runner:
    """Models, closed with this, and the threads that run them; other arguments as for `Work`.

    `tells_time`: answers say when their request was there, on this process's clock.
    """

    def __init__(
        self,
        models: Models,
        workers: int = 1,
        queue: int = 64,
        batch: int = 1,
        tells_time: bool = True,
    ) -> None:
        self.models = models
        self.tells_time = tells_time
        self.work = Work(workers, queue, batch)
        self.on_batch: Callable[[int], None] = lambda size: None

    def submit(self, asked: Asked) -> Job:
        """Take an inference; `work.result` of the job gives `Answered`.

        Raises:
            Refused: too many wait.
            ServerError: the inputs are not a bitstream and its sizes.
        """
        payload, sizes = read_inputs(asked.request.tensors)
        return self.work.submit(self._run, asked, payload, sizes, key=asked.model)

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of other work on models, such as loading one."""
        return await self.work.result(self.work.submit(function, *arguments))

    def close(self) -> None:
        """Finish what was taken, then unload the models."""
        self.work.close()
        self.models.close()

    def _run(self, jobs: list[tuple[Asked, bytes | memoryview, Any]]) -> list[Any]:
        with self.models.use(jobs[0][0].model) as pipeline:
            self.on_batch(len(jobs))
            # Codecs read a view as they read bytes; a copy of 16 MiB would hold up the event loop.
            outcomes = pipeline.run_all([(cast(bytes, data), sizes) for _, data, sizes in jobs])
            return [
                _answered(asked, pipeline.bundle, outcome, self.tells_time)
                for (asked, _, _), outcome in zip(jobs, outcomes, strict=True)
            ]


def _answered(asked: Asked, bundle: Bundle, outcome: Any, tells_time: bool) -> Answered | Exception:
    """The answer to a request, or the error that its client gets."""
    if isinstance(outcome, Exception):
        return outcome
    answer, stages = outcome
    try:
        wanted = asked.request.wanted or [Wanted("answer", asked.request.binary)]
        check_outputs([output.name for output in wanted], bundle)
        outputs = [(write_output(output.name, answer), output.binary) for output in wanted]
        total_s = time.perf_counter() - asked.start_s
        at_s = asked.start_s if tells_time else None
        parameters = {"stages": write_stages(stages, total_s, at_s)}
        message = encode_response(asked.model, outputs, parameters, asked.request.id)
    except SplitwattError as error:
        return error
    return Answered(message, stages)
