"""Builds the engines of a bundle part by part, on the machine that runs them."""

import glob
import os
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.targets import load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part
from splitwatt.engines.tensorrt import records
from splitwatt.engines.tensorrt.building.build_part import (
    import_runtime,
    place_on_cpu,
    workspace_mb,
)
from splitwatt.engines.tensorrt.building.running import run_child
from splitwatt.engines.tensorrt.versions import (
    RTX,
    TENSORRT,
    TITLES,
    Machine,
    check_target,
    serves,
)

Tell = Callable[[str], None]
# The memory that building a small part takes besides its workspace: TensorRT, CUDA, the weights.
_BASE_MB = 700


class Built(NamedTuple):
    """A part that was built, and the path of its record."""

    part: str
    record: str
    seconds: float


def build_bundle(
    path: str,
    tell: Tell,
    runtime: str = TENSORRT,
    placement: Optional[str] = None,
    arguments: Sequence[str] = (),
    workspace: Optional[int] = None,
) -> Dict[str, Any]:
    """Build the engines of a bundle; returns what `splitwatt build --json` prints.

    Args:
        placement: board or server; None: the board, and with TensorRT for RTX both.
        tell, runtime, arguments, workspace: as in `build_engines`.

    Raises:
        BundleError, EngineError, TargetError: it cannot be built, or TensorRT for RTX serves neither
            end.
    """
    document: Dict[str, Any] = {"bundle": path, "target": None, "parts": []}
    default = ("board", "server") if runtime == RTX else ("board",)
    ends = (placement,) if placement else default
    manifest = Bundle.open(path, ends[0]).manifest
    targets = {"board": manifest.target, "server": manifest.server_target or manifest.target}
    placed = [(end, load_target(targets[end])) for end in ends]
    document["target"] = placed[0][1].name
    served = [(end, target) for end, target in placed if serves(target, runtime)]
    if not served and runtime == RTX:
        check_target(placed[0][1], Machine("", "", "", RTX))
    if not served:
        names = " or ".join(sorted({target.name for _, target in placed}))
        tell("%s: %s has no %s, onnxruntime runs it: no engines to build"
             % (path, names, TITLES[runtime]))  # fmt: skip
        return document
    import_runtime(runtime)  # a missing package is reported once, before the work
    for end, target in served:
        document["target"] = target.name
        tell("%s: engines for %s" % (path, target.name))
        for built in build_engines(
            Bundle.open(path, end), end, list(arguments), tell, workspace, runtime
        ):
            document["parts"].append(dict(built._asdict()))
            tell("      %s: %s (%.0f s)" % (built.part, built.record, built.seconds))
    return document


def build_engines(
    bundle: Bundle,
    placement: str,
    arguments: List[str],
    tell: Tell,
    workspace: Optional[int] = None,
    runtime: str = TENSORRT,
) -> Iterator[Built]:
    """Build every part of one end of the link in turn, each in its own process.

    Args:
        bundle: opened with that end's parts.
        placement: board or server.
        arguments: for `python -m splitwatt.engines.tensorrt.building.build_part`.
        tell: prints a line of progress.
        workspace: MiB for one kernel; the target's when None.
        runtime: the runtime to build for; parts whose target it does not serve are left out.

    Raises:
        EngineError: a part cannot be built; its partial files are deleted.
    """
    parts = [part for part in bundle.manifest.parts if part.placement == placement]
    if runtime == RTX:
        parts = [part for part in parts if serves(load_target(part.target), RTX)]
        arguments = arguments + ["--backend", RTX]
    done_gmac, spent_s = 0.0, 0.0
    for number, part in enumerate(parts, 1):
        started = time.monotonic()
        reason = left_to_onnxruntime(part)
        tell("[%d/%d] %s" % (number, len(parts), reason or part.name + ": building"))
        if reason:
            path = place_on_cpu(bundle, part, reason)
        else:
            rate = spent_s / done_gmac if done_gmac else None
            most = workspace_mb(workspace, load_target(part.target))
            path = _build(bundle, part, arguments, tell, rate, most)
            spent_s += time.monotonic() - started
            done_gmac += part.gmac
        yield Built(part.name, path, round(time.monotonic() - started, 3))


def left_to_onnxruntime(part: Part) -> str:
    """Why TensorRT does not run a part; empty where it does. The manifest's `compat` has details."""
    if part.runtime == "tensorrt":
        return ""
    if part.name.split(".")[-1].isdigit():
        return "%s: the export placed it after the cut, for onnxruntime" % part.name
    return "%s: the export left it to onnxruntime, whole" % part.name


def _build(
    bundle: Bundle,
    part: Part,
    arguments: List[str],
    tell: Tell,
    rate: Optional[float],
    workspace: int,
) -> str:
    folder = records.folder_of(bundle.part_path(part.name))
    short = memory_warning(_available_mb(), workspace)
    if short:
        tell(short)
    try:
        output = run_child(
            module_command(
                "engines.tensorrt.building.build_part",
                bundle.path,
                part.name,
                "--workspace-mb",
                str(workspace),
                *arguments,
            ),  # fmt: skip
            part.name,
            tell,
            None if rate is None else rate * part.gmac,
        )
    except BaseException:
        remove_partial(folder, part.name)
        raise
    return output.strip().splitlines()[-1]


def remove_partial(folder: str, part: str) -> List[str]:
    """Delete the partial files of a build that failed; returns their paths."""
    left = glob.glob(os.path.join(glob.escape(folder), "." + glob.escape(part) + "-*"))
    left += glob.glob(os.path.join(glob.escape(folder), ".timing-*"))
    for path in left:
        os.unlink(path)
    return sorted(left)


def memory_warning(available_mb: Optional[int], workspace_mb: int) -> str:
    """A warning where the machine will probably run out of memory, else an empty text."""
    needed = _BASE_MB + workspace_mb
    if available_mb is None or available_mb >= needed:
        return ""
    return (
        "warning: %d MB of memory are free, and about %d may be needed: close the desktop and other "
        "programs, or add swap (docs/board-guide.md)" % (available_mb, needed)
    )


def _available_mb(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Free memory and swap in MiB; None where the kernel does not report them."""
    try:
        with open(meminfo, encoding="ascii") as stream:
            rows = dict(line.split(":", 1) for line in stream if ":" in line)
        kilobytes = [int(rows[key].split()[0]) for key in ("MemAvailable", "SwapFree")]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return sum(kilobytes) // 1024
