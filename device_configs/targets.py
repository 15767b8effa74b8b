"""The machines that models are deployed to, one YAML file each, as typed values.

`load_target("nano").opset`, `.rails`, `.facts["sm"].value`, ... `schema.json` next to the files defines
their form; references between names, which a schema cannot express, are checked here.
"""

import fnmatch
import functools
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.device_configs.input.schema import check
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.device_configs.names import suggestion

_FOLDER = os.path.dirname(os.path.abspath(__file__))
# Targets that were given by their files on a command line: name -> file.
_FILES: Dict[str, str] = {}


class Fact(NamedTuple):
    """A fact: its value (None: unknown), its source (the URL of a public document), whether it was
    confirmed, and a note.
    """

    value: Any
    source: str
    confirmed: bool
    note: Optional[str]


class RailConfig(NamedTuple):
    """A power rail: the sensor's label (`*` matches any text), the chip's address, the rail that feeds
    it, its name in Energon, what it measures, and the source of these facts.
    """

    label: str
    chip: Optional[str]
    part_of: Optional[str]
    energon: Optional[str]
    measures: str
    source: str
    confirmed: bool


class SensorConfig(NamedTuple):
    """How often a driver's readings change (s), and whether each is a mean over `averages_s` (None:
    over that period).
    """

    period_s: Optional[float]
    averages: bool
    source: str
    confirmed: bool
    note: str
    averages_s: Optional[float] = None


class PowerMode(NamedTuple):
    """A mode of nvpmodel, with its power limit in watts (None: no limit)."""

    id: int
    name: str
    watts: Optional[float]
    source: str
    confirmed: bool


class Power(NamedTuple):
    """A target's power sensors: groups of drivers, the rails that add up to the total, the known
    rails, and a sentence about variants without a sensor (or None).
    """

    drivers: Tuple[Tuple[str, ...], ...]
    total: Tuple[Tuple[str, ...], ...]
    absurd_above_w: float
    rails: Tuple[RailConfig, ...]
    ignored: Tuple[str, ...]
    sensors: Dict[str, SensorConfig]
    without: Optional[str]


class Target(NamedTuple):
    """A machine to deploy to. `rails` are `power.rails`; `precisions` are the fast ones, and "fp32"."""

    name: str
    title: str
    kind: str
    detect: Tuple[str, ...]
    opset: int
    ir_version: int
    operators: Dict[str, Optional[str]]
    default_backends: Tuple[str, ...]
    server_target_default: str
    workspace_mb: Optional[int]
    encoder_memory_mb: Optional[int]
    facts: Dict[str, Fact]
    power_modes: Tuple[PowerMode, ...]
    power: Power
    notes: Tuple[str, ...]
    sources: Dict[str, str]
    rails: Tuple[RailConfig, ...]
    precisions: Tuple[str, ...]


def known_targets() -> List[str]:
    """The names of all targets, in alphabetical order."""
    return sorted(f[:-5] for f in os.listdir(_FOLDER) if f.endswith(".yaml"))


def load_schema() -> Dict[str, Any]:
    """The published JSON schema of a target's YAML."""
    schema: Dict[str, Any] = read_json(os.path.join(_FOLDER, "schema.json"), 1 << 20)
    return schema


def load_target(name: str) -> Target:
    """The target called `name`, or the one in the file `name` where that ends in .yaml.

    After that, this process also knows a target from a file by its name, as manifests and runs do.

    Raises:
        UsageError: there is no such target; suggests the nearest ones.
        ConfigError: its file does not match `schema.json`, or has the name of another target.
    """
    own = known_targets()
    if name.endswith(".yaml"):
        target = read_target(name)
        if target.name in own and not os.path.samefile(name, _path(target.name)):
            raise ConfigError(
                "%s: name is '%s', which is the name of a packaged target" % (name, target.name),
                "rename the target and its file",
            )
        _FILES[target.name] = name
        return target
    if name not in own and name not in _FILES:
        remedy = "%s (for a target of your own, give its file, %s.yaml)"
        raise UsageError("unknown target '%s'" % name, remedy % (suggestion(name, own), name))
    return read_target(_FILES[name]) if name in _FILES else _packaged(_path(name))


@functools.lru_cache(maxsize=None)  # YAML is slow on a board: 12 targets take it seconds
def _packaged(path: str) -> Target:
    return read_target(path)


def target_name(given: str) -> str:
    """The name of a target that is given by its name (which is not checked) or its file."""
    return load_target(given).name if given.endswith(".yaml") else given


def spelling(name: str) -> str:
    """The name by which another process finds a target: its file, if this process loaded it from one."""
    return _FILES.get(name, name)


def _path(name: str) -> str:
    return os.path.join(_FOLDER, name + ".yaml")


def read_target(path: str) -> Target:
    """The target in the YAML file at `path`, whose name must be the file's.

    Raises:
        ConfigError: the file is missing, is not YAML, or does not match `schema.json`.
    """
    # PyYAML: not every command has it.
    from splitwatt.device_configs.input.strict_yaml import read_yaml

    return parse_target(read_yaml(path), os.path.basename(path))


def parse_target(document: Any, file: str) -> Target:
    """The target in a parsed YAML document; `file` names it in errors. Raises ConfigError."""
    check(document, load_schema(), file)
    if document["name"] + ".yaml" != os.path.basename(file):
        raise ConfigError(
            "%s: name is '%s', which is not the file's name" % (file, document["name"])
        )
    _check_references(document, file)
    urls = document["sources"]
    facts = {key: _made(Fact, fact, urls) for key, fact in document["facts"].items()}
    power = document["power"]
    rails = tuple(_made(RailConfig, rail, urls) for rail in power["rails"])
    sensors = {name: _made(SensorConfig, s, urls) for name, s in power["sensors"].items()}
    plain = ("name", "title", "kind", "opset", "ir_version", "operators", "workspace_mb", "sources")
    return Target(
        detect=tuple(document["detect"]),
        default_backends=tuple(document["default_backends"]),
        server_target_default=document["server_target_default"],
        facts=facts,
        power_modes=tuple(_made(PowerMode, mode, urls) for mode in document["power_modes"]),
        power=Power(
            drivers=tuple(tuple(group) for group in power["drivers"]),
            total=tuple(tuple(line) for line in power["total"]),
            absurd_above_w=float(power["absurd_above_w"]),
            rails=rails,
            ignored=tuple(power["ignored"]),
            sensors=sensors,
            without=power.get("without"),
        ),
        notes=tuple(document["notes"]),
        rails=rails,
        precisions=("fp32",) + tuple(p for p in ("fp16", "int8") if facts[p].value),
        encoder_memory_mb=document.get("encoder_memory_mb"),
        **{key: document[key] for key in plain},
    )


def _made(kind: Any, values: Dict[str, Any], urls: Dict[str, str]) -> Any:
    """A named tuple from a mapping of the YAML, with its source's URL; None for missing keys."""
    values = dict(values, source=urls[values["source"]])
    return kind(**{field: values.get(field) for field in kind._fields})


def _check_references(document: Dict[str, Any], file: str) -> None:
    """Check what the schema cannot express: named sources, rails and targets must exist."""
    power = document["power"]
    cited = [("facts." + key, f["source"]) for key, f in document["facts"].items()]
    cited += [("power_modes", m["source"]) for m in document["power_modes"]]
    cited += [("power.rails", r["source"]) for r in power["rails"]]
    cited += [("power.sensors." + key, s["source"]) for key, s in power["sensors"].items()]
    for where, source in cited:
        if source not in document["sources"]:
            raise ConfigError(
                "%s: %s has the source '%s', which is not in sources" % (file, where, source),
                suggestion(source, document["sources"]),
            )
    parents = {r["label"]: r.get("part_of") for r in power["rails"]}
    if len(parents) != len(power["rails"]):
        raise ConfigError("%s: power.rails has a label twice" % file)
    named = [(p, "part_of") for p in parents.values() if p]
    named += [(label.rstrip("?"), "total") for line in power["total"] for label in line]
    for label, where in named:
        if label not in parents:
            raise ConfigError(
                "%s: power.%s names the rail '%s', which is not in power.rails"
                % (file, where, label),
                suggestion(label, parents),
            )
    for line in power["total"]:
        _check_sum([label.rstrip("?") for label in line], parents, file)
    if document["server_target_default"] not in known_targets():
        raise ConfigError(
            "%s: server_target_default is '%s', which is not a target"
            % (file, document["server_target_default"]),
            suggestion(document["server_target_default"], known_targets()),
        )


def _check_sum(line: List[str], parents: Dict[str, Optional[str]], file: str) -> None:
    """A total must not add a rail to the rail that feeds it, because that counts it twice."""
    for label in line:
        above = parents[label]
        seen = {label}
        while above:
            if above in seen:
                raise ConfigError("%s: power.rails: '%s' feeds itself" % (file, above))
            if above in line:
                raise ConfigError(
                    "%s: power.total adds '%s' to '%s', which is part of it" % (file, above, label)
                )
            seen.add(above)
            above = parents[above]


def find_rail(power: Power, label: str) -> Optional[RailConfig]:
    """The rail of a sensor's label (exact labels take precedence over patterns), or None."""
    for rail in power.rails:
        if rail.label == label:
            return rail
    for rail in power.rails:
        if fnmatch.fnmatchcase(label, rail.label):
            return rail
    return None
