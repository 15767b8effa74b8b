"""The records that `splitwatt build` writes next to engines, in a bundle's folder `engines/`.

An engine only runs with the TensorRT version and the kind of GPU that it was built with. A record
says what it was built from and for; loading takes the record that fits this machine, or explains why
there is no such record. A part that onnxruntime runs instead has a record too, which names the rule.
"""

import hashlib
import json
import os
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import BundleError, EngineError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.engines.bundle.declare import key, plain, read_record, record
from splitwatt.engines.bundle.manifest import PRECISIONS, Port
from splitwatt.engines.tensorrt.versions import RTX, TENSORRT, TITLES, Machine, short_version

FORMAT = 1
FOLDER = "engines"
# Rules by which a part is left to onnxruntime's CPU provider: the export left it to onnxruntime; or
# TensorRT's parser or builder refused it, and --fall-back was given.
PLACED, REFUSED = "placed", "refused"
_LIMIT_BYTES = 1 << 20
_Range = Tuple[Tuple[int, ...], ...]
_TEXT = {"minLength": 0}


@record
class Record(NamedTuple):
    """One part as built on one machine."""

    part: str = key("the part's name")
    onnx_sha256: str = key("of the graph that it was built from")
    runs_on: str = key("what runs it: `tensorrt`, or `cpu` by a rule", enum=["tensorrt", "cpu"])
    rule: Optional[str] = key("null on `tensorrt`", enum=[PLACED, REFUSED])
    reason: str = key("why the rule holds", **_TEXT)
    tensorrt: str = key("the runtime's version")
    sm: str = key("the compute capability that the engine is for, as 5.3")
    precision: str = key("what it computes in", enum=list(PRECISIONS))
    plugin: Optional[str] = key("version of the plugin library that it needs; null: none")
    profile: Dict[str, _Range] = key(
        "input -> smallest, usual and largest shape, or values of a shape tensor",
        items={"minItems": 3, "maxItems": 3},
    )
    inputs: Tuple[Port, ...] = key("as in the manifest")
    outputs: Tuple[Port, ...] = key("as in the manifest")
    engine: Optional[str] = key("the engine's file, next to the record")
    engine_sha256: Optional[str] = key("of the engine's file")
    build_s: Optional[float] = key("how long building took, s")
    made_at: str = key("when it was built or last asked for, UTC")
    runtime: str = key("`tensorrt` or `tensorrt-rtx`", enum=list(TITLES), default=TENSORRT)


def cache_key(
    onnx_sha256: str,
    machine: Machine,
    precision: str,
    plugin: Optional[str],
    profile: Mapping[str, _Range],
) -> str:
    """16 hexadecimal digits, different for every engine that has to be built separately."""
    parts: List[Any] = [
        FORMAT, onnx_sha256, short_version(machine.tensorrt), machine.sm, precision, plugin,
        {name: [list(shape) for shape in profile[name]] for name in sorted(profile)},
    ]  # fmt: skip
    content = json.dumps(parts if machine.runtime == TENSORRT else parts + [machine.runtime])
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


def stem(part: str, machine: Machine, precision: str, key: str) -> str:
    """The file name of an engine and of its record, without the extension."""
    return "%s-%s-%s-%s" % (part, _tied(machine), precision, key)


def timing_cache_name(machine: Machine) -> str:
    """The file of measured kernel times, which machines of one kind share."""
    return "timing-%s.cache" % _tied(machine)


def _tied(machine: Machine) -> str:
    short = {TENSORRT: "trt", RTX: "rtx"}[machine.runtime]
    return "%s%s-sm%s" % (short, short_version(machine.tensorrt), machine.sm.replace(".", ""))


def folder_of(onnx_path: str) -> str:
    """The folder of a part's engines."""
    return os.path.join(os.path.dirname(os.path.abspath(onnx_path)), FOLDER)


def write_record(folder: str, name: str, record: Record) -> str:
    """Write `folder`/`name`.json; returns its path."""
    path = os.path.join(folder, name + ".json")
    document = dict({"format": FORMAT}, **plain(record))
    write_atomic(path, json.dumps(document, indent=2) + "\n")
    return path


def read_records(folder: str) -> List[Record]:
    """Every record of a bundle's engines, by their files' names; EngineError for another file."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [
        _read(os.path.join(folder, name))
        for name in names
        if name.endswith(".json") and not name.startswith(".")
    ]


def choose(records: List[Record], onnx_path: str, onnx_sha256: str, here: Machine) -> Record:
    """The newest record of this part for this machine.

    Where none fits, EngineError says what the nearest one was built for.
    """
    build = "splitwatt build %s" % (os.path.dirname(onnx_path) or ".")
    if here.runtime == RTX:
        build += " --backend %s" % RTX
    file = os.path.basename(onnx_path)
    same_part = [record for record in records if record.onnx_sha256 == onnx_sha256]
    if not same_part:
        changed = [r for r in records if r.part == os.path.splitext(file)[0]]
        why = "was built from another file of that name" if changed else "was not built"
        raise EngineError("the engine of %s %s" % (file, why), "run %s on this machine" % build)
    version = short_version(here.tensorrt)
    usable = [
        r
        for r in same_part
        if r.rule == PLACED or (r.runtime, r.sm, r.tensorrt) == (here.runtime, here.sm, version)
    ]
    if usable:
        return max(usable, key=lambda record: (record.runs_on == "tensorrt", record.made_at))
    of_runtime = [r for r in same_part if r.runtime == here.runtime]
    last = max(of_runtime or same_part, key=lambda record: record.made_at)
    if not of_runtime:
        wrong = "was built with %s, not with %s" % (TITLES[last.runtime], TITLES[here.runtime])
        remedy = "run %s"
    elif last.sm != here.sm:
        gpu = " (%s)" % here.gpu if here.gpu else ""
        wrong = "was built for SM %s, but this machine's GPU%s has SM %s"
        wrong %= (last.sm, gpu, here.sm)
        remedy = "an engine only runs on the kind of GPU it was built for: run %s here"
    else:
        wrong = "was built with %s %s, but this machine has %s" % (
            TITLES[here.runtime], last.tensorrt, version
        )  # fmt: skip
        remedy = "an engine only runs with the version it was built with: run %s again"
    raise EngineError("the engine of %s %s" % (file, wrong), remedy % build)


def engine_path(folder: str, record: Record) -> str:
    """The path of the engine's file; EngineError if it is missing or not the recorded one."""
    path = os.path.join(folder, os.path.basename(record.engine or ""))
    again = "build it again: splitwatt build %s" % os.path.dirname(folder)
    if not record.engine or not os.path.isfile(path):
        raise EngineError("the engine %s is missing" % path, again)
    if sha256_file(path, error=EngineError) != record.engine_sha256:
        raise EngineError("%s is damaged: its SHA-256 is not the recorded one" % path, again)
    return path


def is_whole(path: str) -> bool:
    """Whether a record exists and the engine that it names is complete."""
    if not os.path.isfile(path):
        return False
    try:
        record = _read(path)
        if record.runs_on == "tensorrt":
            engine_path(os.path.dirname(path), record)
    except EngineError:
        return False
    return True


def choose_again(path: str) -> None:
    """Date an existing record as the newest of its part, so that the last requested build runs."""
    name = os.path.splitext(os.path.basename(path))[0]
    write_record(os.path.dirname(path), name, _read(path)._replace(made_at=now()))


def now() -> str:
    """The current time as a record's `made_at`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(path: str) -> Record:
    wrong = "delete it and run splitwatt build again"
    document = read_json(path, _LIMIT_BYTES, EngineError, wrong)
    try:
        record = read_record(Record, document, path, {"format": FORMAT})
    except BundleError as error:
        raise EngineError(error.message, wrong)
    if (record.rule is None) != (record.runs_on == "tensorrt"):
        raise EngineError(
            "%s: 'rule' must be null where 'runs_on' is 'tensorrt', and only there" % path, wrong
        )
    return record
