"""The stages of a configuration, each repeated alone for its joules; the runner samples the power."""

import itertools
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.device_configs.errors import ImageError, SplitwattError
from splitwatt.energy.joules.per_image import Repetitions, repeat
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline
from splitwatt.engines.pipeline.preprocess import Size
from splitwatt.engines.pipeline.store import EngineStore
from splitwatt.profiler.analyse.energy import SERVER, TRANSMIT
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.remote import STAGES, Remote
from splitwatt.profiler.config.bundles import Found, open_bundles, slot
from splitwatt.profiler.config.config import SPLIT
from splitwatt.profiler.execute.block.system import decoder
from splitwatt.profiler.execute.job import Begun, Job
from splitwatt.profiler.execute.plan import stage_names
from splitwatt.profiler.records.blocks import StageBlock
from splitwatt.profiler.records.fields import plain_text
from splitwatt.profiler.records.run import STAGES_FILE
from splitwatt.profiler.records.sample import FAILED, OK

# The inputs of so many images are kept in memory; a stage takes them in turn.
IMAGES = 4
_WARMUP = 2

Step = Callable[[], Any]
Bodies = List[Tuple[bytes, List[int]]]


class Measured(NamedTuple):
    """A stage to be repeated: its name, how, and how many images it takes in turn."""

    stage: str
    run: Callable[[], Repetitions]
    images: int


class StageWork:
    """The stages of one configuration on one backend.

    Args:
        job: what the process is to do.
        begun: what it works with; of its images the first that can be decoded are used, and the
            config's `stage_energy_s` says how long each stage is repeated.
        client: the server's; used by split configurations.
        remote: the same server's own offers.
    """

    def __init__(self, job: Job, begun: Begun, client: Client, remote: Remote) -> None:
        self._job = job
        self._begun = begun
        self._row = begun.config.configuration(begun.block.config)
        self._seconds = begun.config.stage_energy_s or 0.0
        self._client = client
        self._remote = remote

    def rows(self, model: str, names: Sequence[str]) -> Iterator[StageBlock]:
        """These stages of a model, each repeated, or the reason why it could not be."""
        left = list(names)
        try:
            for stage in self._stages(model):
                if stage.stage in left:
                    left.remove(stage.stage)
                    yield self._row_of(stage)
        except (SplitwattError, MemoryError) as error:
            for name in left:
                yield self._failed(name, 0, error)

    def _row_of(self, stage: Measured) -> StageBlock:
        try:
            ran = stage.run()
        except (SplitwattError, MemoryError) as error:
            return self._failed(stage.stage, stage.images, error)
        block = self._begun.block
        return StageBlock(
            block.config, block.backend, block.id, stage.stage, ran.start_s, ran.end_s,
            ran.repetitions, stage.images, OK, None, self._begun.session,
        )  # fmt: skip

    def _failed(self, stage: str, images: int, error: BaseException) -> StageBlock:
        block, reason = self._begun.block, plain_text(str(error)) or type(error).__name__
        return StageBlock(
            block.config, block.backend, block.id, stage, None, None, None, images, FAILED, reason,
            self._begun.session,
        )  # fmt: skip

    def _images(self, models: Sequence[Found]) -> List[Tuple[np.ndarray, Optional[Size]]]:
        """The first images that can be decoded, see `decoder`.

        Raises:
            ImageError: no image can.
        """
        decode = decoder(models, self._begun.config.jpeg_reduced)
        decoded: List[Tuple[np.ndarray, Optional[Size]]] = []
        damaged = ImageError("the run has no image")
        for path in self._begun.images:
            try:
                decoded.append(decode(path))
            except ImageError as error:
                damaged = error
            if len(decoded) == IMAGES:
                break
        if not decoded:
            raise damaged
        return decoded

    def _stages(self, model: str) -> Iterator[Measured]:
        """A model's stages in their order; its engines are open while those of the board are given."""
        job, backend, threads = self._job, self._begun.block.backend, self._job.threads
        own = self._begun.config.only([self._row.id])
        opened = open_bundles(own, job.bundles, job.target)
        images = self._images([opened[name] for name in self._row.models])
        bundle = opened[model].bundle
        prefix = slot(bundle.manifest.tasks) + "."
        with EngineStore() as store:
            if self._row.kind != SPLIT:
                local = LocalPipeline(bundle, backend, threads, store)
                per_image = [local.steps(*image) for image in images]
            else:
                board = BoardPipeline(bundle, backend, threads, store)
                per_image = [board.steps(*image) for image in images]
            for stage in zip(*per_image):
                yield self._on_board(prefix + stage[0][0], [call for _, call in stage])
            if self._row.kind == SPLIT:
                requests = [board.run(*image) for image in images]
                bodies = [(r.payload, r.sizes.tolist()) for r in requests]
        if self._row.kind == SPLIT:
            yield self._transmit(opened[model].model, prefix + TRANSMIT, bodies)
            yield self._server(opened[model].model, prefix + SERVER, bodies)

    def _on_board(self, stage: str, calls: List[Step]) -> Measured:
        return Measured(stage, lambda: self._repeat(calls), len(calls))

    def _repeat(self, calls: List[Step]) -> Repetitions:
        turns = itertools.cycle(calls)
        return repeat(lambda: next(turns)(), least_s=self._seconds, warmup=_WARMUP)

    def _transmit(self, model: str, stage: str, bodies: Bodies) -> Measured:
        def run() -> Repetitions:
            remote = self._offered()
            calls: List[Step] = []
            for payload, sizes in bodies:
                answer = len(self._client.infer(model, payload, sizes).answer)
                headers, body = self._client.message(payload, sizes)
                calls.append(lambda h=headers, b=body, n=answer: remote.echo(h, b, n))  # type: ignore
            return self._repeat(calls)

        return Measured(stage, run, len(bodies))

    def _server(self, model: str, stage: str, bodies: Bodies) -> Measured:
        """One image's request: what repeats it is the server, and it takes one."""

        def run() -> Repetitions:
            remote = self._offered()
            for _ in range(_WARMUP):
                self._client.infer(model, *bodies[0])
            headers, body = self._client.message(*bodies[0])
            offset = remote.offset()
            return remote.repeat(model, self._seconds, headers, body, offset.offset_s)

        return Measured(stage, run, 1)

    def _offered(self) -> Remote:
        if STAGES not in self._remote.offers():
            raise SplitwattError("the server cannot have its stages repeated: it is another kind")
        return self._remote


def work(job: Job, begun: Begun, client: Client) -> None:
    """Repeat each stage that is not recorded and record it."""
    with Remote(begun.endpoint, job.timeout_s) as remote:
        stages = StageWork(job, begun, client, remote)
        with begun.folder.appender(STAGES_FILE) as records:
            names_of = stage_names(begun.config, begun.block, begun.document["bundles"])
            for model, names in names_of.items():
                left = [name for name in names if name not in job.stages]
                for row in stages.rows(model, left) if left else ():
                    records.append(dict(row._asdict()))
