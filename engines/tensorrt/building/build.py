"""Builds the engines of a bundle part by part, on the machine that runs them."""

import glob
import json
import os
import time
from typing import Any, Dict, Iterator, List, Optional

import psutil

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.targets import load_target, spelling
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part
from splitwatt.engines.tensorrt import records
from splitwatt.engines.tensorrt.building.build_part import (
    Options,
    import_runtime,
    place_on_cpu,
    workspace_mb,
)
from splitwatt.engines.tensorrt.building.running import Tell, run_child
from splitwatt.engines.tensorrt.versions import RTX, TITLES, Machine, check_target, serves

# The memory that building a small part takes besides its workspace: TensorRT, CUDA, the weights.
_BASE_MB = 700


def build_bundle(
    path: str, tell: Tell, options: Options, placement: Optional[str] = None
) -> Dict[str, Any]:
    """Build the engines of a bundle; returns what `splitwatt build --json` prints.

    Args:
        tell: prints a line of progress.
        placement: board or server; None: the board, and with TensorRT for RTX both.
    """
    rtx = options.runtime == RTX
    ends = [placement] if placement else ["board", "server"] if rtx else ["board"]
    manifest = Bundle.open(path, ends[0]).manifest
    names = {"board": manifest.target, "server": manifest.server_target or manifest.target}
    targets = {end: load_target(names[end]) for end in ends}
    served = [end for end in ends if serves(targets[end], options.runtime)]
    if not served and rtx:
        check_target(targets[ends[0]], Machine("", "", "", RTX))
    parts: List[Dict[str, Any]] = []
    if served:
        import_runtime(options.runtime)  # a missing package is reported once, before the work
    else:
        tell("%s: %s has no %s, onnxruntime runs it: no engines to build"
             % (path, targets[ends[0]].name, TITLES[options.runtime]))  # fmt: skip
    for end in served:
        tell("%s: engines for %s" % (path, targets[end].name))
        for built in build_engines(Bundle.open(path, end), end, options, tell):
            parts.append(built)
            tell("      %(part)s: %(record)s (%(seconds).0f s)" % built)
    return {"bundle": path, "target": targets[(served or ends[:1])[-1]].name, "parts": parts}


def build_engines(
    bundle: Bundle, placement: str, options: Options, tell: Tell
) -> Iterator[Dict[str, Any]]:
    """Build every part of one end of the link in turn, each in its own process.

    With TensorRT for RTX, parts whose target it does not serve are left out.

    Returns:
        Of each part its name, the path of its record, and how many seconds it took.

    Raises:
        EngineError: a part cannot be built; its partial files are deleted.
    """
    parts = bundle.manifest.placed(placement)
    if options.runtime == RTX:
        parts = [part for part in parts if serves(load_target(part.target), RTX)]
    done_gmac, spent_s = 0.0, 0.0
    for number, part in enumerate(parts, 1):
        started = time.monotonic()
        reason = left_to_onnxruntime(part)
        tell("[%d/%d] %s" % (number, len(parts), reason or part.name + ": building"))
        if reason:
            path = place_on_cpu(bundle, part, reason)
        else:
            expected_s = spent_s / done_gmac * part.gmac if done_gmac else None
            path = _build(bundle, part, options, tell, expected_s)
            spent_s += time.monotonic() - started
            done_gmac += part.gmac
        seconds = round(time.monotonic() - started, 3)
        yield {"part": part.name, "record": path, "seconds": seconds}


def left_to_onnxruntime(part: Part) -> str:
    """Why TensorRT does not run a part; empty where it does. The manifest's `compat` has details."""
    if part.runtime == "tensorrt":
        return ""
    if part.name.split(".")[-1].isdigit():
        return "%s: the export placed it after the cut, for onnxruntime" % part.name
    return "%s: the export left it to onnxruntime, whole" % part.name


def _build(
    bundle: Bundle, part: Part, options: Options, tell: Tell, expected_s: Optional[float]
) -> str:
    workspace = workspace_mb(options.workspace_mb, load_target(part.target))
    short = memory_warning(_available_mb(), workspace)
    if short:
        tell(short)
    how = options._replace(workspace_mb=workspace, target=spelling(part.target))
    given = json.dumps(how._asdict())
    debug = ["--debug"] if options.debug else []
    module = "engines.tensorrt.building.build_part"
    try:
        command = module_command(module, bundle.path, part.name, given, *debug)
        output = run_child(command, part.name, tell, expected_s)
    except BaseException:
        remove_partial(records.folder_of(bundle.part_path(part.name)), part.name)
        raise
    return output.strip().splitlines()[-1]


def remove_partial(folder: str, part: str) -> List[str]:
    """Delete the partial files of a build that failed; returns their paths."""
    left = glob.glob(os.path.join(glob.escape(folder), "." + glob.escape(part) + "-*"))
    left += glob.glob(os.path.join(glob.escape(folder), ".timing-*"))
    for path in left:
        os.unlink(path)
    return sorted(left)


def memory_warning(available_mb: int, workspace_mb: int) -> str:
    """A warning where the machine will probably run out of memory, else an empty text."""
    needed = _BASE_MB + workspace_mb
    if available_mb >= needed:
        return ""
    return (
        "warning: %d MB of memory are free, and about %d may be needed: close the desktop and other "
        "programs, or add swap (docs/board-guide.md)" % (available_mb, needed)
    )


def _available_mb() -> int:
    return int(psutil.virtual_memory().available + psutil.swap_memory().free) >> 20
