"""Make a bundle ready on the machine that runs it: compile what is native, build its engines."""

import glob
import os
import shutil
import subprocess
import sys
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional

from device_configs.errors import EngineError
from engines.backends import tensorrt_records as records
from engines.build_part import place_on_cpu
from engines.bundle import Bundle
from engines.manifest import Part

Tell = Callable[[str], None]
_CUDA_FOLDER = "/usr/local/cuda/bin"
_POLL_S = 0.2
_TELL_EVERY_S = 10.0
# A build of a small part takes this much besides its workspace: TensorRT, CUDA and the weights.
_BASE_MB = 700


class Built(NamedTuple):
    """What became of one part: the file of its record, and how long that took."""

    part: str
    record: str
    seconds: float


def compile_native(tell: Tell, again: bool = False) -> List[str]:
    """Compile the range coder, and its CUDA kernels and plugin where the compilers for them are.

    Each step runs `python -m engines.rangecoder.build` in its own process.

    Args:
        tell: takes a line for people.
        again: also what is there already.

    Returns:
        The files made or found.

    Raises:
        EngineError: a compiler that is there refuses the sources.
    """
    made = []
    for what, path, arguments in _native_steps():
        if os.path.isfile(path) and not again:
            tell("%s: is there" % what)
        else:
            tell("%s: compiling" % what)
            _run_child(["-m", "engines.rangecoder.build"] + arguments, what, tell)
        made.append(path)
    return made


def _native_steps() -> Iterator["tuple"]:
    """(what, file, arguments) of each library that can be compiled here."""
    from engines.rangecoder import build as coder

    yield "range coder", os.path.join(coder.HERE, "_rangecoder.so"), []
    if find_nvcc() is None:
        return
    for what, option in (("CUDA kernels", "cuda"), ("TensorRT plugin", "plugin")):
        library = getattr(coder, option.upper() + "_LIBRARY", None)
        if library:
            yield what, library, ["--" + option]


def find_nvcc() -> Optional[str]:
    """CUDA's compiler: on PATH, or where JetPack puts it."""
    return shutil.which("nvcc") or shutil.which("nvcc", path=_CUDA_FOLDER)


def build_engines(
    bundle: Bundle, placement: str, arguments: List[str], tell: Tell
) -> Iterator[Built]:
    """Build every part of one end of the link, one after the other, each in its own process.

    Args:
        bundle: opened with that end's parts.
        placement: board or server.
        arguments: for `python -m engines.build_part`.
        tell: takes a line for people.

    Raises:
        EngineError: a part cannot be built; what it had written is gone.
    """
    parts = [part for part in bundle.manifest.parts if part.placement == placement]
    done_gmac, spent_s = 0.0, 0.0
    for number, part in enumerate(parts, 1):
        started = time.monotonic()
        reason = left_to_onnxruntime(part)
        tell("[%d/%d] %s" % (number, len(parts), reason or part.name + ": building"))
        if reason:
            path = place_on_cpu(bundle, part, reason)
        else:
            rate = spent_s / done_gmac if done_gmac else None
            path = _build(bundle, part, arguments, tell, rate)
            spent_s += time.monotonic() - started
            done_gmac += part.gmac
        yield Built(part.name, path, round(time.monotonic() - started, 3))


def left_to_onnxruntime(part: Part) -> str:
    """Why a part is not for TensorRT; empty where it is.

    The export says so in the manifest; a part called `NAME.2` is what comes after its cut.
    """
    if getattr(part, "runtime", None) == "onnxruntime" or part.name.split(".")[-1].isdigit():
        return "%s: the export placed it after the cut, for onnxruntime" % part.name
    return ""


def _build(
    bundle: Bundle, part: Part, arguments: List[str], tell: Tell, rate: Optional[float]
) -> str:
    folder = records.folder_of(bundle.part_path(part.name))
    short = memory_warning(_available_mb(), _workspace_of(arguments))
    if short:
        tell(short)
    try:
        output = _run_child(
            ["-m", "engines.build_part", bundle.path, part.name] + arguments,
            part.name,
            tell,
            None if rate is None else rate * part.gmac,
        )
    except EngineError:
        remove_partial(folder, part.name)
        raise
    return output.strip().splitlines()[-1]


def remove_partial(folder: str, part: str) -> List[str]:
    """Delete what a build that died left half-written; returns the files."""
    left = glob.glob(os.path.join(glob.escape(folder), "." + glob.escape(part) + "-*"))
    left += glob.glob(os.path.join(glob.escape(folder), ".timing-*"))
    for path in left:
        os.unlink(path)
    return sorted(left)


def memory_warning(available_mb: Optional[int], workspace_mb: int) -> str:
    """A line for a machine that will probably run out of memory; empty where it will not."""
    needed = _BASE_MB + workspace_mb
    if available_mb is None or available_mb >= needed:
        return ""
    return (
        "warning: %d MB of memory are free and about %d may be needed: close the desktop and other "
        "programs, or add swap (docs/board-guide.md)" % (available_mb, needed)
    )


def ending(what: str, returncode: int, said: str) -> EngineError:
    """The sentence for a child that failed: its own, or what its ending means."""
    if returncode in (-9, 137):
        return EngineError(
            "building %s was killed: the machine ran out of memory" % what,
            "add swap and close other programs (docs/board-guide.md), or lower --workspace-mb",
        )
    if returncode < 0:
        return EngineError("building %s died of signal %d" % (what, -returncode), "see dmesg")
    lines = [line for line in said.strip().splitlines() if line.strip()]
    sentence = lines[-1] if lines else "it ended with status %d" % returncode
    prefix = "splitwatt: "
    if sentence.startswith(prefix):
        return EngineError(sentence[len(prefix) :])
    return EngineError("building %s failed: %s" % (what, sentence[:300]))


def _run_child(
    arguments: List[str], what: str, tell: Tell, expected_s: Optional[float] = None
) -> str:
    """Run this Python with `arguments` and tell how long it has been at it; its standard output."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment: Dict[str, str] = dict(os.environ)
    known = [root] + [p for p in environment.get("PYTHONPATH", "").split(os.pathsep) if p]
    environment["PYTHONPATH"] = os.pathsep.join(known)
    environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), _CUDA_FOLDER])
    started = last = time.monotonic()
    child = subprocess.Popen(
        [sys.executable] + arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=environment,
    )
    try:
        while True:
            try:
                output, errors = child.communicate(timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if now - last >= _TELL_EVERY_S:
                    last = now
                    tell("      %s: %s" % (what, progress(now - started, expected_s)))
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode:
        raise ending(what, child.returncode, errors)
    return output


def progress(spent_s: float, expected_s: Optional[float]) -> str:
    """ "40 s, about 20 s left"; without what it was expected to take, the first half alone."""
    text = "%.0f s" % spent_s
    if expected_s is not None and expected_s > spent_s:
        text += ", about %.0f s left" % (expected_s - spent_s)
    return text


def _workspace_of(arguments: List[str]) -> int:
    if "--workspace-mb" in arguments:
        return int(arguments[arguments.index("--workspace-mb") + 1])
    return 256


def _available_mb(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Memory and swap that are free, in MB; None where the kernel does not say."""
    try:
        with open(meminfo, encoding="ascii") as stream:
            rows = dict(line.split(":", 1) for line in stream if ":" in line)
        kilobytes = [int(rows[key].split()[0]) for key in ("MemAvailable", "SwapFree")]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return sum(kilobytes) // 1024
