"""One stage block: a process that repeats each stage of a configuration alone, for its joules.

Started by the runner as `python -m profiler.stage_block`; the runner samples the power meanwhile.
"""

import argparse
import itertools
import json
import os
import sys
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from device_configs.errors import SplitwattError
from energy.per_image import Repetitions, repeat
from engines.image import decode_image
from engines.pipeline import BoardPipeline, LocalPipeline
from engines.store import EngineStore
from profiler.bundles import open_bundles, slot
from profiler.client import TIMEOUT_S, Client
from profiler.config import SPLIT, Config, from_document
from profiler.connection import Endpoint
from profiler.process import die_with_parent
from profiler.protocol import HEADER_LENGTH, Tensor, encode_request
from profiler.records import STAGES_FILE
from profiler.remote import STAGES, Remote
from profiler.run_folder import Appender, RunFolder
from profiler.sample import FAILED, OK
from profiler.stage_energy import SERVER, TRANSMIT, StageBlock
from profiler.stage_plan import StageSpec, stage_specs
from profiler.tokens import read_token

# The inputs of so many images are kept in memory; a stage takes them in turn.
IMAGES = 4
_WARMUP = 2
FATAL_EXIT = 3

Step = Callable[[], Any]


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
        paths: the run's images.
        client: the server's; used by split configurations.
        remote: the same server's own offers, or None.
    """

    def __init__(
        self,
        config: Config,
        spec: StageSpec,
        paths: Sequence[str],
        client: Client,
        remote: Optional[Remote],
    ) -> None:
        self._row = config.configuration(spec.config)
        self._config = config
        self._backend = spec.backend
        self._images = [decode_image(path) for path in paths[:IMAGES]]
        self._client = client
        self._remote = remote

    def stages(self, bundles: str, target: str, threads: Optional[int]) -> Iterator[Measured]:
        """Every stage in its order; a model's engines are open while its stages are told."""
        own = self._config.only([self._row.id])
        found = open_bundles(own, bundles, target)
        for model in self._row.models:
            bundle = found[model].bundle
            prefix = slot(bundle.manifest.tasks) + "."
            with EngineStore() as store:
                if self._row.kind != SPLIT:
                    local = LocalPipeline(bundle, self._backend, threads, store)
                    per_image = [local.steps(image) for image in self._images]
                else:
                    board = BoardPipeline(bundle, self._backend, threads, store)
                    per_image = [board.steps(image) for image in self._images]
                for stage in zip(*per_image):
                    yield self._on_board(prefix + stage[0][0], [call for _, call in stage])
                if self._row.kind == SPLIT:
                    requests = [board.run(image) for image in self._images]
                    bodies = [(r.payload, r.sizes.tolist()) for r in requests]
            if self._row.kind == SPLIT:
                yield self._transmit(found[model].model, prefix + TRANSMIT, bodies)
                yield self._server(found[model].model, prefix + SERVER, bodies)

    def _on_board(self, stage: str, calls: List[Step]) -> Measured:
        return Measured(stage, lambda: self._repeat(calls), len(calls))

    def _repeat(self, calls: List[Step]) -> Repetitions:
        turns = itertools.cycle(calls)
        return repeat(lambda: next(turns)(), least_s=self._seconds, warmup=_WARMUP)

    @property
    def _seconds(self) -> float:
        return self._config.stage_energy_s or 0.0

    def _transmit(self, model: str, stage: str, bodies: List[Tuple[bytes, List[int]]]) -> Measured:
        def run() -> Repetitions:
            remote = self._offered()
            calls: List[Step] = []
            for payload, sizes in bodies:
                answer = len(self._client.infer(model, payload, sizes).answer)
                headers, body = _request(payload, sizes)
                calls.append(lambda h=headers, b=body, n=answer: remote.echo(h, b, n))  # type: ignore
            return self._repeat(calls)

        return Measured(stage, run, len(bodies))

    def _server(self, model: str, stage: str, bodies: List[Tuple[bytes, List[int]]]) -> Measured:
        """One image's request: what repeats it is the server, and it takes one."""

        def run() -> Repetitions:
            remote = self._offered()
            headers, body = _request(*bodies[0])
            for _ in range(_WARMUP):
                self._client.infer(model, *bodies[0])
            offset = remote.offset()
            done = remote.repeat(model, self._seconds, headers, body, offset.offset_s)
            return Repetitions(done.repetitions, done.start_s, done.end_s)

        return Measured(stage, run, 1)

    def _offered(self) -> Remote:
        if self._remote is None or STAGES not in self._remote.offers():
            raise SplitwattError("the server cannot have its stages repeated: it is another kind")
        return self._remote


def run_stages(
    work: Iterator[Measured], spec: StageSpec, done: Sequence[str], records: Appender
) -> None:
    """Repeat what is not done and record it; a stage that fails is recorded with its reason."""
    for stage in work:
        if stage.stage in done:
            continue
        record = StageBlock(
            spec.config, spec.backend, spec.id, stage.stage, None, None, None, stage.images, OK,
            None,
        )  # fmt: skip
        try:
            ran = stage.run()
            record = record._replace(
                start_s=ran.start_s, end_s=ran.end_s, repetitions=ran.repetitions
            )
        except SplitwattError as error:
            record = record._replace(status=FAILED, reason=str(error))
        records.append(dict(record._asdict()))


def _request(payload: bytes, sizes: List[int]) -> Tuple[Dict[str, str], bytes]:
    bitstream = Tensor("bitstream", "UINT8", (len(payload),), payload)
    six = b"".join(int(n).to_bytes(4, "little", signed=True) for n in sizes)
    message = encode_request([bitstream], [Tensor("sizes", "INT32", (len(sizes),), six)])
    return {HEADER_LENGTH: str(message.header_length)}, message.body


def _arguments(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="profiler.stage_block", description=__doc__)
    for name in ("--run", "--block", "--bundles", "--target"):
        parser.add_argument(name, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--done", default="")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--server", default="http://127.0.0.1:9")
    for name in ("--token-file", "--cert", "--fingerprint"):
        parser.add_argument(name)
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S)
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> int:
    """Run a stage block; exit code 0, or 3 where it cannot go on."""
    options = _arguments(argv)
    try:
        die_with_parent(options.parent)
        folder = RunFolder(options.run)
        document = folder.document()
        config = from_document(document["config"], "run.json")
        spec = next(s for s in stage_specs(config) if s.id == options.block)
        images = [
            os.path.join(document["images_folder"], row["file"]) for row in document["images"]
        ]
        token = read_token(options.token_file)
        endpoint = Endpoint(options.server, token, options.cert, options.fingerprint)
        with Client(endpoint, options.timeout) as client, Remote(endpoint, options.timeout) as own:
            work = StageWork(config, spec, images, client, own)
            stages = work.stages(options.bundles, options.target, options.threads)
            with Appender(folder.file(STAGES_FILE)) as records:
                run_stages(stages, spec, options.done.split(","), records)
    except SplitwattError as error:
        print(json.dumps({"fatal": error.message, "remedy": error.remedy}), flush=True)
        return FATAL_EXIT
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
