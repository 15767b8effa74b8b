"""TensorRT's versions, and whether one fits a board and a bundle; imports no TensorRT.

The version alone tells which of three generations of the Python API it has:

==============  ==========  ==================================================================
generation      TensorRT    what differs
==============  ==========  ==================================================================
`bindings`      8.2 - 8.4   tensors by index, `execute_async_v2`, `max_workspace_size`
`tensors`       8.5 - 9     tensors by name, `execute_async_v3`, memory pools, output allocators
`typed`         10 and on   as `tensors`; always explicit batch; from 11 only what the graph says
==============  ==========  ==================================================================
"""

import re
from typing import Any, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import EngineError, TargetError
from splitwatt.device_configs.targets import Target, known_targets, load_target

OLDEST = (8, 2)
# The two runtimes, by the names of their backends. TensorRT for RTX has versions from 1.0 on, and the
# API of TensorRT 11.
TENSORRT, RTX = "tensorrt", "tensorrt-rtx"
TITLES = {TENSORRT: "TensorRT", RTX: "TensorRT for RTX"}
BINDINGS, TENSORS, TYPED = "bindings", "tensors", "typed"


class Machine(NamedTuple):
    """What an engine needs: TensorRT's version ("8.2.1") and the GPU's SM ("5.3"); the GPU's name."""

    tensorrt: str
    sm: str
    gpu: str = ""
    runtime: str = TENSORRT


def runtime_of(trt: Any) -> str:
    """Which runtime a module is: `tensorrt` or `tensorrt_rtx`."""
    return RTX if trt.__name__ == "tensorrt_rtx" else TENSORRT


def parse_version(text: str) -> Tuple[int, ...]:
    """(major, minor, patch) of "8.2.1.8" or "10.3.0"; missing numbers are 0."""
    numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
    if not numbers:
        raise EngineError("cannot parse TensorRT version '%s'" % text)
    return tuple(numbers + [0] * (3 - len(numbers)))


def short_version(text: str) -> str:
    """The first three numbers of a version: an engine needs the same ones."""
    return ".".join(str(number) for number in parse_version(text))


def generation(version: str, runtime: str = TENSORRT) -> str:
    """The generation of the Python API of a TensorRT; EngineError if it is older than 8.2."""
    numbers = parse_version(version)
    if runtime == RTX:
        return TYPED
    if numbers[:2] < OLDEST:
        raise EngineError(
            "TensorRT %s is too old: splitwatt needs 8.2 or later%s"
            % (version, " (JetPack 4.6.0 brings 8.0)" if numbers[:2] == (8, 0) else ""),
            "update JetPack to 4.6.1 or later: sudo apt update && sudo apt dist-upgrade",
        )
    if numbers[:2] < (8, 5):
        return BINDINGS
    return TENSORS if numbers[0] < 10 else TYPED


def serves(target: Target, runtime: str) -> bool:
    """Whether a target's YAML has an operator table of a runtime."""
    return bool(target.operators.get(runtime.replace("-", "_")))


def check_target(target: Target, here: Machine) -> None:
    """Raise TargetError unless engines for `target` can be built here.

    It has no TensorRT, has another GPU, or needs a later TensorRT.
    """
    if here.runtime == RTX:
        if not serves(target, RTX):
            raise TargetError(
                "TensorRT for RTX does not support the target '%s': it needs x86-64 and a GPU of "
                "SM 7.5 or later that it lists" % target.name,
                "on that machine run splitwatt build, without --backend",
            )
        return
    due, sm = target.operators.get("tensorrt"), fact_of(target, "sm")
    if not due or (sm and sm != here.sm):
        wrong = "the bundle is for the target '%s', which has no TensorRT" % target.name
        if due:
            gpu = " (%s)" % here.gpu if here.gpu else ""
            wrong = "the bundle is for %s (SM %s), but this machine's GPU%s has SM %s"
            wrong %= (target.name, sm, gpu, here.sm)
        sms = {name: fact_of(load_target(name), "sm") for name in known_targets()}
        fitting = [name for name in sms if sms[name] == here.sm]
        fitting = fitting or [name for name in sms if sms[name]]
        export = "export it for this machine: splitwatt export --target "
        raise TargetError(wrong, export + " or ".join(fitting))
    if parse_version(here.tensorrt)[:2] < parse_version(due)[:2]:
        jetpack = fact_of(target, "jetpack")
        wanted = "JetPack " + jetpack if jetpack else "a newer TensorRT"
        raise TargetError(
            "the bundle's parts are for TensorRT %s, but this machine has %s"
            % (due, short_version(here.tensorrt)),
            "install %s, which the target %s needs" % (wanted, target.name),
        )


def fact_of(target: Target, name: str) -> Optional[str]:
    """A fact of a target; None where its YAML does not state it."""
    fact = target.facts.get(name)
    return None if fact is None else fact.value


def check_precision(precision: str, target: Target) -> None:
    """Raise TargetError for a precision that is unknown or slower than fp32 on the target."""
    if precision not in target.precisions:
        raise TargetError(
            "%s has no fast %s: it would run slower than fp32" % (target.name, precision),
            "use one of: %s" % ", ".join(target.precisions),
        )


def flags_for(precision: str, version: str, exported: str, runtime: str = TENSORRT) -> List[str]:
    """The builder flags of a precision, by their names in `BuilderFlag`.

    TF32, which rounds products to 10 bits, is never set. A graph in fp32 may be built in fp16 where
    that is a flag; a graph in fp16 or int8 is built in its own precision. An int8 engine may use fp16
    for a layer without an int8 kernel.

    Args:
        exported: the graph's own precision, as the manifest says; EngineError if no flag changes it.
    """
    flagged = runtime == TENSORRT and parse_version(version)[0] < 11
    if precision != exported and not (flagged and (exported, precision) == ("fp32", "fp16")):
        raise EngineError(
            "the graph was exported in %s, and %s %s cannot build it in %s"
            % (exported, TITLES[runtime], short_version(version), precision),
            "export the bundle again with --precision %s" % precision,
        )
    if not flagged:
        return []
    return {"fp32": [], "fp16": ["FP16"], "int8": ["INT8", "FP16"]}[precision]
