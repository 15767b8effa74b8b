"""Fits a part to its target: rewrites it, cuts it where it must, and reports both."""

import copy
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from onnx import ModelProto

from splitwatt.device_configs.errors import ConfigError, ExportError
from splitwatt.device_configs.targets import Target
from splitwatt.engines.bundle.manifest import (
    CUT,
    NONE,
    NOT_ASKED,
    WHOLE,
    CrossingTensor,
    CutReason,
    PartCut,
    PartFit,
)
from splitwatt.export.compat.check import Finding, check_model, check_versions
from splitwatt.export.compat.cut import Cut, extract, plan_cut, plan_return
from splitwatt.export.compat.fold import fold
from splitwatt.export.compat.rewrites import rewrite
from splitwatt.export.compat.tables import Table, load_table
from splitwatt.export.compat.view import Shape

_SAID = {
    WHOLE: "TensorRT runs all of it",
    CUT: "cut, the pieces run in turn by TensorRT and onnxruntime",
    NONE: "left to onnxruntime: no operator that multiplies matrices fits TensorRT",
}
# As the rules write a tensor's name after its position: "input 1 ('K') is an initializer".
_TENSOR_NAME = re.compile(r" \('[^']*'\)")


@dataclass(frozen=True)
class Piece:
    """One graph to deploy, with the part's own name, or with `.2`, `.3`, ... after a cut.

    runtime: `tensorrt` if TensorRT can run it (onnxruntime always can), else `onnxruntime`.
    largest: input -> its largest shape, for inputs whose length depends on the image's content.
    """

    name: str
    runtime: str
    model: ModelProto
    largest: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """A part's graphs in the order they run, and the report for the manifest."""

    pieces: tuple[Piece, ...]
    report: PartFit


def lines_of(report: PartFit) -> list[str]:
    """Lines to print, one for each kind of change; none for a part that fits unchanged."""
    if report.on_tensorrt == NOT_ASKED or (report.on_tensorrt == WHOLE and not report.rewritten):
        return []
    lines = [f"{report.part}: {_SAID[report.on_tensorrt]} ({', '.join(report.tables)})"]
    for (op, into), count in Counter((r.op, tuple(r.into)) for r in report.rewritten).items():
        lines.append(f"  rewritten: {count} x {op} as {', '.join(dict.fromkeys(into))}")
    if report.cut:
        lines.append(_cut_line(report.cut))
        lines += [f"    {_crossing_text(crossing)}" for crossing in report.cut.crossing]
    return lines + [f"  why: {reason.nodes} x {reason.reason}" for reason in report.reasons]


def tables_of(target: Target) -> tuple[Table | None, Table]:
    """TensorRT's table, None for a target without it, and onnxruntime's.

    If TensorRT for RTX serves the target too, the first is its table, a subset of TensorRT's.

    Raises:
        ConfigError: the table of TensorRT for RTX narrows another version of TensorRT.
    """
    names = target.operators
    version, rtx = names["tensorrt"], names.get("tensorrt_rtx")
    runtime = load_table("onnxruntime", names["onnxruntime"] or "1.10")
    table = load_table("tensorrt", version) if version else None
    if rtx:
        narrow = load_table("tensorrt_rtx", rtx)
        if table is not None and narrow.base != table.title:
            raise ConfigError(
                f"{target.name}: parts for {narrow.title} and {table.title} are not known, only for "
                f"{narrow.base}",
                "write that version in the target's operators",
            )
        return narrow, runtime
    return table, runtime


def fit(
    model: ModelProto,
    name: str,
    target: Target,
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> Fitted:
    """Fit a part to `target`; `model` itself is not changed.

    The opset and IR version must be within what the target's tools read. Every piece runs on the
    target's onnxruntime; where the target has TensorRT, every second piece runs there too, the first
    one and those that bring products back to it.

    Args:
        name: the part's name; what comes after a cut is `NAME.2`, and so on.
        sizes: shapes of the inputs to count multiply-accumulates at.

    Raises:
        ExportError: a node that no runtime of the target runs.
    """
    tensorrt, runtime = tables_of(target)
    opset, ir = target.facts.get("opset_ceiling"), target.facts.get("ir_ceiling")
    return fit_to(
        model, name, tensorrt, runtime, sizes, target.name,
        opset_limit=opset.value if opset else None, ir_limit=ir.value if ir else None,
    )  # fmt: skip


def fit_to(
    model: ModelProto,
    name: str,
    tensorrt: Table | None,
    runtime: Table,
    sizes: Mapping[str, Sequence[int]] | None = None,
    target: str = "the target",
    opset_limit: int | None = None,
    ir_limit: int | None = None,
) -> Fitted:
    """Like `fit`, for two operator tables; without `tensorrt` the part stays whole."""
    whole = copy.deepcopy(model)
    rewritten = rewrite(whole, runtime)
    if tensorrt is None:
        _demand(check_model(whole, runtime, opset_limit, ir_limit), name, target)
        report = PartFit(name, [runtime.title], NOT_ASKED, 0, rewritten, None, [])
        return Fitted((Piece(name, "onnxruntime", whole),), report)
    folded = fold(whole)
    rewritten += rewrite(whole, tensorrt)
    opset_limit = min(opset_limit or runtime.opset[1], runtime.opset[1], tensorrt.opset[1])
    # Before the cut, whose tensors have other names than the user's.
    findings = list(check_versions(whole, tensorrt, opset_limit, None))
    _demand(findings + check_model(whole, runtime, opset_limit, ir_limit), name, target)
    pieces, cuts = _pieces(whole, name, tensorrt, sizes)
    for piece in pieces:
        if piece.runtime == "tensorrt":
            _demand(check_model(piece.model, tensorrt), name, target)
    was_cut = bool(cuts) and bool(cuts[0].prefix)
    report = PartFit(
        part=name,
        tables=[title for title in (tensorrt.base, tensorrt.title, runtime.title) if title],
        on_tensorrt=CUT if was_cut else NONE if cuts else WHOLE,
        folded=folded,
        rewritten=rewritten,
        cut=_cut_report(cuts) if was_cut else None,
        reasons=_counted(cuts[0].reasons if cuts else ()),
    )
    return Fitted(pieces, report)


def _pieces(
    model: ModelProto,
    name: str,
    table: Table,
    sizes: Mapping[str, Sequence[int]] | None,
) -> tuple[tuple[Piece, ...], list[Cut]]:
    """A part as pieces that TensorRT and onnxruntime run in turn, and the cuts between them."""
    pieces: list[Piece] = []
    cuts: list[Cut] = []
    largest: dict[str, Shape] = {}
    at = dict(sizes or {})
    rest: ModelProto | None = model
    while rest is not None:
        for_tensorrt = len(pieces) % 2 == 0
        cut = plan_cut(rest, table, at) if for_tensorrt else plan_return(rest, table)
        for_tensorrt = for_tensorrt and (cut is None or bool(cut.prefix))
        head, tail = rest, None
        if cut is not None:
            if cut.prefix:
                prefix = f"{name}_cut{len(cuts) + 1}" if cuts else f"{name}_cut"
                head, tail = extract(rest, cut, prefix)
                taken = tail.graph.input[len(tail.graph.input) - len(cut.crossing) :]
                for crossing, port in zip(cut.crossing, taken, strict=True):
                    shape = cut.largest.get(crossing.name)
                    if shape is not None:
                        largest[port.name] = shape
                        if None not in shape:
                            at[port.name] = [side or 0 for side in shape]
            cuts.append(cut)
        known = {v.name: largest[v.name] for v in head.graph.input if v.name in largest}
        number = f".{len(pieces) + 1}" if pieces else ""
        runtime = "tensorrt" if for_tensorrt else "onnxruntime"
        pieces.append(Piece(name + number, runtime, head, known if for_tensorrt else {}))
        rest = tail
    return tuple(pieces), cuts


def _demand(findings: list[Finding], part: str, target: str) -> None:
    """Raise an error that names the first finding, if there is any."""
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise ExportError(
            f"{target} cannot run the part '{part}': {findings[0].place}: {findings[0].reason}{more}",
            findings[0].remedy,
        )


def _counted(findings: Collection[Finding]) -> list[CutReason]:
    """Reasons without the names of nodes and tensors, with the number of nodes."""
    texts = (f"{f.op_type} ({f.rule}): {_TENSOR_NAME.sub('', f.reason)}" for f in findings)
    return [CutReason(text, count) for text, count in Counter(texts).most_common()]


def _cut_report(cuts: Sequence[Cut]) -> PartCut:
    """The share of each runtime: cuts 0, 2, ... end a piece of TensorRT, the others one of onnxruntime."""
    heads, backs = cuts[::2], cuts[1::2]
    before = [cut.macs_prefix for cut in heads]
    nodes = sum(len(cut.prefix) for cut in heads)
    after = sum(len(cut.prefix) for cut in backs)
    last = len(cuts[-1].remainder)
    ends_on_tensorrt = len(cuts) % 2 == 0
    return PartCut(
        nodes + last * ends_on_tensorrt,
        after + last * (not ends_on_tensorrt),
        None if None in before else sum(m or 0 for m in before),
        cuts[0].macs_total,
        [crossing for cut in cuts for crossing in cut.crossing],
    )


def _cut_line(cut: PartCut) -> str:
    kept = ""
    if cut.macs_before is not None and cut.macs_total:
        share = 100 * cut.macs_before / cut.macs_total
        kept = f" with {share:.1f} % of the multiply-accumulates"
    return (
        f"  cut: {cut.nodes_before} nodes in TensorRT{kept}, {cut.nodes_after} in onnxruntime; "
        f"{len(cut.crossing)} tensors cross"
    )


def _crossing_text(crossing: CrossingTensor) -> str:
    sizes = "?" if crossing.shape is None else "x".join(str(d or "?") for d in crossing.shape)
    on_its_way = "" if crossing.dtype == crossing.as_dtype else f" as {crossing.as_dtype}"
    return f"{crossing.name}: {crossing.dtype}{on_its_way} {sizes}"
