"""Where to cut a part: first as much as TensorRT can run, then the rest for onnxruntime; and the halves.

Later products that TensorRT can run go back to it: `plan_return` finds where onnxruntime's piece ends,
and `plan_cut` cuts the rest again.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from splitwatt.device_configs.errors import ExportError
from splitwatt.engines.bundle.manifest import CrossingTensor
from splitwatt.export.compat.check import Finding, check_node
from splitwatt.export.compat.macs import PRODUCTS, macs_of, sized
from splitwatt.export.compat.tables import Table
from splitwatt.export.compat.view import Shape, View, rename, uses_of, view_of

# A tensor that crosses is copied between two memories; starting a copy costs as much as so many bytes.
_COPY_OVERHEAD_BYTES = 64 * 1024
_NEVER = 1 << 29


@dataclass(frozen=True)
class Cut:
    """Where to cut a model's main graph.

    Attributes:
        prefix: indices of the nodes that the table's runtime runs, with all that they need.
        remainder: the other nodes' indices.
        crossing: the tensors that the remainder takes from the prefix.
        largest: crossing tensor -> its largest shape, if its length depends on the image's content.
        reasons: why nodes of the remainder do not fit.
        macs_prefix, macs_total: multiply-accumulates, None if sizes are unknown.
    """

    prefix: tuple[int, ...]
    remainder: tuple[int, ...]
    crossing: tuple[CrossingTensor, ...]
    largest: Mapping[str, Shape]
    reasons: tuple[Finding, ...]
    macs_prefix: int | None
    macs_total: int | None


def plan_cut(
    model: ModelProto,
    table: Table,
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> Cut | None:
    """The cut with the most multiply-accumulates before it and the fewest bytes to copy.

    A node stays before the cut only if everything it depends on does. Among the cuts that keep
    all products that can be kept, the one whose crossing tensors are cheapest to copy is taken,
    and of equal ones that with most nodes before it.

    Args:
        sizes: shapes of inputs whose size is not fixed, to count products and bytes at.

    Returns:
        None if the whole model fits; a cut with an empty `prefix` if no product fits.
    """
    graph = _Graph(model, table)
    if not graph.misfits:
        return None
    counted = sized(model, sizes)
    lost = graph.followers(graph.misfits)
    core = graph.needed(set(graph.products) - lost)
    prefix = graph.cheapest(core, lost, counted) if core else set()
    reasons = [finding for findings in graph.misfits.values() for finding in findings]
    return graph.cut(prefix, reasons, counted)


def plan_return(model: ModelProto, table: Table) -> Cut | None:
    """Where the rest after a cut goes back to the table's runtime.

    `prefix` then has the nodes that onnxruntime runs before that: the misfits that products with constant
    weights depend on, and all that these need.

    Returns:
        None if no such product follows a misfit.
    """
    graph = _Graph(model, table)
    view = graph.view
    after = graph.followers(graph.misfits) - set(graph.misfits)
    again = [
        i for i in graph.products if i in after
        and view.constant(graph.nodes[i].input[1]) is not None
    ]  # fmt: skip
    if not again:
        return None
    # The products that depend on no other of them, and the misfits before them.
    later = graph.followers(again)
    core = graph.needed((graph.needed(again) - later) & set(graph.misfits))
    return graph.cut(graph.cheapest(core, later, view), [], view)


class _Graph:
    """A model's main graph: its nodes in topological order, and those that do not fit a table."""

    def __init__(self, model: ModelProto, table: Table) -> None:
        self.model, self.table, self.view = model, table, view_of(model)
        self.nodes = list(model.graph.node)
        self.uses = [uses_of(node) for node in self.nodes]
        self.makers = {name: i for i, node in enumerate(self.nodes) for name in node.output if name}
        checked = {i: check_node(n, self.view, table) for i, n in enumerate(self.view.graph.node)}
        self.misfits = {index: findings for index, findings in checked.items() if findings}
        self.products = [i for i, node in enumerate(self.nodes) if node.op_type in PRODUCTS]

    def followers(self, first: Iterable[int]) -> set[int]:
        """`first` and every node that depends on one of them."""
        followers = set(first)
        for index, uses in enumerate(self.uses):
            if any(self.makers.get(name) in followers for name in uses):
                followers.add(index)
        return followers

    def needed(self, last: Iterable[int]) -> set[int]:
        """`last` and every node that they depend on."""
        needed = set(last)
        for index in reversed(range(len(self.nodes))):
            if index in needed:
                needed |= {self.makers[name] for name in self.uses[index] if name in self.makers}
        return needed

    def cheapest(self, core: set[int], lost: set[int], view: View) -> set[int]:
        """The nodes before the cheapest cut between `core` and `lost`: a minimum cut of a flow network.

        A node of the network per node of the graph, and one per tensor: node -> tensor costs the copy,
        tensor -> user and user -> maker cost more than any cut.
        """
        count = len(self.nodes)
        users: dict[str, list[int]] = {}
        for index, uses in enumerate(self.uses):
            for name in uses & self.makers.keys():
                users.setdefault(name, []).append(index)
        source, sink = count + len(users), count + len(users) + 1
        edges: dict[tuple[int, int], int] = {}
        for offset, (name, indices) in enumerate(users.items()):
            edges[self.makers[name], count + offset] = _copy_cost(name, view)
            for index in indices:
                edges[count + offset, index] = _NEVER
                edges[index, self.makers[name]] = _NEVER
        edges.update({(source, index): _NEVER for index in core})
        edges.update({(index, sink): _NEVER for index in lost})
        rows, columns = zip(*edges, strict=True)
        capacity = csr_array(
            (np.fromiter(edges.values(), np.int32), (rows, columns)), (sink + 1, sink + 1)
        )
        rest = (capacity - maximum_flow(capacity, source, sink).flow).T.tocsr()
        rest.eliminate_zeros()
        # The nodes from which something could still flow to the sink.
        after = set(breadth_first_order(rest, sink, return_predecessors=False).tolist())
        return {index for index in range(count) if index not in after}

    def cut(self, prefix: set[int], reasons: Sequence[Finding], counted: View) -> Cut:
        """The cut after these nodes, its products counted in the view `counted`."""
        remainder = [index for index in range(len(self.nodes)) if index not in prefix]
        taken = {name for index in remainder for name in self.uses[index]}
        crossing = [n for n, index in self.makers.items() if index in prefix and n in taken]
        macs = [macs_of(node, counted) for node in counted.graph.node]
        bounded = sized(self.model, None)
        largest = {name: bounded.shape(name) for name in crossing}
        return Cut(
            prefix=tuple(sorted(prefix)),
            remainder=tuple(remainder),
            crossing=tuple(self._crossing(name) for name in crossing),
            largest={name: s for name, s in largest.items() if s and s != self.view.shape(name)},
            reasons=tuple(reasons),
            macs_prefix=_total([macs[index] for index in prefix]),
            macs_total=_total(macs),
        )

    def _crossing(self, name: str) -> CrossingTensor:
        dtype = self.view.dtype(name) or "float32"
        return CrossingTensor(name, dtype, self.table.cast(dtype), self.view.shape(name))


def _copy_cost(name: str, view: View) -> int:
    """The cost of copying a tensor, in KiB; unknown dimensions count as 1."""
    shape = view.shape(name) or ()
    item = np.dtype(view.dtype(name) or "float32").itemsize
    size = item * math.prod(1 if d is None else d for d in shape)
    return (_COPY_OVERHEAD_BYTES + size) // 1024


def _total(macs: Sequence[int | None]) -> int | None:
    known = [count for count in macs if count is not None]
    return sum(known) if len(known) == len(macs) else None


def extract(model: ModelProto, cut: Cut, prefix: str = "cut") -> tuple[ModelProto, ModelProto]:
    """The model before the cut and the one after it.

    A crossing tensor is an output of the first and an input of the second, named `cut_0`, `cut_1`, ...
    (with `prefix` for `cut`). If the first runtime lacks its type, it is cast to the type that replaces
    it there, and cast back. Inputs and outputs of the whole keep their names.

    Raises:
        ExportError: nothing is left to run before the cut.
    """
    if not cut.prefix:
        raise ExportError(
            "no operator that multiplies matrices can run before the cut",
            "run the whole part with onnxruntime",
        )
    outputs = {value.name for value in model.graph.output}
    first = [model.graph.node[index] for index in cut.prefix]
    second = [model.graph.node[index] for index in cut.remainder]
    made: list[ValueInfoProto] = []
    taken: list[ValueInfoProto] = []
    names: dict[str, str] = {}
    for index, crossing in enumerate(cut.crossing):
        name, dtype, as_dtype = crossing.name, crossing.dtype, crossing.as_dtype
        port = f"{prefix}_{index}"
        if name in outputs:
            taken.append(_port(name, name, dtype, crossing))
            continue
        if as_dtype == dtype:
            names[name] = port
        else:
            first.append(_cast(name, port, as_dtype))
            second.insert(0, _cast(port, name, dtype))
        at = name if as_dtype == dtype else port
        made.append(_port(at, port, as_dtype, crossing))
        taken.append(_port(at, port, as_dtype, crossing))
    halves = (_half(model, first, made, [], "_head"), _half(model, second, [], taken, "_tail"))
    for half in halves:
        rename(half.graph, names)
    return halves


def _cast(name: str, to_name: str, dtype: str) -> NodeProto:
    return helper.make_node("Cast", [name], [to_name], name=f"{to_name}_cast", to=_element(dtype))


def _element(dtype: str) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _port(name: str, port: str, dtype: str, crossing: CrossingTensor) -> ValueInfoProto:
    shape: Sequence[int | str] | None = None
    if crossing.shape is not None:
        shape = [f"{port}_{i}" if d is None else d for i, d in enumerate(crossing.shape)]
    return helper.make_tensor_value_info(name, _element(dtype), shape)


def _half(
    model: ModelProto,
    nodes: list[NodeProto],
    made: list[ValueInfoProto],
    taken: list[ValueInfoProto],
    suffix: str,
) -> ModelProto:
    used = {name for node in nodes for name in uses_of(node)}
    produced = {name for node in nodes for name in node.output}
    graph = helper.make_graph(
        nodes,
        model.graph.name + suffix,
        [v for v in model.graph.input if v.name in used] + taken,
        [v for v in model.graph.output if v.name in produced] + made,
        [t for t in model.graph.initializer if t.name in used],
    )
    half = helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )
    half.functions.extend(model.functions)
    return half
