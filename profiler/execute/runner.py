"""The runner: one process per block, in order, with what goes wrong kept in the records."""

import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.analyse.network_notes import measured_links, network_notes
from splitwatt.profiler.board.gpu_memory import GpuMemory
from splitwatt.profiler.board.memory import SOURCE_BOARD, SOURCE_PROCESS, BoardMeter, larger
from splitwatt.profiler.board.probe import BoardProbe
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.tokens import read_token
from splitwatt.profiler.config.config import SPLIT, Config, from_document
from splitwatt.profiler.config.steady import WarmUp
from splitwatt.profiler.execute.block.recording import Recorder, Spec
from splitwatt.profiler.execute.block_process import Ended, run_block
from splitwatt.profiler.execute.own_server import OwnServer, check_python
from splitwatt.profiler.execute.plan import plan_again
from splitwatt.profiler.execute.power import BlockPower
from splitwatt.profiler.execute.prepare import (
    Options,
    check_resumable,
    describe_server,
    needs_server,
    new_document,
    wall,
)
from splitwatt.profiler.execute.progress import Progress, open_progress
from splitwatt.profiler.execute.stage_plan import StageSpec
from splitwatt.profiler.execute.stage_runner import Around, run_stage_blocks, stages_left
from splitwatt.profiler.execute.work import Done, Left, left
from splitwatt.profiler.links.link import SHAPED
from splitwatt.profiler.links.shaped import Shaped
from splitwatt.profiler.records.appending import Syncer
from splitwatt.profiler.records.blocks import throttled_blocks
from splitwatt.profiler.records.digests import digests
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import SAMPLES_FILE, Window, read_run
from splitwatt.profiler.records.sessions import other_conditions, resume_row, session_of

AnySpec = Union[Spec, StageSpec]

SERVER_LOG = "server.log"
BLOCK_LOG = "blocks.log"
# A block's process that dies is started again; after so many deaths the rest of it has failed.
MAX_DEATHS = 4
MAX_SERVER_STARTS = 4
# Before a block runs again because the board throttled, the board may cool down for so long, s.
COOL_DOWN_S = 60.0


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
        sensors = {"sysfs": options.sysfs, "driver": options.driver}
        document["resumed"].append(resume_row(wall(), sensors))
        document["finished_wall"] = document["files"] = None
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
        self._blocks = [Spec.of(row) for row in document["blocks"]]
        self._images = [row["file"] for row in document["images"]]
        self._given_up: Set[str] = set()
        self._server: Optional[OwnServer] = None
        self._server_starts = 0
        self._number = session_of(document)
        self._met = False
        self._told_why_no_power = False
        self._shaped: Optional[Shaped] = None

    def run(self) -> Result:
        """Run every block that is not done, then once more those that the board throttled in."""
        done = self._folder.all_done(self._retry_before)
        todo = {spec: self._left(spec, done.get(spec.id)) for spec in self._blocks}
        todo = {spec: work for spec, work in todo.items() if work}
        try:
            if any(self._is_split(spec) for spec in todo):
                self._meet_server()
            self._folder.write_document(self._document)
            self._tell_of_conditions()
            expected = sum(work.samples(self._config) for work in todo.values())
            with open_progress(expected) as progress, Syncer(self._folder.file(SAMPLES_FILE)):
                for spec in todo:
                    self._run_block(spec, progress)
                self._run_throttled(progress)
            self._run_stage_blocks()
        finally:
            if self._server is not None:
                self._server.close()
            if self._shaped is not None:
                self._shaped.close()
        self._document["finished_wall"] = wall()
        self._document["files"] = digests(self._folder.path)
        self._folder.write_document(self._document)
        return self._result()

    def _tell_of_conditions(self) -> None:
        if self._number:
            differing = other_conditions(self._document, self._document["resumed"][-1])
            if differing:
                note("this resume goes on under other conditions: %s" % "; ".join(differing))

    def _is_split(self, spec: AnySpec) -> bool:
        return self._config.configuration(spec.config).kind == SPLIT

    def _left(self, spec: Spec, done: Optional[Done] = None) -> Left:
        if done is None:
            done = self._folder.done(spec.id, self._retry_before)
        if spec.id in self._given_up:
            done = done._replace(throughput=True)
        return left(self._config, done, len(self._images))

    def _run_throttled(self, progress: Progress) -> None:
        """Blocks that the board throttled in run again, a bounded number of times."""
        for _ in range(self._config.throttled_again):
            hot = throttled_blocks(read_run(self._folder.path).samples)
            more = plan_again(self._config, self._blocks, hot)
            if not more:
                return
            if any(self._is_split(spec) for spec in more):
                self._meet_server()
            self._blocks += more
            self._document["blocks"] = [dict(spec._asdict()) for spec in self._blocks]
            self._folder.write_document(self._document)
            for spec in more:
                progress.note("%s: the board throttled, it runs again" % spec.id.split(".again")[0])
                progress.extend(self._left(spec).samples(self._config))
            for spec in more:
                self._cool_down(progress)
                self._run_block(spec, progress)

    def _run_stage_blocks(self) -> None:
        """Blocks of single stages, for their joules, where the config asks for them."""
        stages = stages_left(self._config, self._folder, self._document["bundles"])
        if any(self._is_split(one.spec) for one in stages):
            self._meet_server()
        around = Around(self._endpoint, self._power, self._prefix)
        run_stage_blocks(stages, self._config, self._folder, self._options, around)

    def _cool_down(self, progress: Progress) -> None:
        until = time.monotonic() + COOL_DOWN_S
        with BoardProbe(self._options.sysfs) as probe:
            if probe.hot():
                progress.note("waiting until the board has cooled down")
            while probe.hot() and time.monotonic() < until:
                time.sleep(1.0)

    def _meet_server(self) -> None:
        """Make the link and meet the server, once a session; run.json has both from then on."""
        if self._met:
            return
        options = self._options
        for link in measured_links(self._config):
            if link.kind == SHAPED:
                self._shaped = Shaped(link)
                self._document["link"] = self._shaped.record
                note(self._shaped.sentence)
        if options.server is None:
            self._server = self._start_server()
        with Client(self._endpoint(), options.timeout_s) as client:
            about = describe_server(client, self._document, self._server is not None)
        if "name" not in (self._document["server"] or {}):
            self._document["server"] = about  # until now it was only asked for
        if self._number:
            self._document["resumed"][-1]["server"] = about
        self._document["same_machine"] = self._document["same_machine"] or about["same_machine"]
        self._folder.write_document(self._document)
        self._met = True

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
        work = self._left(spec)
        while work:
            ended, meter = self._run_process(spec, split, progress)
            self._record_memory(spec, ended, meter)
            self._tell_of_network(progress)
            if ended.died is None:
                return
            self._folder.mend()
            deaths += 1
            before, work = work, self._left(spec)
            stuck = stuck + 1 if work == before else 0
            progress.note("%s: %s" % (spec.id, ended.died))
            if deaths >= MAX_DEATHS or stuck >= 2:
                self._give_up(spec, ended.died, everything=deaths >= MAX_DEATHS)
                work = self._left(spec)

    def _run_process(self, spec: Spec, split: bool, progress: Progress) -> Tuple[Ended, BoardMeter]:
        options = self._options

        def heard(told: Dict[str, int]) -> None:
            progress.extend(told.get("more", 0))
            progress.advance(told.get("done", 0))

        arguments = [
            "--run", self._folder.path, "--block", spec.id,
            "--bundles", options.bundles, "--target", options.target,
            "--timeout", str(options.timeout_s), "--retry-before", str(self._retry_before),
            "--sysfs", options.sysfs,
        ]  # fmt: skip
        arguments += ["--threads", str(options.threads)] if options.threads else []
        gpu = GpuMemory(sysfs=options.sysfs)
        with self._power(spec), BoardMeter(gpu=gpu) as meter:
            ended = run_block(
                arguments,
                self._endpoint() if split else None,
                options.token_file,
                self._folder.lock_number(),
                self._folder.file(BLOCK_LOG),
                heard,
                meter.watch,
                prefix=self._prefix(split),
            )
        return ended, meter

    def _prefix(self, split: bool) -> Sequence[str]:
        """What goes before the command of a block, to have it use the shaped link."""
        if self._shaped is None or not split:
            return ()
        self._shaped.lead_to(self._endpoint().url)
        return self._shaped.prefix

    @contextmanager
    def _power(self, spec: AnySpec) -> Iterator[Optional[BlockPower]]:
        """Trace the power of board and server, where they have sensors and are two machines.

        What it gives is None where nothing is traced.
        """
        if self._document["same_machine"]:
            self._no_power(["the server runs on the same machine"], [])
            yield None
            return

        def window(name: str, start_s: float, end_s: float) -> None:
            row = Window(name, spec.config, spec.backend, spec.id, start_s, end_s, self._number)
            with self._folder.windows() as windows:
                windows.append(dict(row._asdict()))

        target = self._document["targets"]["board"]
        sensors = {"sysfs": self._options.sysfs, "driver": self._options.driver}
        with BlockPower(
            self._folder.path,
            spec.id,
            target,
            window,
            sampling=sensors,
            server=self._endpoint() if self._is_split(spec) else None,
            timeout_s=self._options.timeout_s,
            session=self._number,
        ) as power:
            yield power if power.sampled else None
        self._no_power(power.why_not, power.server_why_not)

    def _tell_of_network(self, progress: Progress) -> None:
        """Keep what is odd about the network in run.json; tell it once."""
        known = self._document.setdefault("network_notes", [])
        for sentence in network_notes(self._folder.path, self._document, self._config):
            if sentence not in known:
                known.append(sentence)
                progress.note(sentence)

    def _no_power(self, why_not: List[str], server_why_not: List[str]) -> None:
        """Keep the reasons in run.json; tell the board's once."""
        known = self._document["power"] or {}
        for key, reasons in (("why_not", why_not), ("server_why_not", server_why_not)):
            before = known.get(key, [])
            known[key] = before + [reason for reason in reasons if reason not in before]
        self._document["power"] = known
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

    def _record_memory(self, spec: Spec, ended: Ended, meter: BoardMeter) -> None:
        alone = not self._document["same_machine"]
        sources = [SOURCE_PROCESS] + ([SOURCE_BOARD] if alone else [])
        sources += ["GPU: %s" % meter.source] if meter.source else []
        record = {
            "config": spec.config,
            "backend": spec.backend,
            "block": spec.id,
            "process_peak_bytes": larger(ended.process_peak_bytes, meter.process_peak_bytes),
            "board_peak_bytes": meter.peak_bytes if alone else None,
            "gpu_process_peak_bytes": meter.gpu_process_peak_bytes,
            "gpu_peak_bytes": meter.gpu_peak_bytes if alone else None,
            "source": "; ".join(sources),
        }
        with self._folder.memory() as memory:
            memory.append(record)

    def _give_up(self, spec: Spec, reason: str, everything: bool) -> None:
        """Record as failed what a block's process would not survive: the next sample, or all."""
        config, images = self._config, self._images
        warm = WarmUp(config.warmup, config.warmup_until, len(images))
        recorder = Recorder(config, spec, images, warm.images, self._number)
        while True:
            work = self._left(spec)
            missing = [(True, k) for k in work.warmups] + [(False, k) for k in work.inferences]
            if not missing:
                break
            with self._folder.samples() as samples:
                for warmup, k in missing if everything else missing[:1]:
                    samples.append(recorder.failed(k, warmup, time.monotonic(), reason))
            if not everything:
                return
        self._given_up.add(spec.id)  # what is left is its throughput

    def _result(self) -> Result:
        run = read_run(self._folder.path)
        again = [s for s in run.samples if not s.ok and s.failed_by != "image"]
        failed = [s for s in run.samples if not s.ok and s.failed_by == "image"]
        ok = sum(1 for s in run.samples if s.ok)
        reason = again[-1].reason if again else None
        return Result(self._folder.path, ok, len(failed), len(again), reason)
