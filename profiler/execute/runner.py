"""The runner: one process per block, in order, with what goes wrong kept in the records."""

import os
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence, Set, Tuple

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import RunError, ServerError
from splitwatt.device_configs.progress import Progress
from splitwatt.profiler.analyse.carried import service_of
from splitwatt.profiler.analyse.conditions import measured_links, network_notes, other_conditions
from splitwatt.profiler.board.memory import BoardMeter
from splitwatt.profiler.board.probe import BoardProbe
from splitwatt.profiler.board.quota import QuotaGroup
from splitwatt.profiler.capacity.search import encoded, first_guess, replay, search
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.config.bundles import open_bundles
from splitwatt.profiler.config.config import SPLIT, Config, from_document
from splitwatt.profiler.execute.block.recording import Recorder
from splitwatt.profiler.execute.job import Job, Options, endpoint_of, run_block
from splitwatt.profiler.execute.own_server import OwnServer, check_python
from splitwatt.profiler.execute.plan import plan_again
from splitwatt.profiler.execute.power import BlockPower
from splitwatt.profiler.execute.prepare import (
    check_resumable,
    describe_server,
    needs_server,
    new_document,
    resume_row,
    wall,
)
from splitwatt.profiler.execute.work import (
    Left,
    Recorded,
    lacking,
    lacking_stages,
    left,
    stages_left,
)
from splitwatt.profiler.links.link import SHAPED
from splitwatt.profiler.links.shaped import Shaped
from splitwatt.profiler.records.appending import synced
from splitwatt.profiler.records.blocks import Block, Carried, throttled_blocks
from splitwatt.profiler.records.document import digests, session_of
from splitwatt.profiler.records.fields import parse
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import BOARDS_FILE, MEMORY_FILE, SAMPLES_FILE, Run, read_run
from splitwatt.profiler.records.sample import BY_IMAGE

SERVER_LOG = "server.log"
BLOCK_LOG = "blocks.log"
STAGES_LOG = "stages.log"
# A block's process that dies is started again; after this many deaths its remaining samples count
# as failed.
MAX_DEATHS = 4
MAX_SERVER_STARTS = 4
# The longest time for the board to cool down before a throttled block runs again, s.
COOL_DOWN_S = 60.0
# In one session, blocks with missing records are measured again at most this many times.
MAX_REPAIRS = 3
# About the time to open the models and measure idle power, s; for the estimate of the time left.
_AROUND_S = 8.0


class Result(NamedTuple):
    """How a session of a run ended: its samples that gave an answer (warm-up included), that failed because
    of their image, and that failed otherwise, which a resume runs again, with the last such reason.
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
    if needs_server(config):
        if options.server is None:
            check_python()
        else:  # before there is a folder, which would refuse the next try
            with Client(endpoint_of(options), options.timeout_s) as client:
                describe_server(client, document, False)
    with _quota(options) as quota, RunFolder.create(path, document) as folder:
        return _Session(folder, document, options, quota).run()


def resume_run(path: str, options: Options, config: Optional[Config] = None) -> Result:
    """Finish a run that was cut off, and run again what failed through no fault of its image.

    Raises:
        RunError: it is not a run, another process writes to it, or config, bundles or images differ.
        SplitwattError: as `start_run`.
    """
    document = read_run(path).document  # nothing is changed in a folder that no reader would take
    if document["deployed"]:
        raise RunError("%s was written by 'splitwatt run', which has nothing to resume" % path)
    with _quota(options) as quota, RunFolder.reopen(path) as folder:
        document = folder.document()
        check_resumable(document, options, config)
        document.setdefault("resumed", []).append(resume_row(options))
        document["finished_wall"] = document["files"] = None
        return _Session(folder, document, options, quota).run()


@contextmanager
def _quota(options: Options) -> Iterator[Optional[QuotaGroup]]:
    """The control group of the board's processes; None where their processor time has no limit."""
    if options.board_quota is None:
        yield None
        return
    with QuotaGroup(options.board_quota, options.threads) as group:
        if group.deviates:
            note(group.deviates)
        yield group


class _Session:
    """One process's work on a run: from its start, or from a resume, to the end."""

    def __init__(
        self,
        folder: RunFolder,
        document: Dict[str, Any],
        options: Options,
        quota: Optional[QuotaGroup],
    ) -> None:
        self._folder = folder
        self._document = document
        self._options = options
        self._quota = quota
        if quota is not None:
            session = document["resumed"][-1] if document["resumed"] else document
            session["quota"] = quota.record
        self._config = from_document(document["config"], "run.json")
        self._blocks = [parse(Block, row, "run.json") for row in document["blocks"]]
        self._images = [row["file"] for row in document["images"]]
        self._recorded = Recorded(folder.path)
        self._given_up: Set[str] = set()
        self._server: Optional[OwnServer] = None
        self._server_starts = 0
        self._number = session_of(document)
        self._met = False
        self._told_why_no_power = False
        self._shaped: Optional[Shaped] = None

    def run(self) -> Result:
        """Run every block that is not done, then once more those that the board throttled in or
        whose records are not all there.
        """
        todo = [block for block in self._blocks if self._left(block)]
        try:
            if any(self._is_split(block) for block in todo):
                self._meet_server()
            self._folder.write_document(self._document)
            if self._number:
                differing = other_conditions(self._document, self._document["resumed"][-1])
                if differing:
                    note("this resume goes on under other conditions: %s" % "; ".join(differing))
            expected = sum(self._left(block).samples(self._config) for block in todo)
            with Progress(expected, "samples") as progress, synced(self._folder.file(SAMPLES_FILE)):
                for block in todo:
                    self._run_block(block, progress)
                self._run_again(progress)
            self._run_stage_blocks()
            self._replay_boards()
        finally:
            for part in (self._server, self._shaped):
                if part is not None:
                    part.close()
            self._folder.clean()
        return self._end()

    def _end(self) -> Result:
        run = read_run(self._folder.path)
        known = self._document.setdefault("network_notes", [])
        for sentence in network_notes(self._document, self._config, run.clock, run.rates):
            if sentence not in known:
                known.append(sentence)
                note(sentence)
        if self._quota is not None:
            self._quota.update()
        self._document["finished_wall"] = wall()
        self._document["files"] = digests(self._folder.path)
        self._folder.write_document(self._document)
        again = run.samples.where(lambda sample: not sample.settled)
        failed = len(run.samples.where(lambda sample: sample.failed_by == BY_IMAGE))
        ok = len(run.samples.where(lambda sample: sample.ok))
        return Result(run.path, ok, failed, len(again), again[-1].reason if again else None)

    def _is_split(self, block: Block) -> bool:
        return self._config.configuration(block.config).kind == SPLIT

    def _left(self, block: Block) -> Left:
        done = self._recorded.done(block.id)
        if block.id in self._given_up:
            done = done._replace(throughput=True)
        return left(self._config, done, len(self._images))

    def _run_again(self, progress: Progress) -> None:
        """Blocks that the board throttled in run again, a bounded number of times; then those whose
        records a kill left incomplete.
        """
        for reasons_of, most in (
            (self._throttled, self._config.throttled_again), (lacking, MAX_REPAIRS)
        ):  # fmt: skip
            for _ in range(most):
                reasons = reasons_of(read_run(self._folder.path))
                more = plan_again(self._config, self._blocks, reasons)
                if not more:
                    break
                for id, reason in reasons.items() if reasons_of is lacking else ():
                    self._note_repeated(id, reason)
                if any(self._is_split(block) for block in more):
                    self._meet_server()
                self._blocks += more
                self._document["blocks"] = [dict(block._asdict()) for block in self._blocks]
                self._folder.write_document(self._document)
                progress.extend(sum(self._left(block).samples(self._config) for block in more))
                for block in more:
                    if reasons_of is not lacking:
                        first = block.id.split(".again")[0]
                        progress.note("%s: the board throttled, it runs again" % first)
                        self._cool_down(progress)
                    self._run_block(block, progress)

    def _throttled(self, run: Run) -> Dict[str, str]:
        hot, most = throttled_blocks(run.samples), self._config.throttled_again
        able = [block.id for block in self._blocks if block.id in hot and block.again < most]
        return dict.fromkeys(able, "the board throttled")

    def _note_repeated(self, id: str, reason: str) -> None:
        note("%s: %s, it is measured again" % (id, reason))
        if self._number:
            self._document["resumed"][-1].setdefault("repeated", {})[id] = reason

    def _run_stage_blocks(self) -> None:
        """Blocks that repeat single stages, after all others, where power is sampled. One that dies
        is left as it is, for a resume.
        """
        run = read_run(self._folder.path)
        work = []
        for block, done, missing in stages_left(self._config, run.bundles, run.stages):
            reason = None if missing else lacking_stages(run, block.id)
            if reason is not None:
                self._note_repeated(block.id, reason)
                done, missing = set(), len(done)
            if missing:
                work.append((block, done, missing))
        if any(self._is_split(block) for block, _, _ in work):
            self._meet_server()
        each_s = [_AROUND_S + count * (self._config.stage_energy_s or 0.0) for _, _, count in work]
        for i, (block, done, _) in enumerate(work):
            minutes = sum(each_s[i:]) / 60
            left_s = "%d s" % (60 * minutes) if minutes < 1.5 else "%d min" % round(minutes)
            note("stages of %s on %s, about %s left" % (block.config, block.backend, left_s))
            with self._power(block) as power:
                if not power.sampled:
                    note("no stage is repeated: nothing samples the power")
                    return
                died, _ = self._run_job(
                    self._job(block)._replace(stages=sorted(done)), STAGES_LOG,
                    lambda message: None, lambda process: None,
                )  # fmt: skip
            if died is not None:
                self._folder.mend()
                note("%s: %s" % (block.id, died))

    def _replay_boards(self) -> None:
        """For each split configuration, find how many boards the server carries, where that is asked."""
        asked, options = self._options.boards, self._options
        if asked is None:
            return
        self._meet_server()
        bundles = open_bundles(self._config, options.bundles, options.target)
        images = [os.path.join(self._document["images_folder"], name) for name in self._images]
        reached = self._reaching()
        server = {"url": reached.server, "certificate": reached.certificate,
                  "token_file": reached.token_file, "fingerprint": reached.fingerprint}  # fmt: skip
        split = {block.config: block for block in reversed(self._blocks) if self._is_split(block)}
        for config in reversed(list(split)):
            block = split[config]
            models = [bundles[name].bundle for name in self._config.configuration(config).models]
            frames = encoded(models, block.backend, images)
            names = {"config": config, "block": block.id, "session": self._number}
            service = service_of(read_run(self._folder.path), config)

            def measure(boards: int) -> Carried:
                row = replay(asked, boards, frames, server, names)  # noqa: B023
                self._folder.append(BOARDS_FILE, row)
                return row

            search(asked, first_guess(asked, service), measure)

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
            # Under a quota, the threads are those of a small board: its server has no such limit.
            threads = options.threads if options.board_quota is None else None
            backend, log = self._config.server_backend, self._folder.file(SERVER_LOG)
            self._server_starts += 1
            self._server = OwnServer(options.bundles, options.target, backend, threads, log)
        with Client(self._endpoint(), options.timeout_s) as client:
            about = describe_server(client, self._document, self._server is not None)
        if "name" not in (self._document["server"] or {}):
            self._document["server"] = about  # until now it was only asked for
        if self._number:
            self._document["resumed"][-1]["server"] = about
        self._document["same_machine"] = self._document["same_machine"] or about["same_machine"]
        self._folder.write_document(self._document)
        self._met = True

    def _reaching(self, split: bool = True) -> Options:
        """The options, with the server of a block that uses one."""
        if split and self._server is None:
            return self._options
        url = self._server.endpoint.url if self._server is not None and split else None
        return self._options._replace(
            server=url, token_file=None, certificate=None, fingerprint=None
        )

    def _endpoint(self) -> Endpoint:
        return endpoint_of(self._reaching())

    def _run_block(self, block: Block, progress: Progress) -> None:
        progress.begin("%s on %s" % (block.config, block.backend))
        split = self._is_split(block)
        if split and self._server is not None and not self._server.running():
            self._start_again(self._server, progress)
        deaths = stuck = 0
        work = self._left(block)
        while work:
            died = self._run_process(block, progress)
            if died is None:
                return
            self._folder.mend()
            self._recorded.update()
            deaths += 1
            before, work = work, self._left(block)
            stuck = stuck + 1 if work == before else 0
            progress.note("%s: %s" % (block.id, died))
            if deaths >= MAX_DEATHS or stuck >= 2:
                self._give_up(block, died, everything=deaths >= MAX_DEATHS)
                work = self._left(block)

    def _run_process(self, block: Block, progress: Progress) -> Optional[str]:
        def heard(said: Dict[str, int]) -> None:
            progress.extend(said.get("more", 0))
            progress.advance(said.get("done", 0))

        done = self._recorded.done(block.id)
        with self._power(block), BoardMeter() as meter:
            job = self._job(block)._replace(
                warmups=sorted(done.warmups),
                inferences=done.inferences,
                throughput=done.throughput,
            )
            died, peak_bytes = self._run_job(job, BLOCK_LOG, heard, meter.watch)
        alone = not self._document["same_machine"]
        self._folder.append(MEMORY_FILE, meter.record(block, alone, peak_bytes))
        return died

    def _job(self, block: Block) -> Job:
        options = self._reaching(self._is_split(block))._replace(boards=None)
        quota = self._quota.folder if self._quota else None
        row = dict(block._asdict())
        return Job(self._folder.path, row, os.getpid(), dict(options._asdict()), quota)

    def _run_job(
        self, job: Job, log: str, heard: Any, started: Any
    ) -> Tuple[Optional[str], Optional[int]]:
        lock = self._folder.lock_number()
        prefix: Sequence[str] = ()
        if self._shaped is not None and job.options["server"] is not None:
            self._shaped.lead_to(job.options["server"])
            prefix = self._shaped.prefix
        return run_block(job, lock, self._folder.file(log), heard, started, prefix)

    @contextmanager
    def _power(self, block: Block) -> Iterator[BlockPower]:
        """Trace the power of board and server, where they have sensors and are two machines."""
        options, shared = self._options, self._document["same_machine"]
        with BlockPower(
            self._folder,
            block,
            self._document["targets"]["board"],
            self._number,
            sampling={"sysfs": options.sysfs, "driver": options.driver},
            server=self._endpoint() if self._is_split(block) else None,
            timeout_s=options.timeout_s,
            unless="the server runs on the same machine" if shared else None,
        ) as power:
            self._keep_why_no_power(power)
            yield power
        self._keep_why_no_power(power)

    def _keep_why_no_power(self, power: BlockPower) -> None:
        self._document["power"] = power.reasons(self._document["power"])
        if power.why_not and not self._told_why_no_power:
            self._told_why_no_power = True
            note("no energy: %s" % "; ".join(power.why_not))

    def _start_again(self, server: OwnServer, progress: Progress) -> None:
        if self._server_starts >= MAX_SERVER_STARTS:
            return
        self._server_starts += 1
        progress.note("the server has ended: starting it again")
        try:
            server.start()
        except ServerError as error:
            progress.note(str(error))

    def _give_up(self, block: Block, reason: str, everything: bool) -> None:
        """Record as failed what the block's process does not survive: the next sample, or all."""
        recorder = Recorder(self._config, block, self._images, self._number)
        while True:
            work = self._left(block)
            missing = [(True, k) for k in work.warmups] + [(False, k) for k in work.inferences]
            if not missing:
                break
            with self._folder.appender(SAMPLES_FILE) as samples:
                for warmup, k in missing if everything else missing[:1]:
                    samples.append(recorder.failed(k, warmup, time.monotonic(), reason))
            self._recorded.update()
            if not everything:
                return
        self._given_up.add(block.id)  # what is left is its throughput
