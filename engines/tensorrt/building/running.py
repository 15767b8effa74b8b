"""Run programs that take long: progress lines meanwhile, one sentence where they fail."""

import os
import re
import subprocess
import time
from typing import Callable, Dict, List, Optional

from splitwatt.device_configs.cli import time_left
from splitwatt.device_configs.errors import EngineError

Tell = Callable[[str], None]
CUDA_FOLDER = "/usr/local/cuda/bin"
_TELL_EVERY_S = 10.0


def ending(what: str, returncode: int, said: str) -> EngineError:
    """The sentence for a child that failed: its own, or what its ending means."""
    if returncode in (-9, 137):
        return EngineError(
            "building %s was killed: the machine ran out of memory" % what,
            "add swap and close other programs (docs/board-guide.md), or lower --workspace-mb",
        )
    if returncode < 0:
        return EngineError("building %s died of signal %d" % (what, -returncode), "see dmesg")
    cmake = re.search(r"CMake Error at \S+ \(\w+\):\s+(.+?)\n\n", said, re.DOTALL)
    said = "error: " + " ".join(cmake.group(1).split()) if cmake else said
    lines = [line for line in said.strip().splitlines() if line.strip()]
    # A compiler's first error, else the last thing said: a tool's own summary says nothing.
    lines = [line for line in lines if "error: " in line][:1] or lines
    sentence = lines[-1] if lines else "it ended with status %d" % returncode
    prefix = "splitwatt: "
    if sentence.startswith(prefix):
        return EngineError(sentence[len(prefix) :])
    return EngineError("building %s failed: %s" % (what, sentence[:300]))


def run_child(command: List[str], what: str, tell: Tell, expected_s: Optional[float] = None) -> str:
    """Run a program that finds CUDA's compiler; returns its output, or raises EngineError.

    Args:
        what: it makes, for the sentences.
        tell: called every ten seconds with a line that says how long it has been running.
        expected_s: how long it will probably take; None: not known.
    """
    environment: Dict[str, str] = dict(os.environ)
    environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), CUDA_FOLDER])
    started = time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env=environment,
        )
    except OSError as error:
        raise EngineError("%s cannot be run: %s" % (command[0], error.strerror))
    try:
        while True:
            try:
                output, errors = child.communicate(timeout=_TELL_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                tell("      %s: %s" % (what, progress(time.monotonic() - started, expected_s)))
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode:
        raise ending(what, child.returncode, errors)
    return output


def progress(spent_s: float, expected_s: Optional[float]) -> str:
    """ "40 s, about 20 s left"; the first half alone where the expected time is unknown or over."""
    left = time_left(spent_s, expected_s or 0.0, spent_s)
    return "%.0f s%s" % (spent_s, ", " + left if left else "")
