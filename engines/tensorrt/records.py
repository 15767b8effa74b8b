"""What `splitwatt build` leaves in a bundle's folder `engines/`: engines, and a record of each.

An engine runs on the TensorRT version and the kind of GPU that it was built with, and nowhere else.
So a record says what it was built from and for; loading takes the one that fits this machine, or
says in one sentence why none does. A part that does not run on TensorRT has a record too, with the
rule by which it falls back: nothing falls back without a rule.
"""

import hashlib
import json
import os
from datetime import datetime, timezone
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.engines.bundle.manifest import Port
from splitwatt.engines.tensorrt.versions import RTX, TENSORRT, TITLES, Machine, short_version

FORMAT = 1
FOLDER = "engines"
# Rules by which a part is left to onnxruntime's CPU provider.
RULES = {
    "placed": "the export left it to onnxruntime: it comes after a cut, or nothing of it fits",
    "refused": "TensorRT's parser or builder refused it, and --fall-back was given",
}
_LIMIT_BYTES = 1 << 20
_TEXTS = (
    "part", "onnx_sha256", "runs_on", "reason", "tensorrt", "sm", "precision", "made_at", "runtime",
)  # fmt: skip
_OPTIONAL_TEXTS = ("rule", "plugin", "engine", "engine_sha256")
_Ports = Tuple[Port, ...]
_Range = Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[int, ...]]


class Record(NamedTuple):
    """One part as built on one machine.

    runs_on: "tensorrt", or "cpu" with a `rule` of `RULES` and its `reason`.
    precision: fp32, fp16 or int8. plugins: interface version of the plugin library the engine
    needs, None where it needs none. profile: input -> (smallest, usual, largest) shape, or values
    of a shape tensor. inputs, outputs: as in the manifest. engine: file next to the record.
    build_s: how long building took. made_at: UTC, when it was built or last asked for. runtime:
    `tensorrt` or `tensorrt-rtx`; `tensorrt` is that runtime's version and `sm` the compute
    capability that the engine is for.
    """

    part: str
    onnx_sha256: str
    runs_on: str
    rule: Optional[str]
    reason: str
    tensorrt: str
    sm: str
    precision: str
    plugin: Optional[str]
    profile: Dict[str, _Range]
    inputs: _Ports
    outputs: _Ports
    engine: Optional[str]
    engine_sha256: Optional[str]
    build_s: Optional[float]
    made_at: str
    runtime: str = TENSORRT


def cache_key(
    onnx_sha256: str,
    machine: Machine,
    precision: str,
    plugin: Optional[str],
    profile: Dict[str, _Range],
) -> str:
    """16 hex digits that differ whenever a different engine would have to be built."""
    parts = [
        FORMAT, onnx_sha256, short_version(machine.tensorrt), machine.sm, precision, plugin,
        {name: [list(shape) for shape in profile[name]] for name in sorted(profile)},
    ]  # type: List[Any]  # fmt: skip
    content = json.dumps(parts if machine.runtime == TENSORRT else parts + [machine.runtime])
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:16]


def stem(part: str, machine: Machine, precision: str, key: str) -> str:
    """The file name of an engine and its record, without the ending."""
    return "%s-%s-%s-%s" % (part, _tied(machine), precision, key)


def timing_cache_name(machine: Machine) -> str:
    """The timing cache of a machine's kind: which kernels were fastest."""
    return "timing-%s.cache" % _tied(machine)


def _tied(machine: Machine) -> str:
    short = {TENSORRT: "trt", RTX: "rtx"}[machine.runtime]
    return "%s%s-sm%s" % (short, short_version(machine.tensorrt), machine.sm.replace(".", ""))


def folder_of(onnx_path: str) -> str:
    """Where the engines of a part lie."""
    return os.path.join(os.path.dirname(os.path.abspath(onnx_path)), FOLDER)


def write_record(folder: str, name: str, record: Record) -> str:
    """Write `folder`/`name`.json; returns its path."""
    document: Dict[str, Any] = {"format": FORMAT}
    document.update(record._asdict())
    for key in ("inputs", "outputs"):
        document[key] = [dict(port._asdict(), shape=list(port.shape)) for port in document[key]]
    path = os.path.join(folder, name + ".json")
    write_atomic(path, json.dumps(document, indent=2) + "\n")
    return path


def read_records(folder: str) -> List[Record]:
    """Every record of a bundle's engines, in the order of their files' names.

    Raises:
        EngineError: a file there is not a record of this format.
    """
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [
        _read(os.path.join(folder, name))
        for name in names
        if name.endswith(".json") and not name.startswith(".")
    ]


def choose(records: List[Record], onnx_path: str, onnx_sha256: str, here: Machine) -> Record:
    """The newest record that serves this part on this machine.

    Raises:
        EngineError: no record fits; the sentence says what the nearest one was built for.
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
    usable = [r for r in same_part if r.rule == "placed" or _fits(r, here)]
    if usable:
        return max(usable, key=lambda record: (record.runs_on == "tensorrt", record.made_at))
    of_runtime = [record for record in same_part if record.runtime == here.runtime]
    if not of_runtime:
        raise EngineError(
            "the engine of %s was built with %s, not with %s"
            % (file, TITLES.get(same_part[0].runtime, same_part[0].runtime), TITLES[here.runtime]),
            "run %s" % build,
        )
    last = max(of_runtime, key=lambda record: record.made_at)
    if last.sm != here.sm:
        raise EngineError(
            "the engine of %s was built for SM %s, but this machine's GPU%s has SM %s"
            % (file, last.sm, " (%s)" % here.gpu if here.gpu else "", here.sm),
            "engines do not travel: run %s here" % build,
        )
    raise EngineError(
        "the engine of %s was built with %s %s, but this machine has %s"
        % (file, TITLES[here.runtime], last.tensorrt, short_version(here.tensorrt)),
        "engines do not outlive an update: run %s again" % build,
    )


def engine_path(folder: str, record: Record) -> str:
    """The path of the engine's file, checked against its recorded hash.

    Raises:
        EngineError: it is missing, or not what the record says.
    """
    path = os.path.join(folder, os.path.basename(record.engine or ""))
    again = "build it again: splitwatt build %s" % os.path.dirname(folder)
    if not record.engine or not os.path.isfile(path):
        raise EngineError("the engine %s is missing" % path, again)
    if sha256_file(path, error=EngineError) != record.engine_sha256:
        raise EngineError("%s is damaged: its SHA-256 is not the recorded one" % path, again)
    return path


def is_whole(path: str) -> bool:
    """Whether a record exists, and the engine that it names is complete."""
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
    """Date a kept record as the newest of its part, so that the last requested build runs."""
    name = os.path.splitext(os.path.basename(path))[0]
    write_record(os.path.dirname(path), name, _read(path)._replace(made_at=now()))


def now() -> str:
    """This moment as a record's `made_at`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fits(record: Record, here: Machine) -> bool:
    same = (record.runtime, record.sm) == (here.runtime, here.sm)
    return same and record.tensorrt == short_version(here.tensorrt)


def _read(path: str) -> Record:
    wrong = "delete it and run splitwatt build again"
    document = read_json(path, _LIMIT_BYTES, EngineError, wrong)
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise EngineError("%s is no engine's record of format %d" % (path, FORMAT), wrong)
    try:
        document["profile"] = {
            name: tuple(tuple(shape) for shape in document["profile"][name])
            for name in document["profile"]
        }
        for key in ("inputs", "outputs"):
            document[key] = tuple(
                Port(port["name"], port["dtype"], tuple(port["shape"])) for port in document[key]
            )
        record = Record(**document)
        for key in _TEXTS + _OPTIONAL_TEXTS:
            value = getattr(record, key)
            if not isinstance(value, str) and (value is not None or key in _TEXTS):
                raise TypeError("%s is %r" % (key, value))
        return record
    except (KeyError, TypeError) as error:
        raise EngineError("%s is no engine's record: %s" % (path, error), wrong)
