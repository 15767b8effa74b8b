"""Constant folding that knows shapes: all that depends only on a fixed input size is computed."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnxruntime
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

from splitwatt.export.compat.view import (
    View,
    attribute_of,
    constant_value,
    rename,
    uses_of,
    view_of,
)

# Folding one of these would freeze a random draw.
RANDOM = frozenset(("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike",
                    "Multinomial", "Bernoulli"))  # fmt: skip
# Its result is quicker to compute than to read.
_KEPT = RANDOM | {"DequantizeLinear"}
_LARGEST_ELEMENTS = 1 << 22


def fold(model: ModelProto) -> int:
    """Replace, in place, every node that computes a constant, also inside If and Loop.

    Shapes of tensors of fixed size count as constants, If with a known condition becomes its
    branch, and unused nodes are removed. Returns how many nodes were removed.
    """
    before = len(model.graph.node)
    while _fold_graph(model, model.graph, view_of(model), main=True):
        pass
    drop_dead(model.graph)
    return before - len(model.graph.node)


def _fold_graph(model: ModelProto, graph: GraphProto, view: View, main: bool) -> bool:
    """One pass over `graph`; `view` shows a copy of it with shapes. True if anything changed."""
    changed = False
    for node, seen in zip(graph.node, view.graph.node, strict=True):
        bodies = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        for body, (_, inner) in zip(bodies, view.inner(seen), strict=True):
            changed |= _fold_graph(model, body, inner, main=False)
    known: dict[str, np.ndarray] = {}
    rest: list[NodeProto] = []
    for node in graph.node:
        value = _at_once(node, view, known) if main or node.op_type != "Constant" else None
        if value is not None:
            known[node.output[0]] = value
        elif node.op_type == "If" and (body := _known_branch(node, view, known)) is not None:
            rest += body
            changed = True
        else:
            rest.append(node)
    constant = _constant_nodes(view, rest, known)
    known |= _compute(model, view, constant, known)
    rest = [n for n in rest if not all(name in known for name in n.output if name)]
    refill(graph.node, rest)
    needed = {name for node in rest for name in uses_of(node)} | {v.name for v in graph.output}
    tensors = [numpy_helper.from_array(v, n) for n, v in known.items() if n in needed]
    if main:
        graph.initializer.extend(tensors)
    else:
        constants = [helper.make_node("Constant", [], [t.name], value=t) for t in tensors]
        refill(graph.node, [*constants, *rest])
    return changed or bool(known)


def _at_once(node: NodeProto, view: View, known: dict[str, np.ndarray]) -> np.ndarray | None:
    """The values of Constant, and of Shape and Size where the size is fixed."""
    if node.op_type == "Constant":
        return constant_value(node)
    if node.op_type not in ("Shape", "Size") or node.input[0] in known:
        return None
    shape = view.shape(node.input[0])
    if shape is None or None in shape:
        return None
    if node.op_type == "Size":
        return np.asarray(math.prod(d or 0 for d in shape), np.int64)
    start: Any = attribute_of(node, "start", 0)
    end: Any = attribute_of(node, "end", len(shape))
    return np.asarray(shape[start:end], np.int64)


def _known_branch(
    node: NodeProto, view: View, known: dict[str, np.ndarray]
) -> list[NodeProto] | None:
    """The branch that an If with a constant condition takes, under its outputs' names."""
    condition = known.get(node.input[0], view.constant(node.input[0]))
    if condition is None:
        return None
    taken: Any = attribute_of(node, "then_branch" if condition.reshape(-1)[0] else "else_branch")
    body = GraphProto.FromString(taken.SerializeToString())
    own = [t.name for t in body.initializer] + [n for inner in body.node for n in inner.output if n]
    # The branches of another If may have the same names.
    rename(body, {name: f"{node.output[0]}_{name}" for name in own})
    nodes = list(body.node)
    nodes[:0] = [helper.make_node("Constant", [], [t.name], value=t) for t in body.initializer]
    for value, name in zip(body.output, node.output, strict=True):
        nodes.append(helper.make_node("Identity", [value.name], [name], name=f"{name}_branch"))
    return nodes


def _constant_nodes(
    view: View, nodes: Iterable[NodeProto], known: dict[str, np.ndarray]
) -> list[NodeProto]:
    names = set(known)
    constant = []
    for node in nodes:
        uses = uses_of(node)
        if not uses or node.op_type in _KEPT or node.domain:
            continue
        if all(name in names or view.is_constant(name) for name in uses):
            constant.append(node)
            names.update(node.output)
    return constant


def _compute(
    model: ModelProto, view: View, nodes: list[NodeProto], known: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The results of constant nodes, by onnxruntime, without large ones."""
    if not nodes:
        return {}
    made = {name for node in nodes for name in node.output if name}
    given = {name for node in nodes for name in uses_of(node)} - made
    initializers = []
    for name in sorted(given):
        value = known.get(name, view.constant(name))
        initializers.append(numpy_helper.from_array(np.asarray(value), name))
    values = run_constants(model, nodes, initializers, sorted(made))
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, np.ndarray) and value.size <= _LARGEST_ELEMENTS
    }


def run_constants(
    model: ModelProto, nodes: list[NodeProto], given: list[TensorProto], wanted: list[str]
) -> dict[str, Any]:
    """The tensors `wanted` that `nodes` of `model` compute from `given`, by onnxruntime."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in wanted]
    graph = helper.make_graph(nodes, "constants", [], outputs, given)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        part.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(wanted, session.run(wanted, {}), strict=True))


def drop_dead(graph: GraphProto) -> None:
    """Remove nodes and initializers that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= uses_of(node)
    refill(graph.node, kept[::-1])
    refill(graph.initializer, [t for t in graph.initializer if t.name in needed])


def refill(repeated: Any, items: Iterable[Any]) -> None:
    """Replace the content of a repeated field of a message by `items`."""
    items = list(items)
    del repeated[:]
    repeated.extend(items)
