"""Builds the engine of one part, in a process that `splitwatt build` starts for each part.

    python -m splitwatt.engines.tensorrt.building.build_part BUNDLE PART [options]

When the process ends, all memory that TensorRT used is free again: a Nano has 4 GB in all.
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
from splitwatt.engines.rangecoder.graph import LATENT, LENGTH, WORDS
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


class Options(NamedTuple):
    """How to build; the graph's precision and the target's workspace where those are None."""

    precision: Optional[str]
    workspace_mb: Optional[int]
    aspect: float
    fall_back: bool
    again: bool


def main(argv: List[str]) -> int:
    """Build the part that the command line names, and print the path of its record."""
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
    """A runtime's module, and PyCUDA's driver (None where building needs no GPU).

    Raises:
        EngineError: one of them is not installed.
    """
    return (rtx.import_rtx(), None) if name == RTX else backend.import_tensorrt()


def build_part(trt: Any, driver: Any, bundle: Bundle, part: Part, options: Options) -> str:
    """Build one part, unless its engine exists; returns the path of its record.

    Args:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        driver: the module `pycuda.driver`; None for `tensorrt_rtx`, which builds without a GPU.
        bundle: opened, with the part's files checked.

    Raises:
        TargetError: the bundle is for another machine, or the target lacks the precision.
        EngineError: any other failure.
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
            needs_plugin = bool(plugin.operators_in(stream.read()))
        version = plugin.load_plugin(trt, logger) if needs_plugin else None
        profile = shapes.profile_of(bundle, part, options.aspect)
        key = records.cache_key(sha256_file(path), machine, precision, version, profile)
        name = records.stem(part.name, machine, precision, key)
        record_path = os.path.join(folder, name + ".json")
        if not options.again and records.is_whole(record_path):
            records.choose_again(record_path)
            return record_path
        cache_path = os.path.join(folder, records.timing_cache_name(machine))
        cache = b""
        if os.path.isfile(cache_path):
            with open(cache_path, "rb") as stream:
                cache = stream.read()
        workspace = workspace_mb(options.workspace_mb, target) << 20
        recipe = builder.Recipe(path, profile, flags, workspace, cache)
        if device is None:
            configure = functools.partial(rtx.configure, trt, machine.sm)
            recipe = recipe._replace(timing_cache=None, configure=configure)
        common = _common(part, machine, precision, version, profile)
        try:
            with contextlib.ExitStack() as current:
                if device is not None:
                    current.enter_context(device)
                engine, measured = builder.build_engine(trt, logger, log, recipe)
        except builder.RefusedError as error:
            if not options.fall_back:
                raise
            reason = one_line(error.message)[:4096]
            common.update(runs_on="cpu", rule=records.REFUSED, reason=reason)
            return records.write_record(folder, name, records.Record(**common))
        if measured is not None:
            write_atomic(cache_path, measured)
        engine_path = os.path.join(folder, name + ".engine")
        write_atomic(engine_path, engine)
        common.update(
            engine=os.path.basename(engine_path),
            engine_sha256=sha256_file(engine_path),
            build_s=round(time.perf_counter() - started, 3),
        )
        return records.write_record(folder, name, records.Record(**common))


def place_on_cpu(bundle: Bundle, part: Part, reason: str) -> str:
    """Record that onnxruntime runs a part, as the export decided; returns the record's path.

    Such a record is valid on every machine, because it names no GPU and no TensorRT.
    """
    anywhere = Machine("0.0.0", "0.0")
    common = _common(part, anywhere, part.precision, None, {})
    common.update(runs_on="cpu", rule=records.PLACED, reason=reason)
    folder = records.folder_of(bundle.part_path(part.name))
    return records.write_record(
        folder, "%s-placed-%s" % (part.name, part.sha256[:16]), records.Record(**common)
    )


def workspace_mb(asked: Optional[int], target: Target) -> int:
    """MiB that a kernel may take: the option's value, else the target's, else 256."""
    if asked is not None and asked < 1:
        raise EngineError("--workspace-mb must be at least 1, not %d" % asked)
    return asked or target.workspace_mb or 256


def outputs_of(part: Part) -> Tuple[Port, ...]:
    """The outputs of a part's engine: with the coder in the graph, the string replaces the latent."""
    if part.with_coder is None:
        return tuple(part.outputs)
    kept = [port for port in part.outputs if port.name != LATENT]
    words = Port(WORDS, "int32", (1, None))
    return (*kept, words, Port(LENGTH, "int32", (1,)))


def _common(
    part: Part, machine: Machine, precision: str, version: Optional[str], profile: Dict[str, Any]
) -> Dict[str, Any]:
    """The fields of a record, with the values for a part that TensorRT runs."""
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
