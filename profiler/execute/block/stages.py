"""The stages of a configuration, each repeated alone for its joules; the runner samples the power."""

import itertools
from functools import partial
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from splitwatt.device_configs.errors import ImageError, SplitwattError
from splitwatt.energy.joules.per_image import Repetitions, repeat
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline
from splitwatt.engines.pipeline.preprocess import Size
from splitwatt.profiler.analyse.energy import SERVER, TRANSMIT
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.remote import STAGES, Remote
from splitwatt.profiler.config.bundles import Found, open_bundles, slot
from splitwatt.profiler.config.config import SPLIT
from splitwatt.profiler.execute.block.system import decoder
from splitwatt.profiler.execute.job import Begun
from splitwatt.profiler.execute.plan import stage_names
from splitwatt.profiler.records.blocks import StageBlock
from splitwatt.profiler.records.fields import plain_text
from splitwatt.profiler.records.run import STAGES_FILE
from splitwatt.profiler.records.sample import FAILED, OK

# The inputs of this many images are kept in memory; a stage takes them in turn.
IMAGES = 4
_WARMUP = 2

Step = Callable[[], Any]
Bodies = List[Tuple[bytes, List[int]]]
# A stage to be repeated: its name, how many images it takes in turn, and how.
Measured = Tuple[str, int, Callable[[], Repetitions]]
_FAILURES = (SplitwattError, MemoryError)


class StageWork:
    """The stages of one configuration on one backend, on the first images that can be decoded."""

    def __init__(self, begun: Begun, client: Client, remote: Remote) -> None:
        self._begun = begun
        self._row = begun.config.configuration(begun.block.config)
        self._seconds = begun.config.stage_energy_s or 0.0
        self._client = client
        self._remote = remote

    def rows(self, model: str, names: Sequence[str]) -> Iterator[StageBlock]:
        """These stages of a model, each repeated, or the reason why it could not be."""
        left = list(names)
        try:
            for stage, images, run in self._stages(model):
                if stage not in left:
                    continue
                left.remove(stage)
                try:
                    row = self._repeated(stage, images, run(), None)
                except _FAILURES as error:
                    row = self._repeated(stage, images, None, error)
                yield row
        except _FAILURES as error:
            for name in left:
                yield self._repeated(name, 0, None, error)

    def _repeated(
        self, stage: str, images: int, ran: Optional[Repetitions], error: Optional[BaseException]
    ) -> StageBlock:
        block = self._begun.block
        start_s, end_s, count = (ran.start_s, ran.end_s, ran.repetitions) if ran else (None,) * 3
        reason = None if error is None else plain_text(str(error)) or type(error).__name__
        return StageBlock(
            block.config, block.backend, block.id, stage, start_s, end_s, count, images,
            OK if error is None else FAILED, reason, self._begun.session,
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
        options, backend = self._begun.options, self._begun.block.backend
        own = self._begun.config.only([self._row.id])
        opened = open_bundles(own, options.bundles, options.target)
        images = self._images([opened[name] for name in self._row.models])
        bundle = opened[model].bundle
        prefix = slot(bundle.manifest.tasks) + "."
        with EngineStore() as store:
            if self._row.kind != SPLIT:
                local = LocalPipeline(bundle, backend, options.threads, store)
                per_image = [local.steps(*image) for image in images]
            else:
                board = BoardPipeline(bundle, backend, options.threads, store)
                per_image = [board.steps(*image) for image in images]
            for stage in zip(*per_image):
                calls = [call for _, call in stage]
                yield prefix + stage[0][0], len(calls), partial(self._repeat, calls)
            if self._row.kind == SPLIT:
                requests = [board.run(*image) for image in images]
                bodies = [(r.payload, r.sizes.tolist()) for r in requests]
        if self._row.kind == SPLIT:
            name = opened[model].model
            yield prefix + TRANSMIT, len(bodies), partial(self._transmit, name, bodies)
            # One image's request: what repeats it is the server, and it takes one.
            yield prefix + SERVER, 1, partial(self._server, name, bodies[0])

    def _repeat(self, calls: List[Step]) -> Repetitions:
        turns = itertools.cycle(calls)
        return repeat(lambda: next(turns)(), least_s=self._seconds, warmup=_WARMUP)

    def _transmit(self, model: str, bodies: Bodies) -> Repetitions:
        remote = self._offered()
        calls: List[Step] = []
        for body in bodies:
            answer = len(self._client.infer(model, *body).answer)
            calls.append(partial(remote.echo, *self._client.message(*body), answer))
        return self._repeat(calls)

    def _server(self, model: str, body: Tuple[bytes, List[int]]) -> Repetitions:
        remote = self._offered()
        for _ in range(_WARMUP):
            self._client.infer(model, *body)
        message = self._client.message(*body)
        offset_s = remote.offset().offset_s
        return remote.repeat(model, self._seconds, *message, offset_s)

    def _offered(self) -> Remote:
        if STAGES not in self._remote.offers():
            raise SplitwattError("the server cannot have its stages repeated: it is another kind")
        return self._remote


def work(begun: Begun, client: Client) -> None:
    """Repeat each stage that is not recorded and record it."""
    names_of = stage_names(begun.config, begun.block, begun.document["bundles"])
    with Remote(begun.endpoint, begun.options.timeout_s) as remote:
        stages = StageWork(begun, client, remote)
        for model, names in names_of.items():
            left = [name for name in names if name not in begun.job.stages]
            for row in stages.rows(model, left) if left else ():
                begun.folder.append(STAGES_FILE, row)
