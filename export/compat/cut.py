"""Where to cut a part: first as much as TensorRT can run, then the rest for onnxruntime.

Later products that TensorRT can run go back to it: `plan_return` finds where onnxruntime's piece ends,
and `plan_cut` cuts the rest again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from splitwatt.engines.bundle.manifest import CrossingTensor
from splitwatt.export.compat.check import Finding, check_node
from splitwatt.export.compat.macs import PRODUCTS, macs_of, sized
from splitwatt.export.compat.tables import Table
from splitwatt.export.compat.view import Shape, View, uses_of, view_of

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
    view = view_of(model)
    nodes = list(model.graph.node)
    misfits = _misfits(view, table)
    if not misfits:
        return None
    counted = sized(model, sizes)
    makers = _makers(nodes)
    lost = _followers(nodes, makers, misfits)
    core = _needed(
        nodes, makers, [i for i in range(len(nodes)) if i not in lost and _is_product(nodes[i])]
    )
    prefix = _cheapest(nodes, makers, core, lost, counted) if core else set()
    return _cut(model, nodes, makers, prefix, misfits, view, counted, table)


def plan_return(model: ModelProto, table: Table) -> Cut | None:
    """Where the rest after a cut goes back to the table's runtime.

    `prefix` then has the nodes that onnxruntime runs before that: the misfits that products with constant
    weights depend on, and all that these need.

    Returns:
        None if no such product follows a misfit.
    """
    view = view_of(model)
    nodes = list(model.graph.node)
    makers = _makers(nodes)
    misfits = _misfits(view, table)
    after = _followers(nodes, makers, misfits)
    again = [
        i for i in sorted(after - set(misfits)) if _is_product(nodes[i])
        and view.constant(nodes[i].input[1]) is not None
    ]  # fmt: skip
    if not again:
        return None
    # The products that depend on no other of them, and the misfits before them.
    later = _followers(nodes, makers, again)
    waited = [i for i in _needed(nodes, makers, again) - later if i in misfits]
    core = _needed(nodes, makers, waited)
    prefix = _cheapest(nodes, makers, core, later, view)
    return _cut(model, nodes, makers, prefix, {}, view, view, table)


def _misfits(view: View, table: Table) -> dict[int, list[Finding]]:
    """Node -> why the table's runtime does not run it."""
    checked = {i: check_node(node, view, table) for i, node in enumerate(view.graph.node)}
    return {index: findings for index, findings in checked.items() if findings}


def _is_product(node: NodeProto) -> bool:
    return node.op_type in PRODUCTS


def _makers(nodes: Sequence[NodeProto]) -> dict[str, int]:
    return {name: index for index, node in enumerate(nodes) for name in node.output if name}


def _followers(
    nodes: Sequence[NodeProto], makers: Mapping[str, int], first: Collection[int]
) -> set[int]:
    """`first` and every node that depends on one of them; nodes are in topological order."""
    followers = set(first)
    for index, node in enumerate(nodes):
        if any(makers.get(name) in followers for name in uses_of(node)):
            followers.add(index)
    return followers


def _needed(
    nodes: Sequence[NodeProto], makers: Mapping[str, int], last: Collection[int]
) -> set[int]:
    """`last` and every node that they depend on."""
    needed = set(last)
    for index in reversed(range(len(nodes))):
        if index in needed:
            needed |= {makers[name] for name in uses_of(nodes[index]) if name in makers}
    return needed


def _cheapest(
    nodes: Sequence[NodeProto],
    makers: Mapping[str, int],
    core: set[int],
    lost: set[int],
    view: View,
) -> set[int]:
    """The nodes before the cheapest cut between `core` and `lost`: a minimum cut of a flow network.

    A node of the network per node of the graph, and one per tensor: node -> tensor costs the copy,
    tensor -> user and user -> maker cost more than any cut.
    """
    count = len(nodes)
    users: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in uses_of(node):
            if name in makers:
                users.setdefault(name, []).append(index)
    source, sink = count + len(users), count + len(users) + 1
    edges: dict[tuple[int, int], int] = {}
    for offset, (name, indices) in enumerate(users.items()):
        edges[makers[name], count + offset] = _copy_cost(name, view)
        for index in indices:
            edges[count + offset, index] = _NEVER
            edges[index, makers[name]] = _NEVER
    edges.update({(source, index): _NEVER for index in core})
    edges.update({(index, sink): _NEVER for index in lost})
    rows, columns = zip(*edges, strict=True)
    capacity = csr_array(
        (np.fromiter(edges.values(), np.int32), (rows, columns)), (sink + 1, sink + 1)
    )
    rest = (capacity - maximum_flow(capacity, source, sink).flow).tocsr()
    after = _reaching(sink, rest)
    return {index for index in range(count) if index not in after}


def _reaching(sink: int, rest: csr_array) -> set[int]:
    """The nodes from which something could still flow to `sink`."""
    into = rest.tocsc()
    reaching, waiting = {sink}, [sink]
    while waiting:
        column = waiting.pop()
        span = slice(into.indptr[column], into.indptr[column + 1])
        for row, left in zip(into.indices[span], into.data[span], strict=True):
            if left > 0 and int(row) not in reaching:
                reaching.add(int(row))
                waiting.append(int(row))
    return reaching


def _copy_cost(name: str, view: View) -> int:
    """The cost of copying a tensor, in KiB; unknown dimensions count as 1."""
    shape = view.shape(name) or ()
    item = np.dtype(view.dtype(name) or "float32").itemsize
    size = item * math.prod(1 if d is None else d for d in shape)
    return (_COPY_OVERHEAD_BYTES + size) // 1024


def _cut(
    model: ModelProto,
    nodes: Sequence[NodeProto],
    makers: Mapping[str, int],
    prefix: set[int],
    misfits: Mapping[int, list[Finding]],
    view: View,
    counted: View,
    table: Table,
) -> Cut:
    remainder = [index for index in range(len(nodes)) if index not in prefix]
    taken = {name for index in remainder for name in uses_of(nodes[index])}
    crossing = [name for name, index in makers.items() if index in prefix and name in taken]
    macs = [macs_of(node, counted) for node in counted.graph.node]
    bounded = sized(model, None)
    largest = {name: bounded.shape(name) for name in crossing}
    return Cut(
        prefix=tuple(sorted(prefix)),
        remainder=tuple(remainder),
        crossing=tuple(_crossing(name, view, table) for name in crossing),
        largest={name: s for name, s in largest.items() if s and s != view.shape(name)},
        reasons=tuple(finding for index in sorted(misfits) for finding in misfits[index]),
        macs_prefix=_total(macs[index] for index in sorted(prefix)),
        macs_total=_total(macs),
    )


def _crossing(name: str, view: View, table: Table) -> CrossingTensor:
    dtype = view.dtype(name) or "float32"
    return CrossingTensor(name, dtype, table.cast(dtype), view.shape(name))


def _total(macs: object) -> int | None:
    counts = list(macs)  # type: ignore[call-overload]
    return None if None in counts else sum(counts)
