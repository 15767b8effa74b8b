"""One stage block: a process that repeats each stage of a configuration alone, for its joules.

Started by the runner as `python -m splitwatt.profiler.execute.block.stages`; the runner samples the power meanwhile.
"""

import itertools
import sys
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.device_configs.errors import ImageError, SplitwattError
from splitwatt.energy.joules.per_image import Repetitions, repeat
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline
from splitwatt.engines.pipeline.store import EngineStore
from splitwatt.profiler.analyse.stage_energy import SERVER, TRANSMIT, StageBlock
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.remote import STAGES, Remote
from splitwatt.profiler.config.bundles import Found, open_bundles, slot
from splitwatt.profiler.config.config import SPLIT, Config
from splitwatt.profiler.execute.block.start import Begun, block_parser, run_main
from splitwatt.profiler.execute.stage_plan import StageSpec, stage_names, stage_specs
from splitwatt.profiler.records.folder import Appender
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
        config: of the run; its `stage_energy_s` says how long each stage is repeated.
        spec: the block.
        paths: the run's images, of which the first that can be decoded are used.
        open_bundles: gives the configuration's bundles by model.
        threads: of one inference.
        client: the server's; used by split configurations.
        remote: the same server's own offers.
        session: of the run.
    """

    def __init__(
        self,
        config: Config,
        spec: StageSpec,
        paths: Sequence[str],
        open_bundles: Callable[[], Dict[str, Found]],
        threads: Optional[int],
        client: Client,
        remote: Remote,
        session: int,
    ) -> None:
        self._row = config.configuration(spec.config)
        self._seconds = config.stage_energy_s or 0.0
        self._spec = spec
        self._paths = paths
        self._open_bundles = open_bundles
        self._threads = threads
        self._client = client
        self._remote = remote
        self._session = session

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
        spec = self._spec
        return StageBlock(
            spec.config, spec.backend, spec.id, stage.stage, ran.start_s, ran.end_s,
            ran.repetitions, stage.images, OK, None, self._session,
        )  # fmt: skip

    def _failed(self, stage: str, images: int, error: BaseException) -> StageBlock:
        spec, reason = self._spec, str(error) or type(error).__name__
        return StageBlock(
            spec.config, spec.backend, spec.id, stage, None, None, None, images, FAILED, reason,
            self._session,
        )  # fmt: skip

    def _images(self) -> List[np.ndarray]:
        """The first images that can be decoded.

        Raises:
            ImageError: none can.
        """
        found: List[np.ndarray] = []
        damaged = ImageError("the run has no image")
        for path in self._paths:
            try:
                found.append(decode_image(path))
            except ImageError as error:
                damaged = error
            if len(found) == IMAGES:
                break
        if not found:
            raise damaged
        return found

    def _stages(self, model: str) -> Iterator[Measured]:
        """A model's stages in their order; its engines are open while those of the board are told."""
        images, found = self._images(), self._open_bundles()[model]
        bundle = found.bundle
        prefix = slot(bundle.manifest.tasks) + "."
        with EngineStore() as store:
            if self._row.kind != SPLIT:
                local = LocalPipeline(bundle, self._spec.backend, self._threads, store)
                per_image = [local.steps(image) for image in images]
            else:
                board = BoardPipeline(bundle, self._spec.backend, self._threads, store)
                per_image = [board.steps(image) for image in images]
            for stage in zip(*per_image):
                yield self._on_board(prefix + stage[0][0], [call for _, call in stage])
            if self._row.kind == SPLIT:
                requests = [board.run(image) for image in images]
                bodies = [(r.payload, r.sizes.tolist()) for r in requests]
        if self._row.kind == SPLIT:
            yield self._transmit(found.model, prefix + TRANSMIT, bodies)
            yield self._server(found.model, prefix + SERVER, bodies)

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
            done = remote.repeat(model, self._seconds, headers, body, offset.offset_s)
            return Repetitions(done.repetitions, done.start_s, done.end_s)

        return Measured(stage, run, 1)

    def _offered(self) -> Remote:
        if STAGES not in self._remote.offers():
            raise SplitwattError("the server cannot have its stages repeated: it is another kind")
        return self._remote


def _work(options: Any, begun: Begun) -> None:
    config = begun.config
    spec = next(s for s in stage_specs(config) if s.id == options.block)
    done = options.done.split(",")

    def opened() -> Dict[str, Found]:
        return open_bundles(config.only([spec.config]), options.bundles, options.target)

    endpoint, timeout_s = begun.endpoint, options.timeout
    with Client(endpoint, timeout_s) as client, Remote(endpoint, timeout_s) as remote:
        work = StageWork(
            config, spec, begun.images, opened, options.threads, client, remote, begun.session
        )
        with Appender(begun.folder.file(STAGES_FILE)) as records:
            for model, names in stage_names(config, spec, begun.document["bundles"]).items():
                left = [name for name in names if name not in done]
                for row in work.rows(model, left) if left else ():
                    records.append(dict(row._asdict()))


def main(argv: Optional[List[str]] = None) -> int:
    """Run a stage block; exit code 0, or 3 where the run cannot go on."""
    parser = block_parser("splitwatt.profiler.execute.block.stages", __doc__.split("\n")[0])
    parser.add_argument("--done", default="")
    return run_main(parser, argv, _work)


if __name__ == "__main__":
    sys.exit(main())
