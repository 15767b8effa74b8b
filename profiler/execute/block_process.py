"""A block's process as the runner sees it: started, listened to, its end understood."""

import json
import signal
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.execute.job import FATAL_EXIT, Job
from splitwatt.profiler.links.process import start_module

MODULE = "profiler.execute.block.block"


class Ended(NamedTuple):
    """How a block's process ended.

    Attributes:
        died: why, in words, where it ended before its time; None where it did its work.
        process_peak_bytes: its largest resident memory; None where it did not say.
    """

    died: Optional[str]
    process_peak_bytes: Optional[int]


def run_block(
    job: Job,
    lock: int,
    log: str,
    heard: Callable[[Dict[str, Any]], None],
    started: Callable[[int], None],
    prefix: Sequence[str] = (),
) -> Ended:
    """Run a block's process to its end.

    Args:
        job: what it is to do.
        lock: descriptor of the run's lock, which the process holds too.
        log: the file that its messages are appended to.
        heard: called with what it says of its progress: samples `done`, or `more` to come.
        started: called with its process id.
        prefix: goes before the command, to run it elsewhere, as on a shaped link.

    Raises:
        SplitwattError: what the block could not go on from, as a full disk.
    """
    last: Dict[str, Any] = {}
    path = job.write()
    with open(log, "ab") as errors:
        process = start_module(MODULE, [path, job.block["id"]], errors, lock, prefix)
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
    return Ended(_cause(code, log), last.get("process_peak_bytes"))


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
