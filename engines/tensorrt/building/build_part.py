"""Builds the engine of one part, in a process that `splitwatt build` starts for each part.

    python -m splitwatt.engines.tensorrt.building.build_part BUNDLE PART OPTIONS_AS_JSON [--debug]

When the process ends, all memory that TensorRT used is free again: a Nano has 4 GB in all.
"""

import contextlib
import json
import os
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.cli import guarded
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.printable import one_line
from splitwatt.device_configs.targets import Target, load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part, Port
from splitwatt.engines.rangecoder.graph import LATENT, LENGTH, WORDS
from splitwatt.engines.tensorrt import engine as backend
from splitwatt.engines.tensorrt import plugin, records, rtx, shapes, versions
from splitwatt.engines.tensorrt.building import builder
from splitwatt.engines.tensorrt.log import make_logger
from splitwatt.engines.tensorrt.memory import Device
from splitwatt.engines.tensorrt.versions import RTX, TENSORRT, Machine


class Options(NamedTuple):
    """How to build; the graph's precision and the target's workspace where those are None.

    target: what another process finds the part's target by: its name, or the YAML of one's own.
    """

    precision: Optional[str] = None
    workspace_mb: Optional[int] = None
    aspect: float = shapes.ASPECT
    fall_back: bool = False
    again: bool = False
    runtime: str = TENSORRT
    target: Optional[str] = None
    debug: bool = False


def main(argv: List[str]) -> int:
    """Build the part that the command line names, and print the path of its record."""
    path, name, given = argv[:3]
    options = Options(**json.loads(given))
    if options.target:
        load_target(options.target)
    trt, driver = import_runtime(options.runtime)
    bundle = Bundle.open(path, "board")
    print(build_part(trt, driver, bundle, bundle.part(name), options))
    return 0


def import_runtime(name: str) -> Tuple[Any, Any]:
    """A runtime's module, and PyCUDA's driver (None where building needs no GPU)."""
    return (rtx.import_rtx(), None) if name == RTX else backend.import_tensorrt()


def build_part(trt: Any, driver: Any, bundle: Bundle, part: Part, options: Options) -> str:
    """Build one part, unless its engine exists; returns the path of its record.

    Args:
        driver: the module `pycuda.driver`; None for `tensorrt_rtx`, which builds without a GPU.

    Raises:
        TargetError: the bundle is for another machine, or the target lacks the precision.
        EngineError: any other failure.
    """
    started = time.perf_counter()
    target = load_target(part.target)
    with contextlib.ExitStack() as stack:
        if driver is None:
            machine = rtx.machine_for(trt, target)
        else:
            device = Device(driver)
            stack.callback(device.close)
            machine = backend.machine(trt, device)
        versions.check_target(target, machine)
        precision = options.precision or part.precision
        versions.check_precision(precision, target)
        flags = versions.flags_for(precision, trt.__version__, part.precision, machine.runtime)
        path = bundle.tensorrt_path(part.name)
        folder = records.folder_of(path)
        logger = make_logger(trt)
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
        cache = None if machine.runtime == RTX else b""
        if cache is not None and os.path.isfile(cache_path):
            with open(cache_path, "rb") as stream:
                cache = stream.read()
        workspace = workspace_mb(options.workspace_mb, target) << 20
        record = _record(part, machine, precision, version, profile)
        try:
            current: Any = contextlib.ExitStack() if driver is None else device
            with current:
                engine, measured = builder.build_engine(
                    trt, logger, path, profile, flags, workspace, cache, machine.sm
                )
        except builder.RefusedError as error:
            if not options.fall_back:
                raise
            reason = one_line(error.message)[:4096]
            record = record._replace(runs_on="cpu", rule=records.REFUSED, reason=reason)
            return records.write_record(folder, name, record)
        if measured is not None:
            write_atomic(cache_path, measured)
        engine_path = os.path.join(folder, name + ".engine")
        write_atomic(engine_path, engine)
        record = record._replace(
            engine=os.path.basename(engine_path),
            engine_sha256=sha256_file(engine_path),
            build_s=round(time.perf_counter() - started, 3),
        )
        return records.write_record(folder, name, record)


def place_on_cpu(bundle: Bundle, part: Part, reason: str) -> str:
    """Record that onnxruntime runs a part, as the export decided; returns the record's path.

    Such a record is valid on every machine, because it names no GPU and no TensorRT.
    """
    record = _record(part, Machine("0.0.0", "0.0"), part.precision, None, {})
    record = record._replace(runs_on="cpu", rule=records.PLACED, reason=reason)
    folder = records.folder_of(bundle.part_path(part.name))
    return records.write_record(folder, "%s-placed-%s" % (part.name, part.sha256[:16]), record)


def workspace_mb(asked: Optional[int], target: Target) -> int:
    """MiB that a kernel may take: the option's value, else the target's, else 256."""
    return asked or target.workspace_mb or 256


def outputs_of(part: Part) -> Tuple[Port, ...]:
    """The outputs of a part's engine: with the coder in the graph, the string replaces the latent."""
    if part.with_coder is None:
        return tuple(part.outputs)
    kept = [port for port in part.outputs if port.name != LATENT]
    words = Port(WORDS, "int32", (1, None))
    return (*kept, words, Port(LENGTH, "int32", (1,)))


def _record(
    part: Part, machine: Machine, precision: str, version: Optional[str], profile: Dict[str, Any]
) -> records.Record:
    """The record of a part that TensorRT runs, its engine not yet built."""
    return records.Record(
        part=part.name,
        onnx_sha256=part.sha256,
        runs_on="tensorrt",
        rule=None,
        reason="",
        tensorrt=versions.short_version(machine.tensorrt),
        sm=machine.sm,
        runtime=machine.runtime,
        precision=precision,
        plugin=version,
        profile=profile,
        inputs=tuple(part.inputs),
        outputs=outputs_of(part),
        engine=None,
        engine_sha256=None,
        build_s=None,
        made_at=records.now(),
    )


if __name__ == "__main__":
    sys.exit(guarded(main, sys.argv[1:]))
