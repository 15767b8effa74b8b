"""A part made to fit its target: rewritten, cut where it must be, and a report of what was done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from splitwatt.device_configs.errors import ExportError
from splitwatt.device_configs.targets import Target
from splitwatt.export.compat.check import Finding, check_model
from splitwatt.export.compat.cut import Crossing, Cut, plan_cut
from splitwatt.export.compat.extract import extract
from splitwatt.export.compat.fold import fold
from splitwatt.export.compat.rewrites import Rewritten, rewrite
from splitwatt.export.compat.tables import Table, load_table

# As the rules write a tensor's name behind its position: "input 1 ('K') is an initializer".
_TENSOR_NAME = re.compile(r" \('[^']*'\)")


@dataclass(frozen=True)
class Piece:
    """One graph to deploy: the part's own name, or that with `.2` for what comes after a cut.

    runtime: `tensorrt` where TensorRT can run it (onnxruntime always can), else `onnxruntime`.
    macs: its multiply-accumulates at the stated sizes, None where they depend on the image.
    """

    name: str
    runtime: str
    model: ModelProto
    macs: int | None = None


@dataclass(frozen=True)
class CutReport:
    """Where a part was cut: nodes on both sides, what crosses, products kept before the cut."""

    nodes_before: int
    nodes_after: int
    macs_before: int | None
    macs_total: int | None
    crossing: tuple[Crossing, ...]


@dataclass(frozen=True)
class Report:
    """What was done to a part so that its target runs it; `lines` for people, `to_json` for files.

    tables: titles of the operator tables that it was held against.
    folded: nodes that were replaced by constants.
    reasons: operator and reason -> how many nodes, for what TensorRT does not run.
    """

    part: str
    tables: tuple[str, ...]
    folded: int
    rewritten: tuple[Rewritten, ...]
    cut: CutReport | None
    reasons: Mapping[str, int]
    on_tensorrt: str

    def to_json(self) -> dict[str, Any]:
        """The report as JSON: plain lists, texts and numbers."""
        return {
            "part": self.part,
            "tables": list(self.tables),
            "on_tensorrt": self.on_tensorrt,
            "folded": self.folded,
            "rewritten": [
                {"node": r.node_name, "op": r.op_type, "into": list(r.into), "reason": r.reason}
                for r in self.rewritten
            ],
            "cut": _cut_json(self.cut),
            "reasons": [{"reason": text, "nodes": count} for text, count in self.reasons.items()],
        }

    def lines(self) -> list[str]:
        """What to print: one line per kind of change, nothing for a part that fits as it is."""
        if self.on_tensorrt == "not asked" or (self.on_tensorrt == "whole" and not self.rewritten):
            return []
        said = {
            "whole": "TensorRT runs all of it",
            "cut": "cut in two",
            "none": "left to onnxruntime: no operator that multiplies matrices fits TensorRT",
        }
        found = [f"{self.part}: {said[self.on_tensorrt]} ({', '.join(self.tables)})"]
        for (op, into), count in Counter((r.op_type, r.into) for r in self.rewritten).items():
            found.append(f"  rewritten: {count} x {op} as {', '.join(dict.fromkeys(into))}")
        if self.cut:
            found.append(_cut_line(self.cut))
            found += [f"    {_crossing_text(crossing)}" for crossing in self.cut.crossing]
        found += [f"  why: {count} x {text}" for text, count in self.reasons.items()]
        return found


@dataclass(frozen=True)
class Fitted:
    """A part's graphs in the order they run, and the report."""

    pieces: tuple[Piece, ...]
    report: Report


def tables_of(target: Target) -> tuple[Table | None, Table]:
    """TensorRT's table, None for a target without it, and onnxruntime's."""
    tensorrt, runtime = target.operators["tensorrt"], target.operators["onnxruntime"]
    return (
        load_table("tensorrt", tensorrt) if tensorrt else None,
        load_table("onnxruntime", runtime or "1.10"),
    )


def fit(
    model: ModelProto,
    name: str,
    target: Target,
    sizes: Mapping[str, Sequence[int]] | None = None,
    plugins: Collection[str] = (),
    avoid: Collection[str] = (),
) -> Fitted:
    """Make a part run on `target`, `model` itself left as it is.

    The opset and IR version must be within what the target's tools read. Every piece runs on the
    target's onnxruntime; where the target has TensorRT, the first piece runs there too.

    Args:
        name: the part's name; what comes after a cut is `NAME.2`.
        sizes: shapes of the inputs to count multiply-accumulates at.
        plugins, avoid: as in `plan_cut`.

    Raises:
        ExportError: a node that neither runtime of the target runs, in one sentence.
    """
    tensorrt, runtime = tables_of(target)
    opset, ir = target.facts.get("opset_ceiling"), target.facts.get("ir_ceiling")
    return fit_to(
        model, name, tensorrt, runtime, sizes, plugins, avoid, target.name,
        opset_limit=opset.value if opset else None, ir_limit=ir.value if ir else None,
    )  # fmt: skip


def fit_to(
    model: ModelProto,
    name: str,
    tensorrt: Table | None,
    runtime: Table,
    sizes: Mapping[str, Sequence[int]] | None = None,
    plugins: Collection[str] = (),
    avoid: Collection[str] = (),
    target: str = "the target",
    opset_limit: int | None = None,
    ir_limit: int | None = None,
) -> Fitted:
    """Like `fit`, for two operator tables; without `tensorrt` the part stays whole."""
    whole = ModelProto()
    whole.CopyFrom(model)
    rewritten = rewrite(whole, runtime)
    if tensorrt is None:
        _demand(check_model(whole, runtime, opset_limit, ir_limit), name, target)
        report = Report(name, (runtime.title,), 0, tuple(rewritten), None, {}, "not asked")
        return Fitted((Piece(name, "onnxruntime", whole),), report)
    folded = fold(whole)
    rewritten += rewrite(whole, tensorrt, plugins)
    cut = plan_cut(whole, tensorrt, sizes, plugins, avoid)
    pieces = _pieces(whole, name, cut)
    for piece in pieces:
        found: list[Finding] = []
        if piece.runtime == "tensorrt":
            found += check_model(piece.model, tensorrt, opset_limit, None, plugins)
        found += check_model(piece.model, runtime, None, ir_limit, plugins)
        _demand(found, name, target)
    report = Report(
        part=name,
        tables=(tensorrt.title, runtime.title),
        folded=folded,
        rewritten=tuple(rewritten),
        cut=_cut_report(cut) if cut and cut.prefix else None,
        reasons=_counted(cut.reasons if cut else ()),
        on_tensorrt="whole" if cut is None else "cut" if cut.prefix else "none",
    )
    return Fitted(pieces, report)


def _pieces(model: ModelProto, name: str, cut: Cut | None) -> tuple[Piece, ...]:
    if cut is None:
        return (Piece(name, "tensorrt", model),)
    if not cut.prefix:
        return (Piece(name, "onnxruntime", model, cut.macs_total),)
    head, tail = extract(model, cut, f"{name}_cut")
    left = None if cut.macs_total is None else cut.macs_total - (cut.macs_prefix or 0)
    return (
        Piece(name, "tensorrt", head, cut.macs_prefix),
        Piece(f"{name}.2", "onnxruntime", tail, left),
    )


def _demand(found: list[Finding], part: str, target: str) -> None:
    """Raise for what is found, the first of it in full."""
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ExportError(
            f"{target} cannot run the part '{part}': {found[0].place}: {found[0].reason}{more}",
            found[0].remedy,
        )


def _counted(findings: Collection[Finding]) -> dict[str, int]:
    """Reasons without the names of nodes and tensors, with how many nodes each holds for."""
    texts = (f"{f.op_type} ({f.rule}): {_TENSOR_NAME.sub('', f.reason)}" for f in findings)
    return dict(Counter(texts).most_common())


def _cut_report(cut: Cut) -> CutReport:
    return CutReport(
        len(cut.prefix), len(cut.remainder), cut.macs_prefix, cut.macs_total, cut.crossing
    )


def _cut_json(cut: CutReport | None) -> dict[str, Any] | None:
    if cut is None:
        return None
    crossing = [
        {"name": c.name, "dtype": c.dtype, "as_dtype": c.as_dtype,
         "shape": None if c.shape is None else list(c.shape)}
        for c in cut.crossing
    ]  # fmt: skip
    return {
        "nodes_before": cut.nodes_before,
        "nodes_after": cut.nodes_after,
        "macs_before": cut.macs_before,
        "macs_total": cut.macs_total,
        "crossing": crossing,
    }


def _cut_line(cut: CutReport) -> str:
    kept = ""
    if cut.macs_before is not None and cut.macs_total:
        share = 100 * cut.macs_before / cut.macs_total
        kept = f", {share:.1f} % of the multiply-accumulates before it"
    return (
        f"  cut: {cut.nodes_before} nodes before it, {cut.nodes_after} after{kept}; "
        f"{len(cut.crossing)} tensors cross"
    )


def _crossing_text(crossing: Crossing) -> str:
    sizes = "?" if crossing.shape is None else "x".join(str(d or "?") for d in crossing.shape)
    on_its_way = "" if crossing.dtype == crossing.as_dtype else f" as {crossing.as_dtype}"
    return f"{crossing.name}: {crossing.dtype}{on_its_way} {sizes}"
