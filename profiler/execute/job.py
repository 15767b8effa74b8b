"""A block's process: what the runner gives it to do, what it says while it works, and how it ends.

The job is a JSON file in the run folder. The process answers on standard output, one JSON document a
line.
"""

import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import open_to_write, write_atomic
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.profiler.board.quota import join
from splitwatt.profiler.capacity.search import Asked
from splitwatt.profiler.client.connection import Endpoint, read_token
from splitwatt.profiler.config.config import Config, from_document
from splitwatt.profiler.links.process import die_with_parent, start_module
from splitwatt.profiler.links.way import way_of
from splitwatt.profiler.records.blocks import Block
from splitwatt.profiler.records.document import session_of
from splitwatt.profiler.records.folder import JOB_FILE, RunFolder
from splitwatt.profiler.records.reading import read_bytes

_MODULE = "profiler.execute.block.block"
FATAL_EXIT = 3
# Where nothing listens: a block without a server never asks.
NOWHERE = "http://127.0.0.1:9"
_LIMIT_BYTES = 64 << 20
# Samples are announced together: a line wakes the runner, which has a bar to draw.
_EVERY_S = 0.25
SYSFS = "/sys"


class Options(NamedTuple):
    """What the command line adds to a config.

    Attributes:
        bundles: the folder of bundles.
        target: the machine that the board's parts were exported for.
        threads: threads per inference on the board; None: the backend's choice.
        server: URL of a running server; None starts one here.
        token_file, certificate, fingerprint: what it takes to talk to that server, or None.
        timeout_s: of one request.
        sysfs: the tree in which power sensors are looked for.
        driver: use only this driver for power; None: those of the target.
        board_quota: the share of the processors that the board's process gets; None: all.
        boards: whose frames are replayed against the server after all blocks; None: no boards.
    """

    bundles: str
    target: str
    threads: Optional[int] = None
    server: Optional[str] = None
    token_file: Optional[str] = None
    certificate: Optional[str] = None
    fingerprint: Optional[str] = None
    timeout_s: float = 60.0
    sysfs: str = SYSFS
    driver: Optional[str] = None
    board_quota: Optional[float] = None
    boards: Optional[Asked] = None


class Job(NamedTuple):
    """What a block's process is to do.

    Attributes:
        run: the run folder.
        block: a row of `splitwatt.profiler.records.blocks.Block`.
        parent: process id of the runner, with which the process ends.
        options: `Options` without its boards; its server is None for a block without one.
        quota: folder of the control group that the process joins; None: no CPU quota.
        warmups: which are recorded.
        inferences: which are recorded -> total_s, None where it failed.
        throughput: whether it is recorded.
        stages: which are recorded, of a block that repeats stages.
    """

    run: str
    block: Dict[str, Any]
    parent: int
    options: Dict[str, Any]
    quota: Optional[str] = None
    warmups: List[int] = []
    inferences: Dict[int, Optional[float]] = {}
    throughput: bool = False
    stages: List[str] = []

    def write(self) -> str:
        """Put it where `read_job` finds it; the path."""
        path = os.path.join(self.run, JOB_FILE)
        write_atomic(path, json.dumps(self._asdict()))
        return path


def read_job(path: str) -> Job:
    """The job that the runner wrote.

    Raises:
        RunError: it cannot be read.
    """
    document = parse_json(read_bytes(path, _LIMIT_BYTES), path, RunError)
    try:
        job = Job(**document)
        return job._replace(inferences={int(k): v for k, v in job.inferences.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError("%s is not a job of this version: %s" % (path, error))


class Begun(NamedTuple):
    """What a block's process works with: its job, and what that names.

    The endpoint is the server's, over the run's shaped link where it has one.
    """

    job: Job
    folder: RunFolder
    document: Dict[str, Any]
    options: Options
    config: Config
    block: Block
    images: List[str]
    endpoint: Endpoint
    session: int


def run_job(path: str, work: Callable[[Begun], None]) -> int:
    """Do a block's work; exit code 0, or 3 where the run cannot go on."""
    try:
        job = read_job(path)
        die_with_parent(job.parent)
        if job.quota is not None:
            join(job.quota)
        work(_begun(job))
    except SplitwattError as error:
        say({"fatal": error.message, "remedy": error.remedy})
        return FATAL_EXIT
    except KeyboardInterrupt:
        return 130
    return 0


def _begun(job: Job) -> Begun:
    folder, options = RunFolder(job.run), Options(**job.options)
    document = folder.document()
    images = [os.path.join(document["images_folder"], row["file"]) for row in document["images"]]
    endpoint = endpoint_of(options._replace(server=options.server or NOWHERE))
    endpoint = endpoint._replace(way=way_of(document.get("link")))
    config, block = from_document(document["config"], "run.json"), Block(**job.block)
    session = session_of(document)
    return Begun(job, folder, document, options, config, block, images, endpoint, session)


def endpoint_of(options: Options) -> Endpoint:
    """The running server that the options name.

    Raises:
        UsageError: its token cannot be read.
    """
    token = read_token(options.token_file)
    return Endpoint(str(options.server), token, options.certificate, options.fingerprint)


class Teller:
    """Counts samples and announces them four times a second."""

    def __init__(self) -> None:
        self._done = 0
        self._last_s = time.monotonic()

    def done(self) -> None:
        """One more sample is recorded."""
        self._done += 1
        if time.monotonic() - self._last_s > _EVERY_S:
            self.flush()

    def more(self, count: int) -> None:
        """So many samples more than expected are to come."""
        if count:
            self.flush()
            say({"more": count})

    def flush(self) -> None:
        """Announce what has not been announced."""
        self._last_s = time.monotonic()
        if self._done:
            say({"done": self._done})
            self._done = 0


def say(document: Dict[str, Any]) -> None:
    """Write a line that the runner reads."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def run_block(
    job: Job,
    lock: int,
    log: str,
    heard: Callable[[Dict[str, Any]], None],
    started: Callable[[int], None],
    prefix: Sequence[str] = (),
) -> Tuple[Optional[str], Optional[int]]:
    """Run a block's process to its end.

    Args:
        job: what it is to do.
        lock: descriptor of the run's lock, which the process holds too.
        log: the file that its messages are appended to.
        heard: called with what it says of its progress: samples `done`, or `more` to come.
        started: called with its process id.
        prefix: goes before the command, to run it elsewhere, as on a shaped link.

    Returns:
        Why it ended early, in words; None where it did its work. Its largest resident memory, in
        bytes; None where it did not say.

    Raises:
        SplitwattError: an error that stops the run, such as a full disk.
    """
    last: Dict[str, Any] = {}
    path = job.write()
    with open_to_write(log) as errors:
        process = start_module(_MODULE, [path, job.block["id"]], errors, lock, prefix)
        started(process.pid)
        try:
            assert process.stdout is not None  # for the type checker
            for line in process.stdout:
                last = _document(line)
                if "done" in last or "more" in last:
                    heard(last)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code == FATAL_EXIT and "fatal" in last:
        raise SplitwattError(last["fatal"], last["remedy"])
    return _cause(code, log), last.get("process_peak_bytes")


def _document(line: bytes) -> Dict[str, Any]:
    try:
        document = json.loads(line.decode("utf-8"))
    except ValueError:  # cut off by a kill
        return {}
    return document if isinstance(document, dict) else {}


def _cause(code: int, log: str) -> Optional[str]:
    if code == 0:
        return None
    if code < 0:
        name = signal.Signals(-code).name
        more = ": was memory short?" if -code == signal.SIGKILL else ""
        return "the block's process was ended by %s%s" % (name, more)
    return "the block's process failed with exit code %d: see %s" % (code, log)
