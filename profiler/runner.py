"""The runner: one process per block, in order, with what goes wrong kept in the records."""

import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from device_configs.cli import note
from device_configs.errors import ServerError
from profiler.block import Spec, failed_record
from profiler.block_process import Ended, run_block
from profiler.client import Client
from profiler.config import SPLIT, Config, from_document
from profiler.connection import Endpoint
from profiler.images import image_of
from profiler.memory import SOURCE_BOARD, SOURCE_PROCESS, BoardMeter
from profiler.own_server import OwnServer, check_python
from profiler.power import BlockPower
from profiler.prepare import (
    Options,
    check_resumable,
    describe_server,
    needs_server,
    new_document,
    wall,
)
from profiler.progress import Progress, open_progress
from profiler.records import Window, read_run
from profiler.run_folder import RunFolder
from profiler.tokens import read_token

SERVER_LOG = "server.log"
BLOCK_LOG = "blocks.log"
# A block's process that dies is started again; after so many deaths the rest of it has failed.
MAX_DEATHS = 4
MAX_SERVER_STARTS = 4


class Result(NamedTuple):
    """How a session of a run ended.

    Attributes:
        path: the run folder.
        ok: samples that gave an answer, warm-up included.
        failed: samples that failed because of their image, which a resume leaves alone.
        again: samples that failed otherwise: a resume runs them again.
        reason: the last such failure, or None.
    """

    path: str
    ok: int
    failed: int
    again: int
    reason: Optional[str]


def start_run(config: Config, options: Options, path: str) -> Result:
    """Make a run folder and profile.

    Raises:
        SplitwattError: config, bundles, images or server are not as they must be, or the folder
            cannot be written. What was recorded until then stays.
    """
    document = new_document(config, options)
    for named, bundle in document["bundles"].items():
        if named != bundle["model"]:
            note("%s is %s, its first rate here" % (named, bundle["model"]))
    if needs_server(config) and options.server is None:
        check_python()
    with RunFolder.create(path, document) as folder:
        return _Session(folder, document, options, 0).run()


def resume_run(path: str, options: Options, config: Optional[Config] = None) -> Result:
    """Finish a run that was cut off, and run again what failed through no fault of its image.

    Raises:
        RunError: it is no run, another process writes to it, or config, bundles or images differ.
        SplitwattError: as `start_run`.
    """
    with RunFolder.reopen(path) as folder:
        document = folder.document()
        check_resumable(document, options, config)
        document["resumed"].append({"wall": wall(), "monotonic_s": time.monotonic()})
        document["finished_wall"] = None
        return _Session(folder, document, options, folder.lines()).run()


class _Session:
    """One process's work on a run: from its start, or from a resume, to the end."""

    def __init__(
        self, folder: RunFolder, document: Dict[str, Any], options: Options, retry_before: int
    ) -> None:
        self._folder = folder
        self._document = document
        self._options = options
        self._retry_before = retry_before
        self._config = from_document(document["config"], "run.json")
        self._blocks = [Spec(**row) for row in document["blocks"]]
        self._server: Optional[OwnServer] = None
        self._server_starts = 0
        self._told_why_no_power = False

    def run(self) -> Result:
        """Run every block that is not done."""
        todo = [(spec, self._missing(spec)) for spec in self._blocks]
        todo = [(spec, count) for spec, count in todo if count]
        try:
            if any(self._is_split(spec) for spec, _ in todo):
                self._meet_server()
            self._folder.write_document(self._document)
            with open_progress(sum(count for _, count in todo)) as progress:
                for spec, _ in todo:
                    self._run_block(spec, progress)
        finally:
            if self._server is not None:
                self._server.close()
        self._document["finished_wall"] = wall()
        self._folder.write_document(self._document)
        return self._result()

    def _is_split(self, spec: Spec) -> bool:
        return self._config.configuration(spec.config).kind == SPLIT

    def _missing(self, spec: Spec) -> int:
        warmups, inferences = self._folder.done(spec.id, self._retry_before)
        missing = self._config.inferences - len(inferences)
        return missing + self._config.warmup if missing else self._config.warmup - len(warmups)

    def _meet_server(self) -> None:
        options = self._options
        if options.server is None:
            self._server = self._start_server()
        with Client(self._endpoint(), options.timeout_s) as client:
            about = describe_server(client, self._document, self._server is not None)
        self._document["server"] = about
        self._document["same_machine"] = self._document["same_machine"] or about["same_machine"]

    def _start_server(self) -> OwnServer:
        options = self._options
        self._server_starts += 1
        backend, log = self._config.server_backend, self._folder.file(SERVER_LOG)
        return OwnServer(options.bundles, options.target, backend, options.threads, log)

    def _endpoint(self) -> Endpoint:
        if self._server is not None:
            return self._server.endpoint
        options = self._options
        token = read_token(options.token_file)
        return Endpoint(str(options.server), token, options.certificate, options.fingerprint)

    def _run_block(self, spec: Spec, progress: Progress) -> None:
        progress.block("%s on %s" % (spec.config, spec.backend))
        split = self._is_split(spec)
        if split and self._server is not None and not self._server.running():
            self._restart_server(self._server, progress)
        deaths = stuck = 0
        missing = self._missing(spec)
        while missing:
            ended, board_peak = self._run_process(spec, split, progress)
            self._record_memory(spec, ended, board_peak)
            if ended.died is None:
                return
            deaths += 1
            before, missing = missing, self._missing(spec)
            stuck = stuck + 1 if missing == before else 0
            progress.note("%s: %s" % (spec.id, ended.died))
            if deaths >= MAX_DEATHS or stuck >= 2:
                self._give_up(spec, ended.died, everything=deaths >= MAX_DEATHS)
                missing = self._missing(spec)

    def _run_process(
        self, spec: Spec, split: bool, progress: Progress
    ) -> Tuple[Ended, Optional[int]]:
        options = self._options
        arguments = [
            "--run", self._folder.path, "--block", spec.id,
            "--bundles", options.bundles, "--target", options.target,
            "--timeout", str(options.timeout_s), "--retry-before", str(self._retry_before),
        ]  # fmt: skip
        arguments += ["--threads", str(options.threads)] if options.threads else []
        with self._power(spec), BoardMeter() as meter:
            ended = run_block(
                arguments,
                self._endpoint() if split else None,
                options.token_file,
                self._folder.lock_number(),
                self._folder.file(BLOCK_LOG),
                lambda sample: progress.advance(),
            )
        return ended, meter.peak_bytes

    @contextmanager
    def _power(self, spec: Spec) -> Iterator[None]:
        """Trace the board's power, where it has a sensor and runs no server beside."""
        if self._document["same_machine"]:
            self._no_power(["the server runs on the same machine"])
            yield
            return

        def window(name: str, start_s: float, end_s: float) -> None:
            row = Window(name, spec.config, spec.backend, spec.id, start_s, end_s)
            with self._folder.windows() as windows:
                windows.append(dict(row._asdict()))

        target = self._document["targets"]["board"]
        sensors = {"sysfs": self._options.sysfs, "driver": self._options.driver}
        with BlockPower(self._folder.path, spec.id, target, window, sampling=sensors) as power:
            yield
        self._no_power(power.why_not)

    def _no_power(self, why_not: List[str]) -> None:
        """Keep the reasons in run.json; tell them once."""
        known = (self._document["power"] or {"why_not": []})["why_not"]
        self._document["power"] = {"why_not": known + [w for w in why_not if w not in known]}
        if why_not and not self._told_why_no_power:
            self._told_why_no_power = True
            note("no energy: %s" % "; ".join(why_not))

    def _restart_server(self, server: OwnServer, progress: Progress) -> None:
        if self._server_starts >= MAX_SERVER_STARTS:
            return
        self._server_starts += 1
        progress.note("the server has ended: starting it again")
        try:
            server.start()
        except ServerError as error:
            progress.note(str(error))

    def _record_memory(self, spec: Spec, ended: Ended, board_peak: Optional[int]) -> None:
        alone = not self._document["same_machine"]
        record = {
            "config": spec.config,
            "backend": spec.backend,
            "block": spec.id,
            "process_peak_bytes": ended.process_peak_bytes,
            "board_peak_bytes": board_peak if alone else None,
            "source": SOURCE_PROCESS + ("; " + SOURCE_BOARD if alone else ""),
        }
        with self._folder.memory() as memory:
            memory.append(record)

    def _give_up(self, spec: Spec, reason: str, everything: bool) -> None:
        """Record as failed what a block's process would not survive: the next sample, or all."""
        warmups, inferences = self._folder.done(spec.id, self._retry_before)
        missing = [(True, k) for k in range(self._config.warmup) if k not in warmups]
        missing += [(False, k) for k in range(self._config.inferences) if k not in inferences]
        images = [row["file"] for row in self._document["images"]]
        with self._folder.samples() as samples:
            for warmup, k in missing if everything else missing[:1]:
                repeat = 0 if warmup else spec.repeat
                image = images[image_of(k, repeat, self._config.inferences, len(images))]
                samples.append(
                    failed_record(
                        spec, k, warmup, image, time.monotonic(), reason=reason, failed_by="process"
                    )
                )

    def _result(self) -> Result:
        run = read_run(self._folder.path)
        again = [s for s in run.samples if not s.ok and s.failed_by != "image"]
        failed = [s for s in run.samples if not s.ok and s.failed_by == "image"]
        ok = sum(1 for s in run.samples if s.ok)
        reason = again[-1].reason if again else None
        return Result(self._folder.path, ok, len(failed), len(again), reason)
