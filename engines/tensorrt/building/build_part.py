"""Build the engine of one part, in a separate process: `splitwatt build` starts it, part by part.

    python -m splitwatt.engines.tensorrt.building.build_part BUNDLE PART [options]

When it ends, every byte that TensorRT took is free again: a Nano has 4 GB for everything.
"""

import argparse
import contextlib
import functools
import os
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.cli import guarded
from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.printable import one_line
from splitwatt.device_configs.targets import Target, load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part, Port
from splitwatt.engines.rangecoder.words import LATENT, LENGTH, WORDS
from splitwatt.engines.tensorrt import engine as backend
from splitwatt.engines.tensorrt import plugin, records, rtx, shapes
from splitwatt.engines.tensorrt.building import builder
from splitwatt.engines.tensorrt.log import Log
from splitwatt.engines.tensorrt.memory import Device
from splitwatt.engines.tensorrt.versions import (
    RTX,
    TENSORRT,
    Machine,
    check_precision,
    check_target,
    flags_for,
    short_version,
)

_MB = 1 << 20


class Options(NamedTuple):
    """How to build. `precision` None: the graph's own. `workspace_mb` None: the target's."""

    precision: Optional[str]
    workspace_mb: Optional[int]
    aspect: float
    fall_back: bool
    again: bool


def main(argv: List[str]) -> int:
    """Build the part that the command line names; prints its record's file."""
    arguments = argparse.ArgumentParser(
        prog="python -m splitwatt.engines.tensorrt.building.build_part"
    )
    arguments.add_argument("bundle")
    arguments.add_argument("part")
    arguments.add_argument("--target")
    arguments.add_argument("--backend", default=TENSORRT)
    arguments.add_argument("--precision")
    arguments.add_argument("--workspace-mb", type=int)
    arguments.add_argument("--aspect", type=float, default=shapes.ASPECT)
    arguments.add_argument("--fall-back", action="store_true")
    arguments.add_argument("--again", action="store_true")
    arguments.add_argument("--debug", action="store_true")
    given = arguments.parse_args(argv)
    if given.target:
        load_target(given.target)
    options = Options(
        given.precision, given.workspace_mb, given.aspect, given.fall_back, given.again
    )
    trt, driver = import_runtime(given.backend)
    part = Bundle.open(given.bundle, "board").part(given.part)
    bundle = Bundle.open(given.bundle, part.placement)
    print(build_part(trt, driver, bundle, part, options))
    return 0


def import_runtime(name: str) -> Tuple[Any, Any]:
    """A runtime's module, and PyCUDA's driver where building needs a GPU, else None.

    Raises:
        EngineError: one is not installed.
    """
    return (rtx.import_rtx(), None) if name == RTX else backend.import_tensorrt()


def build_part(trt: Any, driver: Any, bundle: Bundle, part: Part, options: Options) -> str:
    """Build one part, unless that has been done; returns the path of its record.

    Args:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        driver: the module `pycuda.driver`; None for `tensorrt_rtx`, which builds without a GPU.
        bundle: with the part's files checked.
        part: of the bundle.
        options: how.

    Raises:
        TargetError: the bundle is for another machine, or the precision is not for it.
        EngineError: whatever else prevents it.
    """
    started = time.perf_counter()
    target = load_target(part.target)
    with contextlib.ExitStack() as stack:
        if driver is None:
            device = None
            machine = rtx.machine_for(trt, target)
        else:
            device = Device(driver)
            stack.callback(device.close)
            machine = backend.machine(trt, device)
        check_target(target, machine)
        precision = options.precision or part.precision
        check_precision(precision, target)
        flags = flags_for(precision, trt.__version__, part.precision, machine.runtime)
        path = bundle.tensorrt_path(part.name)
        folder = records.folder_of(path)
        log = Log()
        logger = builder.make_logger(trt, log)
        with open(path, "rb") as stream:
            version = plugin.load_plugin(trt, logger) if _needs_plugin(stream.read()) else None
        profile = shapes.profile_of(bundle, part, options.aspect)
        key = records.cache_key(sha256_file(path), machine, precision, version, profile)
        name = records.stem(part.name, machine, precision, key)
        record_path = os.path.join(folder, name + ".json")
        if not options.again and records.is_whole(record_path):
            records.choose_again(record_path)
            return record_path
        cache_path = os.path.join(folder, records.timing_cache_name(machine))
        recipe = builder.Recipe(
            path, profile, flags, workspace_bytes(options, target), _content(cache_path)
        )
        if device is None:
            configure = functools.partial(rtx.configure, trt, machine.sm)
            recipe = recipe._replace(timing_cache=None, configure=configure)
        common = _common(part, machine, precision, version, profile)
        try:
            with contextlib.ExitStack() as current:
                if device is not None:
                    current.enter_context(device)
                engine, cache = builder.build_engine(trt, logger, log, recipe)
        except builder.RefusedError as error:
            if not options.fall_back:
                raise
            reason = one_line(error.message)[:4096]
            common.update(runs_on="cpu", rule=records.REFUSED, reason=reason)
            return records.write_record(folder, name, records.Record(**common))
        if cache is not None:
            write_atomic(cache_path, cache)
        engine_path = os.path.join(folder, name + ".engine")
        write_atomic(engine_path, engine)
        common.update(
            engine=os.path.basename(engine_path),
            engine_sha256=sha256_file(engine_path),
            build_s=round(time.perf_counter() - started, 3),
        )
        return records.write_record(folder, name, records.Record(**common))


def place_on_cpu(bundle: Bundle, part: Part, reason: str) -> str:
    """Record that the export left a part to onnxruntime; returns the record's path.

    Such a record holds on every machine: it names no GPU and no TensorRT.
    """
    anywhere = Machine("0.0.0", "0.0")
    common = _common(part, anywhere, part.precision, None, {})
    common.update(runs_on="cpu", rule=records.PLACED, reason=reason)
    folder = records.folder_of(bundle.part_path(part.name))
    return records.write_record(
        folder, "%s-placed-%s" % (part.name, part.sha256[:16]), records.Record(**common)
    )


def workspace_bytes(options: Options, target: Target) -> int:
    """The most that a kernel may take."""
    return workspace_mb(options.workspace_mb, target) * _MB


def workspace_mb(asked: Optional[int], target: Target) -> int:
    """MB that a kernel may take: as asked for, else the target's, else 256."""
    if asked is not None and asked < 1:
        raise EngineError("--workspace-mb must be at least 1, not %d" % asked)
    return asked or target.workspace_mb or 256


def outputs_of(part: Part) -> Tuple[Port, ...]:
    """What an engine of a part gives: the string instead of the latent where the coder is in it."""
    if part.with_coder is None:
        return tuple(part.outputs)
    kept = [port for port in part.outputs if port.name != LATENT]
    words = Port(WORDS, "int32", (1, None))
    return (*kept, words, Port(LENGTH, "int32", (1,)))


def _needs_plugin(onnx_bytes: bytes) -> bool:
    return bool(plugin.operators_in(onnx_bytes))


def _content(path: str) -> bytes:
    """A file's bytes; none where there is no such file."""
    if not os.path.isfile(path):
        return b""
    with open(path, "rb") as stream:
        return stream.read()


def _common(
    part: Part, machine: Machine, precision: str, version: Optional[str], profile: Dict[str, Any]
) -> Dict[str, Any]:
    """A record's fields, as of a part that runs on TensorRT."""
    return {
        "part": part.name,
        "onnx_sha256": part.sha256,
        "runs_on": "tensorrt",
        "rule": None,
        "reason": "",
        "tensorrt": short_version(machine.tensorrt),
        "sm": machine.sm,
        "runtime": machine.runtime,
        "precision": precision,
        "plugin": version,
        "profile": profile,
        "inputs": tuple(part.inputs),
        "outputs": outputs_of(part),
        "engine": None,
        "engine_sha256": None,
        "build_s": None,
        "made_at": records.now(),
    }


if __name__ == "__main__":
    sys.exit(guarded(main, sys.argv[1:]))
