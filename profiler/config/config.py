"""The config of a profile: a YAML file, checked against `configs/schema.json`; immutable."""

import json
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.device_configs.input.schema import check
from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.device_configs.names import suggestion
from splitwatt.energy.joules.per_image import LEAST_BLOCK_S
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.links.parse import check_together, link_from_row

LOCAL = "local"
SPLIT = "split"
DEFAULT_IMAGES = "default"

_PACKAGED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")


class WarmupUntil(NamedTuple):
    """When a block is warm; every field is described in `configs/schema.json`."""

    within: float
    window: int
    windows: int
    max_inferences: int


class Until(NamedTuple):
    """When a block has run enough; every field is described in `configs/schema.json`."""

    relative_width: Optional[float]
    level: float
    max_inferences: int
    max_s: Optional[float]


class Configuration(NamedTuple):
    """One row of a comparison: the models that run for each image.

    Attributes:
        id: as `LC1`.
        kind: "local" (on the board alone) or "split" (between board and server).
        models: run one after the other.
        assumed: the source leaves a part of it undefined.
        note: the footnote, where there is one.
    """

    id: str
    kind: str
    models: Tuple[str, ...]
    assumed: bool
    note: Optional[str]


class Config(NamedTuple):
    """A whole config; every field is described in `configs/schema.json`."""

    format: int
    name: str
    images: str
    warmup: int
    inferences: int
    repeats: int
    seed: int
    backends: Tuple[str, ...]
    server_backend: str
    payload: str
    stage_energy_s: Optional[float]
    warmup_until: Optional[WarmupUntil]
    until: Optional[Until]
    throttled_again: int
    pipelined: bool
    jpeg_reduced: bool
    links: Tuple[Link, ...]
    method: Tuple[str, ...]
    baselines: Tuple[str, ...]
    configurations: Tuple[Configuration, ...]

    def to_json(self) -> Dict[str, Any]:
        """The config as its file has it, defaults filled in; `from_document` reads it back."""
        document = dict(self._asdict())
        for name in ("backends", "method", "baselines"):
            document[name] = list(document[name])
        for name in ("warmup_until", "until"):
            document[name] = document[name] and dict(document[name]._asdict())
        document["links"] = [link.to_json() for link in self.links]
        document["configurations"] = {c.id: _row(c) for c in self.configurations}
        return document

    def models(self) -> List[str]:
        """Every model that a configuration names, each once, in order."""
        return list(dict.fromkeys(model for row in self.configurations for model in row.models))

    def configuration(self, id: str) -> Configuration:
        """The configuration of that id.

        Raises:
            UsageError: no such configuration; the nearest known ids.
        """
        return self.only([id]).configurations[0]

    def only(self, ids: Sequence[str]) -> "Config":
        """This config with those configurations alone, in the config's own order.

        Raises:
            UsageError: an id that the config does not have, or no id.
        """
        known = {row.id.lower(): row.id for row in self.configurations}
        wanted = set()
        for id in ids:
            key = id.strip().replace(" ", "").lower()
            if key not in known:
                message = "the config %s has no configuration '%s'" % (self.name, id)
                raise UsageError(message, suggestion(id, known.values()))
            wanted.add(known[key])
        if not wanted:
            raise UsageError("no configuration is named", suggestion("", known.values()))
        rows = tuple(row for row in self.configurations if row.id in wanted)
        method, baselines = (
            tuple(id for id in named if id in wanted) for named in (self.method, self.baselines)
        )
        if self.method and not method:  # what is left is not under test
            baselines = tuple(row.id for row in rows)
        return self._replace(configurations=rows, method=method, baselines=baselines)


def schema() -> Dict[str, Any]:
    """The published JSON schema of a config, which is what the loader checks against."""
    with open(os.path.join(_PACKAGED, "schema.json"), encoding="utf-8") as stream:
        return json.load(stream)  # type: ignore[no-any-return]


def packaged() -> List[str]:
    """File names of the configs that come with splitwatt."""
    return sorted(name for name in os.listdir(_PACKAGED) if name.endswith(".yaml"))


def find_config(name: str) -> str:
    """The path of a config that is named by path, or by the name of a packaged one.

    Raises:
        UsageError: neither; the nearest packaged names.
    """
    if os.path.isfile(name):
        return name
    for candidate in (name, name + ".yaml"):
        if candidate in packaged():
            return os.path.join(_PACKAGED, candidate)
    if os.path.dirname(name):
        raise UsageError("there is no config file %s" % name, suggestion("", packaged()))
    raise UsageError("there is no config '%s'" % name, suggestion(name, packaged()))


def load_config(name: str) -> Config:
    """Read a config by path or by packaged name.

    Raises:
        UsageError: no such config.
        ConfigError: it is not one: which file, which key, what was expected.
    """
    path = find_config(name)
    config = from_document(read_yaml(path), path)
    if config.stage_energy_s is not None and config.stage_energy_s < LEAST_BLOCK_S:
        raise ConfigError(
            "%s: 'stage_energy_s' is %g s, too short for joules" % (path, config.stage_energy_s),
            "write %g or more, or null for no stage blocks" % LEAST_BLOCK_S,
        )
    if config.images == DEFAULT_IMAGES:
        return config
    folder = os.path.join(os.path.dirname(os.path.abspath(path)), config.images)
    return config._replace(images=os.path.normpath(folder))


def from_document(document: Any, file: str) -> Config:
    """Validate a parsed config; `file` is its name in sentences.

    Raises:
        ConfigError: which key, and what was expected.
    """
    document = check(document, schema(), file)
    document.pop("zoo", None)  # the export's: files of a user's own models
    rows = document.pop("configurations")
    _check_ids(rows, file)
    backends = document.pop("backends")
    links = [
        link_from_row(row, file, "links[%d]." % i) for i, row in enumerate(document.pop("links"))
    ]
    check_together(links, file)
    method, baselines = (_named(document, name, rows, file) for name in ("method", "baselines"))
    both = [id for id in method if id in baselines]
    if both:
        raise ConfigError(
            "%s: 'method' and 'baselines' both name '%s'" % (file, both[0]),
            "leave it in one of them",
        )
    warmup_until, until = document.pop("warmup_until"), document.pop("until")
    _check_limits(document["warmup"], warmup_until, "warmup_until", "warmup", file)
    _check_limits(document["inferences"], until, "until", "inferences", file)
    return Config(
        backends=tuple(backends),
        warmup_until=None if warmup_until is None else WarmupUntil(**warmup_until),
        until=None if until is None else Until(**until),
        links=tuple(links),
        method=method,
        baselines=baselines,
        configurations=tuple(_configuration(id, row, file) for id, row in rows.items()),
        **document,
    )


def _named(document: Dict[str, Any], key: str, rows: Dict[str, Any], file: str) -> Tuple[str, ...]:
    """The ids of a list, taken out of the document."""
    ids: List[str] = document.pop(key)
    for id in ids:
        if id not in rows:
            raise ConfigError(
                "%s: '%s' names '%s', which is not a configuration" % (file, key, id),
                suggestion(id, rows),
            )
    return tuple(ids)


def _check_limits(least: int, rule: Any, name: str, count: str, file: str) -> None:
    if rule is not None and rule["max_inferences"] < least:
        raise ConfigError(
            "%s: '%s.max_inferences' is %d, less than '%s', %d"
            % (file, name, rule["max_inferences"], count, least),
            "a rule adds to what is run in any case",
        )
    if name == "until" and rule and rule["relative_width"] is None and rule["max_s"] is None:
        raise ConfigError("%s: 'until' needs 'relative_width' or 'max_s'" % file, "add one of them")


def _check_ids(ids: Iterable[str], file: str) -> None:
    known: Dict[str, str] = {}
    for id in ids:
        other = known.setdefault(id.lower(), id)
        if other != id:
            raise ConfigError(
                "%s: 'configurations' holds both '%s' and '%s'" % (file, other, id),
                "give them names that differ in more than case, because --only ignores case",
            )


def _configuration(id: str, row: Dict[str, Any], file: str) -> Configuration:
    kinds = [kind for kind in (LOCAL, SPLIT) if kind in row]
    if len(kinds) != 1:
        raise ConfigError(
            "%s: 'configurations.%s' must have either '%s' or '%s'" % (file, id, LOCAL, SPLIT),
            "write one of them, with its list of models",
        )
    return Configuration(id, kinds[0], tuple(row[kinds[0]]), row["assumed"], row.get("note"))


def _row(configuration: Configuration) -> Dict[str, Any]:
    row: Dict[str, Any] = {configuration.kind: list(configuration.models)}
    row["assumed"] = configuration.assumed
    if configuration.note is not None:
        row["note"] = configuration.note
    return row
