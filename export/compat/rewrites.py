"""Exact rewrites: operators that a runtime lacks, written with operators that it has.

A rewrite takes one node and returns nodes that compute the same outputs, bit for bit on integers
and to rounding on floats, or None if it cannot. It is applied only to nodes that do not fit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper, numpy_helper

from splitwatt.engines.bundle.manifest import RewrittenNode
from splitwatt.export.compat.check import check_node
from splitwatt.export.compat.fold import refill
from splitwatt.export.compat.tables import Table
from splitwatt.export.compat.view import View, attribute_of, label_of, view_of

_FLOATS = ("float16", "float32", "float64")
_INTEGERS = ("int8", "int32", "int64")
_LARGEST_K = 3840  # of TensorRT's TopK layer


class Builder:
    """Collects the nodes that replace one node, with new names."""

    def __init__(self, node: NodeProto) -> None:
        self.nodes: list[NodeProto] = []
        self._stem = label_of(node)

    def add(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Append a node of one output; returns its name (a fresh one unless `output` is given)."""
        name = output or f"{self._stem}_{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{name}_node", **attributes))
        return name

    def constant(self, value: Any, dtype: str) -> str:
        """Append a Constant node."""
        tensor = numpy_helper.from_array(np.asarray(value, dtype))
        return self.add("Constant", [], value=tensor)


def hard_swish(node: NodeProto, view: View) -> list[NodeProto] | None:
    """HardSwish(x) = x * max(0, min(1, x / 6 + 1 / 2))."""
    new = Builder(node)
    gate = new.add("HardSigmoid", [node.input[0]], alpha=1 / 6, beta=0.5)
    new.add("Mul", [node.input[0], gate], node.output[0])
    return new.nodes


def top_k(node: NodeProto, view: View) -> list[NodeProto] | None:
    """The smallest as the largest of the negated, a computed K as a slice of a constant one.

    A computed K has a bound if the dimension is fixed, or if K is the minimum of something and a
    constant. If there may be fewer elements than that constant, minus infinity is appended: of equal
    values TopK takes the first, so no appended value is among the K.
    """
    dtype = view.dtype(node.input[0])
    smallest = not attribute_of(node, "largest", 1)
    axis: Any = attribute_of(node, "axis", -1)
    bound, filling = (None, None) if view.is_constant(node.input[1]) else _bound(node, axis, view)
    unsorted = not attribute_of(node, "sorted", 1)
    if dtype not in (*_FLOATS, *_INTEGERS) or not (smallest or unsorted or bound is not None):
        return None
    new = Builder(node)
    x, k = node.input
    if smallest:
        x = new.add("Neg", [x])
    if filling is not None and dtype is not None:
        x = new.add("Concat", [x, new.constant(filling, dtype)], axis=axis)
    count = k if bound is None else new.constant([bound], "int64")
    names = [f"{label_of(node)}_top_{i}" for i in range(2)]
    new.nodes.append(
        helper.make_node("TopK", [x, count], names, name=f"{names[0]}_node", axis=axis, sorted=1)
    )
    values, indices = names
    if bound is not None:
        span = [new.constant([0], "int64"), k, new.constant([axis], "int64")]
        values, indices = (new.add("Slice", [name, *span]) for name in (values, indices))
    if node.output[0]:
        new.add("Neg" if smallest else "Identity", [values], node.output[0])
    if len(node.output) > 1 and node.output[1]:
        new.add("Identity", [indices], node.output[1])
    return new.nodes


def _bound(node: NodeProto, axis: int, view: View) -> tuple[int | None, np.ndarray | None]:
    """The largest K of a TopK, None if that is unknown or too large; and the values to append.

    The second is None if there are always enough elements.
    """
    shape = view.shape(node.input[0])
    if shape is None:
        return None, None
    least, size = _minimum(node.input[1], view), shape[axis]
    bound = min((b for b in (size, least) if b is not None), default=None)
    if bound is None or bound > _LARGEST_K:
        return None, None
    if size is not None:
        return bound, None
    filled = [bound if index == axis % len(shape) else side for index, side in enumerate(shape)]
    sides = [side for side in filled if side is not None]
    if len(sides) < len(filled) or view.dtype(node.input[0]) not in _FLOATS:
        return None, None
    return bound, np.full(sides, -np.inf)


def _minimum(name: str, view: View) -> int | None:
    """A constant that the computed tensor `name` cannot exceed, by the nodes that make it."""
    makers = {n: node for node in view.graph.node for n in node.output}
    while name in makers:
        maker = makers[name]
        if maker.op_type in ("ReduceMin", "Min"):
            given = list(maker.input)
            if maker.op_type == "ReduceMin" and makers.get(given[0]) is not None:
                joined = makers[given[0]]
                given = list(joined.input) if joined.op_type == "Concat" else []
            known = [
                int(np.max(v)) for n in given if (v := view.constant(n)) is not None and v.size
            ]
            return min(known, default=None)
        if maker.op_type not in ("Cast", "Reshape", "Squeeze", "Unsqueeze", "Identity"):
            return None
        name = maker.input[0]
    return None


def reduce_integers(node: NodeProto, view: View) -> list[NodeProto] | None:
    """ReduceMin or ReduceMax of the few integers in a vector, as Min or Max of its elements."""
    shape, dtype = view.shape(node.input[0]), view.dtype(node.input[0])
    few = shape is not None and len(shape) == 1 and 0 < (shape[0] or 0) <= 8
    if shape is None or not few or dtype not in _INTEGERS or len(node.input) > 1:
        return None
    new = Builder(node)
    # Elements stay vectors of one where the reduced dimension is kept, else they are scalars.
    kept = bool(attribute_of(node, "keepdims", 1))
    places = [np.array([i] if kept else i) for i in range(shape[0] or 0)]
    elements = [
        new.add("Gather", [node.input[0], new.constant(place, "int64")], axis=0) for place in places
    ]
    new.add(node.op_type.replace("Reduce", ""), elements, node.output[0])
    return new.nodes


def clip(node: NodeProto, view: View) -> list[NodeProto] | None:
    """Clip by Max and Min, which take types that Clip does not."""
    given = [name for name in node.input[1:3] if name]
    if view.opset < 11 or not given:
        return None
    new = Builder(node)
    name = node.input[0]
    bounds = [(op, n) for op, n in zip(("Max", "Min"), node.input[1:3], strict=False) if n]
    for index, (op, limit) in enumerate(bounds):
        name = new.add(op, [name, limit], node.output[0] if index == len(bounds) - 1 else "")
    return new.nodes


def layer_norm(node: NodeProto, view: View) -> list[NodeProto] | None:
    """LayerNormalization by means, in the type that it is given."""
    shape, dtype = view.shape(node.input[0]), view.dtype(node.input[0])
    if shape is None or dtype not in _FLOATS or any(node.output[1:]) or view.opset >= 18:
        return None
    new = Builder(node)
    axis: Any = attribute_of(node, "axis", -1)
    axes = list(range(axis % len(shape), len(shape)))
    centred = new.add("Sub", [node.input[0], new.add("ReduceMean", [node.input[0]], axes=axes)])
    variance = new.add("ReduceMean", [new.add("Mul", [centred, centred])], axes=axes)
    epsilon = new.constant(attribute_of(node, "epsilon", 1e-5), dtype)
    width = new.add("Sqrt", [new.add("Add", [variance, epsilon])])
    last = new.add("Div", [centred, width])
    last = new.add("Mul", [last, node.input[1]], "" if len(node.input) > 2 else node.output[0])
    if len(node.input) > 2:
        new.add("Add", [last, node.input[2]], node.output[0])
    return new.nodes


Rewrite = Callable[[NodeProto, View], "list[NodeProto] | None"]
REWRITES: dict[str, Rewrite] = {
    "Clip": clip,
    "HardSwish": hard_swish,
    "LayerNormalization": layer_norm,
    "ReduceMax": reduce_integers,
    "ReduceMin": reduce_integers,
    "TopK": top_k,
}


def rewrite(model: ModelProto, table: Table) -> list[RewrittenNode]:
    """Rewrite, in place, every node that does not fit `table` and has a rewrite."""
    return _rewrite_graph(model.graph, view_of(model), table)


def _rewrite_graph(graph: GraphProto, view: View, table: Table) -> list[RewrittenNode]:
    done: list[RewrittenNode] = []
    nodes: list[NodeProto] = []
    for node, seen in zip(graph.node, view.graph.node, strict=True):
        bodies = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        for body, (_, inner) in zip(bodies, view.inner(seen), strict=True):
            done += _rewrite_graph(body, inner, table)
        make = REWRITES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        findings = check_node(seen, view, table) if make else []
        new = make(seen, view) if make and findings else None
        if new is None or any(n.op_type not in table.operators for n in new):
            nodes.append(node)
            continue
        nodes += new
        into = [n.op_type for n in new if n.op_type not in ("Constant", "Identity")]
        done.append(RewrittenNode(label_of(node), node.op_type, into, findings[0].reason))
    if done:
        refill(graph.node, nodes)
    return done
