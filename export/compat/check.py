"""Checks every node of a model against an operator table: is it refused, or computed wrongly?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, defs

from splitwatt.export.compat.rules import RULES
from splitwatt.export.compat.tables import Table
from splitwatt.export.compat.view import View, label_of, opset_of, view_of

# Operators that are checked by the type of their outputs; their inputs have other types.
_BY_OUTPUT = frozenset(("CastLike", "ConstantOfShape", "EyeLike", "If", "Constant"))
_MODEL = "(model)"


@dataclass(frozen=True)
class Finding:
    """One reason why a model does not fit a runtime.

    Attributes:
        node_name: the node's name, or its first output if it has none; "" for the whole model.
        op_type: its operator.
        reason: what is wrong, one sentence.
        remedy: what to do about it.
        rule: `unsupported`, `unlisted`, `type`, `opset`, `ir`, `edge` or a rule of the table.
        kind: `refused` by the runtime, or `answer`: accepted, but the result differs from ONNX.
    """

    node_name: str
    op_type: str
    reason: str
    remedy: str
    rule: str
    kind: str = "refused"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}; {self.remedy}"

    @property
    def place(self) -> str:
        """The node's operator and name, or `the graph` for the whole model."""
        return f"{self.op_type} '{self.node_name}'" if self.node_name else "the graph"


def check_model(
    model: ModelProto,
    table: Table,
    opset_limit: int | None = None,
    ir_limit: int | None = None,
) -> list[Finding]:
    """All reasons why `model` does not fit `table`; an empty list if it fits.

    Args:
        opset_limit: the target's highest opset, if it is lower than the table's.
        ir_limit: the same for the IR version.
    """
    view = view_of(model)
    findings = [*check_versions(model, table, opset_limit, ir_limit), *_check_edge(view, table)]
    for node in view.graph.node:
        findings += check_node(node, view, table)
    return findings


def check_node(node: NodeProto, view: View, table: Table) -> list[Finding]:
    """All reasons why one node, or a node of the graphs inside it, does not fit."""
    findings = list(_check_operator(node, view, table))
    for _, inner in view.inner(node):
        for deeper in inner.graph.node:
            findings += check_node(deeper, inner, table)
    return findings


def check_versions(
    model: ModelProto, table: Table, opset_limit: int | None, ir_limit: int | None
) -> Iterator[Finding]:
    """Is the model's opset or IR version outside what `table`, or the whole target, reads?"""
    opset = opset_of(model)
    lowest, highest = table.opset
    most = min(highest, opset_limit or highest)
    if not lowest <= opset <= most:
        reads = f"{table.title} reads the opsets {lowest} to {highest}"
        if lowest <= opset <= highest:
            reads = f"the target reads opsets up to {most}"
        yield Finding("", _MODEL, f"{reads}, not {opset}", f"export at opset {most}", "opset")
    ceilings = [limit for limit in (table.ir, ir_limit) if limit]
    if ceilings and model.ir_version > min(ceilings):
        yield Finding(
            "", _MODEL, f"{table.title} reads IR versions up to {min(ceilings)}, not "
            f"{model.ir_version}", f"set its ir_version to {min(ceilings)}", "ir",
        )  # fmt: skip


def _check_edge(view: View, table: Table) -> Iterator[Finding]:
    initializers = {tensor.name for tensor in view.graph.initializer}
    for value in (*view.graph.input, *view.graph.output):
        dtype = view.dtype(value.name)
        if value.name in initializers or dtype is None:
            continue
        if table.cast(dtype) not in table.tensors:
            yield Finding(
                value.name, "(network edge)", f"{table.title} has no {dtype} tensors there",
                "pass it as int32 or float32", "edge",
            )  # fmt: skip


def _check_operator(node: NodeProto, view: View, table: Table) -> Iterator[Finding]:
    name, op = label_of(node), node.op_type
    row = table.operators.get(op) if node.domain in ("", "ai.onnx") else None
    if row is None:
        listed = op in table.unsupported and node.domain in ("", "ai.onnx")
        yield Finding(
            name, op,
            f"{table.title} does not support it" if listed else f"{table.title} does not know it",
            "write it with other operators" if table.runtime == "onnxruntime"
            else "run it with onnxruntime",
            "unsupported" if listed else "unlisted",
        )  # fmt: skip
        return
    if view.opset < row.since:
        yield Finding(
            name, op, f"the operator exists since opset {row.since}, the model has {view.opset}",
            f"export at opset {row.since} or above", "since",
        )  # fmt: skip
    if row.types is not None:
        dtypes = {d for n in data_tensors(node, view.opset) if (d := view.dtype(n))}
        for dtype in sorted(dtypes):
            inside = table.cast(dtype)
            if inside not in row.types:
                there = "" if inside == dtype else f" ({dtype} is {inside} there)"
                yield Finding(
                    name, op,
                    f"{table.title} runs it on {', '.join(sorted(row.types))}, not on {dtype}",
                    f"cast around it{there}", "type",
                )  # fmt: skip
    for rule in row.rules:
        kind = RULES[rule.name]
        wrong = kind.check(node, view, rule.arguments)
        if wrong:
            verb = "computes what ONNX says only where" if rule.answer else "takes it only where"
            yield Finding(
                name, op, f"{table.title} {verb} {wrong}", kind.remedy, rule.name,
                "answer" if rule.answer else "refused",
            )  # fmt: skip


def data_tensors(node: NodeProto, opset: int) -> list[str]:
    """The tensors to which an operator's supported types apply: not its indices, axes, shapes.

    They share the type variable of the first output where an input has it, else the type of the first
    input. An operator that ONNX does not know is judged by all its tensors.
    """
    everything = [name for name in (*node.input, *node.output) if name]
    if not defs.has(node.op_type, node.domain):
        return everything
    since = min(defs.get_schema(node.op_type, domain=node.domain).since_version, max(opset, 1))
    schema = defs.get_schema(node.op_type, max(opset, since), node.domain)
    if schema.deprecated:
        return everything
    variables = {c.type_param_str for c in schema.type_constraints}
    optional = defs.OpSchema.FormalParameterOption.Optional
    needed = [p.type_str for p in schema.inputs if p.option != optional and p.type_str in variables]
    made = schema.outputs[0].type_str if schema.outputs else ""
    if node.op_type == "Cast":
        return everything
    if node.op_type in _BY_OUTPUT:
        return [name for name in node.output if name]
    variable = made if made in needed or not needed else needed[0]
    if variable not in variables:
        return []  # the operator has one type only
    return [
        *_having(variable, schema.inputs, node.input),
        *_having(variable, schema.outputs, node.output),
    ]


def _having(
    variable: str, parameters: Sequence[defs.OpSchema.FormalParameter], names: Sequence[str]
) -> Iterator[str]:
    """The names of the tensors whose parameter has this type variable; the last may repeat."""
    for index, name in enumerate(names):
        if name and parameters and parameters[min(index, len(parameters) - 1)].type_str == variable:
            yield name
