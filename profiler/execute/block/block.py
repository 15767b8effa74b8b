"""One block: a process that runs one configuration on one backend over the run's images, or that
repeats its stages.

Started by the runner with the path of its job; it appends to the run folder itself, and reports its
progress on standard output.
"""

import sys
import time
from contextlib import ExitStack
from typing import Any, Callable, Dict, List, Optional, Tuple

from splitwatt.device_configs.errors import RunError, ServerError, SplitwattError
from splitwatt.profiler.analyse.conditions import measured_links
from splitwatt.profiler.board.gpu import cuda_init_s
from splitwatt.profiler.board.memory import process_peak_bytes
from splitwatt.profiler.board.probe import BoardProbe
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.config.bundles import open_bundles
from splitwatt.profiler.config.config import SPLIT
from splitwatt.profiler.execute.block import stages
from splitwatt.profiler.execute.block.pipelined import flow
from splitwatt.profiler.execute.block.recording import Record, Recorder
from splitwatt.profiler.execute.block.survey import Survey
from splitwatt.profiler.execute.block.system import System, published_total
from splitwatt.profiler.execute.job import Begun, Teller, run_job, say
from splitwatt.profiler.execute.steady import Repetition, WarmUp
from splitwatt.profiler.records.blocks import AFTER, BEFORE, DURING, INFERENCES, PIPELINED, WARMUP
from splitwatt.profiler.records.fields import parse, plain_text
from splitwatt.profiler.records.run import SAMPLES_FILE, STARTS_FILE, THROUGHPUT_FILE, WINDOWS_FILE
from splitwatt.profiler.records.sample import Sample, check_sample

# After this many samples in a row that no server answered, the rest of the block is not tried.
GIVE_UP_AFTER = 2


class Block:
    """Runs what is left of a block and records it."""

    def __init__(self, begun: Begun, client: Client) -> None:
        job, config, images = begun.job, begun.config, begun.images
        self._begun = begun
        self._config = config
        self._row = config.configuration(begun.block.config)
        self._client = client if self._row.kind == SPLIT else None
        self._job = job
        self._repetition = Repetition(config.inferences, config.until, len(images), job.inferences)
        self._warm_up = WarmUp(config.warmup, config.warmup_until, len(images))
        self._recorder = Recorder(config, begun.block, images, begun.session)
        self._teller = Teller()
        self._unreached = 0
        self._published: Optional[Tuple[int, str]] = None
        self._start: Dict[str, Any] = {}

    def run(self) -> None:
        """Open the models, warm up, run the inferences, and record each.

        A sample that fails is recorded with its reason, and the block goes on; so is every sample
        of a block whose models cannot be opened.

        Raises:
            SplitwattError: the run folder cannot be written.
        """
        folder, session = self._begun.folder, self._begun.session
        rates = bool(measured_links(self._config))
        self._survey = Survey(folder, self._begun.block.id, self._client, rates, session)
        with ExitStack() as stack:
            self._samples = stack.enter_context(folder.appender(SAMPLES_FILE))
            self._windows = stack.enter_context(folder.appender(WINDOWS_FILE))
            self._probe = stack.enter_context(BoardProbe(self._begun.options.sysfs))
            try:
                system = stack.enter_context(self._open())
            except SplitwattError as error:
                return self._fail_all(error)
            self._survey.take(BEFORE)
            self._warm(system)
            start = time.monotonic()
            count = self._inferences(lambda k: self._sample(system, k, warmup=False))
            self._window(INFERENCES, start, count)
            self._survey.take(AFTER)
            if self._config.pipelined and not self._job.throughput:
                self._flow(system)

    def _open(self) -> System:
        """The block's models made runnable; what that took is kept for starts.jsonl."""
        options, backend = self._begun.options, self._begun.block.backend
        self._start["cuda_init_s"] = cuda_init_s(backend)
        start = time.perf_counter()
        opened = open_bundles(self._config.only([self._row.id]), options.bundles, options.target)
        models = [opened[name] for name in self._row.models]
        if self._config.payload == "published":
            self._published = published_total([m.model for m in models])
        jpeg_reduced = self._config.jpeg_reduced
        system = System(models, backend, options.threads, self._client, jpeg_reduced)
        ready = time.perf_counter()
        try:
            system.load()
        except BaseException:
            system.close()
            raise
        loaded_s = time.perf_counter() - ready
        self._start.update(open_s=ready - start, server_load_s=loaded_s if system.split else None)
        return system

    def _warm(self, system: System) -> None:
        """Warm up, in any case: a new process is cold. What was recorded before stays as it is."""
        start = time.monotonic()
        count, first_s = 0, None
        while not self._warm_up.over():
            record = self._sample(system, count, warmup=True)
            self._warm_up.add(record["total_s"])
            if count not in self._job.warmups:
                self._samples.append(record)
            first_s = record["total_s"] if count == 0 else first_s
            count += 1
            self._teller.done()
        self._teller.more(count - self._config.warmup)
        self._window(WARMUP, start, count)
        self._start.update(
            first_inference_s=first_s,
            warmups=count,
            steady=self._warm_up.steady,
            fallbacks=[plain_text(text) for text in system.fallbacks],
            built=[plain_text(text) for text in system.built],
        )
        self._append(STARTS_FILE, self._start)

    def _inferences(self, record_of: Callable[[int], Record]) -> int:
        """Those that are not done; with a rule, until it says that they are enough. How many ran."""
        count, due, expected = 0, self._repetition.due(), self._repetition.expected()
        while due:
            for k in due:
                record = record_of(k)
                self._samples.append(record)
                self._repetition.add(k, record["total_s"])
                self._teller.done()
            count += len(due)
            due, before = self._repetition.due(), expected
            expected = self._repetition.expected()
            self._teller.more(expected - before)
        self._teller.flush()
        return count

    def _flow(self, system: System) -> None:
        """Run the same images again, for throughput."""
        images = [self._recorder.image(k, False) for k in range(self._config.inferences)]
        start = time.monotonic()
        outcome = flow(system, images)
        self._window(PIPELINED, start, len(images))
        self._append(THROUGHPUT_FILE, outcome)
        for _ in images:
            self._teller.done()
        self._teller.flush()

    def _sample(self, system: System, inference: int, warmup: bool) -> Record:
        path = self._recorder.image(inference, warmup)
        if self._unreached == 0:
            self._survey.take(DURING)
        started = time.monotonic()
        if self._unreached >= GIVE_UP_AFTER:
            gone = ServerError("no server answered the %d samples before" % self._unreached)
            return self._recorder.failed(inference, warmup, started, gone)
        try:
            outcome = system.run(path)
        except (SplitwattError, MemoryError) as error:
            reachable = self._client is None or self._client.reachable
            lost = isinstance(error, ServerError) and not reachable
            self._unreached = self._unreached + 1 if lost else 0
            board = self._probe.read()
            return self._recorder.failed(inference, warmup, started, error, board)
        self._unreached = 0
        board = self._probe.read()
        record = self._recorder.ok(inference, warmup, outcome, self._published, board)
        try:  # what no reader would take, as a server's negative times, is a failure
            check_sample(parse(Sample, record, "the sample"), "the sample")
        except RunError as error:
            odd = ServerError("the server's answer makes an impossible record: %s" % error.message)
            return self._recorder.failed(inference, warmup, started, odd, board)
        return record

    def _fail_all(self, error: SplitwattError) -> None:
        for k in range(self._config.warmup):
            if k not in self._job.warmups:
                self._samples.append(self._recorder.failed(k, True, time.monotonic(), error))
            self._teller.done()
        self._inferences(lambda k: self._recorder.failed(k, False, time.monotonic(), error))

    def _window(self, name: str, start_s: float, count: int) -> None:
        if count:
            row = {"name": name, "start_s": start_s, "end_s": time.monotonic()}
            self._windows.append(self._of_block(dict(row, session=self._begun.session)))

    def _append(self, name: str, row: Dict[str, Any]) -> None:
        with self._begun.folder.appender(name) as lines:
            lines.append(self._of_block(row))

    def _of_block(self, row: Dict[str, Any]) -> Dict[str, Any]:
        block = self._begun.block
        return dict(row, config=block.config, backend=block.backend, block=block.id)


def _work(begun: Begun) -> None:
    with Client(begun.endpoint, begun.options.timeout_s) as client:
        if begun.block.repeats_stages:
            stages.work(begun, client)
        else:
            Block(begun, client).run()
    say({"process_peak_bytes": process_peak_bytes()})


def main(argv: List[str]) -> int:
    """Run a block by the job at `argv[0]`; exit code 0, or 3 where the run cannot go on."""
    return run_job(argv[0], _work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
