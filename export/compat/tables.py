"""Operator tables: what one version of a runtime supports, read from `tables/*.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.device_configs.names import check_known, suggestion
from splitwatt.export.compat.rules import RULES

_FOLDER = Path(__file__).parent / "tables"
_FORMAT = 1
_TITLES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX", "onnxruntime": "onnxruntime"}
_TABLE_KEYS = {
    "format", "runtime", "version", "source", "opset", "ir", "tensors", "casts", "operators",
    "unsupported",
}  # fmt: skip
# The keys of a table that is a subset of another, which `base` names.
_NARROWED_KEYS = {"format", "runtime", "version", "base", "source", "operators", "unsupported"}
_ROW_KEYS = {"since", "types", "also", "rules"}


@dataclass(frozen=True)
class Rule:
    """One restriction of an operator: which check, with what arguments.

    answer: the runtime accepts the node anyway, and its result differs from ONNX.
    """

    name: str
    arguments: Mapping[str, Any]
    answer: bool = False


@dataclass(frozen=True)
class Row:
    """One operator: the opset that introduced it, the types it takes (None: any), restrictions."""

    since: int
    types: frozenset[str] | None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Table:
    """What one version of a runtime supports.

    Attributes:
        opset: lowest and highest opset of ONNX's own domain.
        ir: highest IR version, None if the runtime ignores it.
        tensors: types that may cross the edge of a network.
        casts: type -> the type by which the runtime silently replaces it.
        operators: operator -> its row.
        unsupported: operators that the source lists as not supported.
        base: the title of the table of which this one is a subset; else None.
    """

    runtime: str
    version: str
    source: str
    opset: tuple[int, int]
    ir: int | None
    tensors: frozenset[str]
    casts: Mapping[str, str]
    operators: Mapping[str, Row]
    unsupported: frozenset[str]
    base: str | None = None

    @property
    def title(self) -> str:
        """The runtime as people write it, `TensorRT 8.2`."""
        return f"{_TITLES[self.runtime]} {self.version}"

    def cast(self, dtype: str) -> str:
        """The type that a tensor of type `dtype` has inside the runtime."""
        return self.casts.get(dtype, dtype)


def known_tables(runtime: str) -> list[str]:
    """The versions of `runtime` that have a table, oldest first."""
    check_known("runtime", runtime, _TITLES)
    versions = [path.stem.split("-", 1)[1] for path in _FOLDER.glob(f"{runtime}-*.yaml")]
    return sorted(versions, key=lambda version: [int(number) for number in version.split(".")])


@functools.cache
def load_table(runtime: str, version: str) -> Table:
    """The table of exactly this version.

    Raises:
        UsageError: there is no such table.
        ConfigError: the file is not a table.
    """
    check_known(f"table of {runtime}", version, known_tables(runtime))
    path = _FOLDER / f"{runtime}-{version}.yaml"
    return parse_table(read_yaml(str(path)), path.name)


def parse_table(document: Any, file: str) -> Table:
    """A table from its YAML document; `file` names it in errors.

    Raises:
        ConfigError: a key, a rule or the format is unknown, or a row is repeated.
    """
    narrows = isinstance(document, dict) and "base" in document
    _check_keys(document, _NARROWED_KEYS if narrows else _TABLE_KEYS, file, "")
    if document["format"] != _FORMAT:
        raise ConfigError(f"{file}: format {document['format']} is not known", f"use {_FORMAT}")
    unsupported = document["unsupported"] or []
    twice = set(unsupported) & set(document["operators"])
    if twice or len(set(unsupported)) != len(unsupported):
        raise ConfigError(f"{file}: {sorted(twice) or 'unsupported'} is repeated", "keep one row")
    rows = {
        name: _parse_row(row, f"{file}: operators.{name}")
        for name, row in document["operators"].items()
    }
    if narrows:
        base = load_table(*document["base"].split("-"))
        kept = {n: row for n, row in base.operators.items() if n not in unsupported}
        return replace(
            base,
            runtime=document["runtime"],
            version=document["version"],
            source=document["source"].strip(),
            operators={**kept, **rows},
            unsupported=base.unsupported | frozenset(unsupported),
            base=base.title,
        )
    return Table(
        runtime=document["runtime"],
        version=document["version"],
        source=document["source"].strip(),
        opset=(document["opset"]["min"], document["opset"]["max"]),
        ir=document["ir"],
        tensors=frozenset(document["tensors"].split()),
        casts=document["casts"],
        operators=rows,
        unsupported=frozenset(unsupported),
    )


def _parse_row(row: Any, where: str) -> Row:
    _check_keys(row, _ROW_KEYS, where, "", required={"types"})
    types = row["types"].split() + row.get("also", "").split()
    return Row(
        since=row.get("since", 1),
        types=None if types == ["any"] else frozenset(types),
        rules=tuple(_parse_rule(rule, where) for rule in row.get("rules", ())),
    )


def _parse_rule(rule: dict[str, Any], where: str) -> Rule:
    arguments = {k: v for k, v in rule.items() if k not in ("rule", "answer")}
    name = rule.get("rule", "")
    if name not in RULES:
        raise ConfigError(f"{where}: unknown rule '{name}'", suggestion(name, RULES))
    return Rule(name, arguments, bool(rule.get("answer", False)))


def _check_keys(
    document: Any, known: Iterable[str], file: str, key: str, required: Iterable[str] | None = None
) -> None:
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: expected keys and values", "see docs/compatibility.md")
    for name in document:
        if name not in known:
            raise ConfigError(f"{file}: unknown key '{key}{name}'", suggestion(str(name), known))
    for name in known if required is None else required:
        if name not in document:
            raise ConfigError(f"{file}: the key '{key}{name}' is missing", "add it")
