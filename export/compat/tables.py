"""Operator tables: what one version of a runtime supports, read from `tables/*.yaml`."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.device_configs.names import check_known

_FOLDER = Path(__file__).parent / "tables"
_TITLES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX", "onnxruntime": "onnxruntime"}


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
    """
    check_known(f"table of {runtime}", version, known_tables(runtime))
    document = read_yaml(str(_FOLDER / f"{runtime}-{version}.yaml"))
    rows = {name: _row(row) for name, row in document["operators"].items()}
    unsupported = frozenset(document["unsupported"] or ())
    shared: dict[str, Any] = {"runtime": runtime, "version": version, "source": document["source"]}
    if "base" in document:
        base = load_table(*document["base"].split("-"))
        kept = {name: row for name, row in base.operators.items() if name not in unsupported}
        return replace(
            base,
            **shared,
            operators={**kept, **rows},
            unsupported=base.unsupported | unsupported,
            base=base.title,
        )
    return Table(
        **shared,
        opset=(document["opset"]["min"], document["opset"]["max"]),
        ir=document["ir"],
        tensors=frozenset(document["tensors"].split()),
        casts=document["casts"],
        operators=rows,
        unsupported=unsupported,
    )


def _row(row: Mapping[str, Any]) -> Row:
    types = row["types"].split() + row.get("also", "").split()
    rules = []
    for rule in row.get("rules", ()):
        arguments = {key: value for key, value in rule.items() if key not in ("rule", "answer")}
        rules.append(Rule(rule["rule"], arguments, rule.get("answer", False)))
    since = row.get("since", 1)
    return Row(since, None if types == ["any"] else frozenset(types), tuple(rules))
