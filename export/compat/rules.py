"""The restrictions that a row of an operator table may name, each a small check of one node.

A check returns what is wrong, as the end of the sentence "TensorRT 8.2 takes it only where ...",
or None. A value that is unknown here, such as a shape that is not fixed, passes only if the rule's
docstring says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx import NodeProto

from splitwatt.export.compat.view import Shape, View, attribute_of

Arguments = Mapping[str, Any]
Check = Callable[[NodeProto, View, Arguments], "str | None"]


@dataclass(frozen=True)
class RuleKind:
    """A restriction: its check, and what someone can do about it."""

    check: Check
    remedy: str


_FOLD = "fold constants first, or run the node with onnxruntime"
_ELSEWHERE = "run the node with onnxruntime: export cuts the part before it"
_REBUILD = "write the model without it, or run the node with onnxruntime"

RULES: dict[str, RuleKind] = {}


def _rule(remedy: str) -> Callable[[Check], Check]:
    """Make a check a rule of its own name."""

    def add(check: Check) -> Check:
        RULES[check.__name__] = RuleKind(check, remedy)
        return check

    return add


def _input(node: NodeProto, index: int) -> str:
    return node.input[index] if index < len(node.input) else ""


@_rule(_FOLD)
def initializer(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`inputs`: these inputs, if given, are initializers or Constant nodes."""
    for index in arguments["inputs"]:
        name = _input(node, index)
        if name and view.constant(name) is None:
            return f"input {index} ('{name}') is an initializer"
    return None


@_rule("lower it, or run the node with onnxruntime")
def at_most(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`input`, `value`: a constant input is nowhere above `value`; a computed one passes."""
    value = view.constant(_input(node, arguments["input"]))
    if value is not None and value.size and value.max() > arguments["value"]:
        return f"input {arguments['input']} is at most {arguments['value']}, not {value.max()}"
    return None


@_rule(_REBUILD)
def attribute(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`name`, `allowed`, `default`: the attribute has one of these values."""
    value = attribute_of(node, arguments["name"], arguments["default"])
    if value not in arguments["allowed"]:
        allowed = ", ".join(str(v) for v in arguments["allowed"])
        return f"{arguments['name']} is {allowed}, not {value}"
    return None


@_rule(_REBUILD)
def no_attributes(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`names`: none of these attributes is given."""
    for name in arguments["names"]:
        if attribute_of(node, name) is not None:
            return f"the attribute {name} is not given"
    return None


@_rule(_REBUILD)
def all_ones(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`name`: this list of an attribute is empty or all ones."""
    values = attribute_of(node, arguments["name"], [])
    if any(v != 1 for v in values):  # type: ignore[attr-defined]
        return f"{arguments['name']} are all 1, not {values}"
    return None


@_rule("add or drop a dimension of size 1 around it")
def rank(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`input`, `allowed`: the input has one of these ranks; an unknown rank passes."""
    shape = view.shape(_input(node, arguments["input"]))
    if shape is not None and len(shape) not in arguments["allowed"]:
        allowed = " or ".join(str(v) for v in arguments["allowed"])
        return f"input {arguments['input']} has rank {allowed}, not {len(shape)}"
    return None


@_rule(_REBUILD)
def outputs(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`first`: only the first outputs, this many, are used."""
    if any(node.output[arguments["first"] :]):
        return f"no output after number {arguments['first']} is used"
    return None


@_rule("cast to int32 instead, or run the node with onnxruntime")
def at_the_edge(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`type`: outputs of this type are outputs of the graph; nothing inside it has the type."""
    ends = {value.name for value in view.graph.output}
    if any(n not in ends and view.dtype(n) == arguments["type"] for n in node.output):
        return f"its {arguments['type']} output is an output of the whole graph"
    return None


@_rule("quantise symmetrically, and export in evaluation mode")
def zeros(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`input`: the input is absent or a constant of zeros."""
    name = _input(node, arguments["input"])
    if not name:
        return None
    value = view.constant(name)
    return None if value is not None and not value.any() else f"input '{name}' is a constant 0"


@_rule("export at a fixed size, or run the node with onnxruntime")
def static(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`input`, `axis`: the input's shape is fixed, or its dimension that an attribute names."""
    shape = view.shape(_input(node, arguments["input"]))
    if shape is not None and "axis" in arguments:
        axis = arguments["axis"]
        index: Any = attribute_of(node, axis["name"], axis["default"])
        shape = (shape[index],)
    if shape is None or None in shape:
        return f"the shape of input {arguments['input']} is fixed"
    return None


@_rule("count in integers and cast")
def float_range(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """Range of floats: all three inputs are initializers."""
    if view.dtype(node.input[0]) in ("float32", "float16", "float64"):
        return initializer(node, view, {"inputs": [0, 1, 2]})
    return None


@_rule(_ELSEWHERE)
def padded(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """NonMaxSuppression that pads its output: never what ONNX says."""
    return "its list is full: a shorter one is padded to max_output_boxes_per_class rows"


@_rule(_REBUILD)
def same_activations(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """Recurrent layers in both directions: the same activations in both."""
    names: Any = attribute_of(node, "activations", [])
    half = len(names) // 2
    if (
        attribute_of(node, "direction", "forward") == "bidirectional"
        and names[:half] != names[half:]
    ):
        return "both directions have the same activations"
    return None


@_rule("give the branches' outputs their own names")
def branch_names(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """If: the outputs of the two branches have different names."""
    then, other = _branches(node, view)
    same = {v.name for v in then.graph.output} & {v.name for v in other.graph.output}
    return f"its branches name their outputs differently, not both '{min(same)}'" if same else None


@_rule(_ELSEWHERE)
def branch_shapes(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """`same`: outputs of both branches have `broadcastable` shapes, or the same `rank`.

    Shapes that are not fixed pass, an unknown rank does not.
    """
    then, other = _branches(node, view)
    for a, b in zip(then.graph.output, other.graph.output, strict=True):
        first, second = then.shape(a.name), other.shape(b.name)
        if first is None or second is None:
            return f"its branches are known to agree in shape, unlike '{a.name}' and '{b.name}'"
        fits = len(first) == len(second) if arguments["same"] == "rank" else _fit(first, second)
        if not fits:
            return f"its branches agree in shape, not {_text(first)} and {_text(second)}"
    return None


def _branches(node: NodeProto, view: View) -> tuple[View, View]:
    inner = dict(view.inner(node))
    return inner["then_branch"], inner["else_branch"]


def _fit(first: Shape, second: Shape) -> bool:
    """Can the shapes be broadcast to each other, as far as they are known?"""
    pairs = zip(first[::-1], second[::-1], strict=False)
    return all(a is None or b is None or a == b or 1 in (a, b) for a, b in pairs)


def _text(shape: Shape) -> str:
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"


@_rule(_ELSEWHERE)
def loop_shapes(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """Loop: carried tensors keep their shape from one iteration to the next, as far as is known."""
    body = dict(view.inner(node))["body"]
    carried = len(node.input) - 2
    given = [body.shape(v.name) for v in body.graph.input][2:]
    made = [body.shape(v.name) for v in body.graph.output][1 : 1 + carried]
    for before, after in zip(given, made, strict=False):
        if (
            before is not None
            and after is not None
            and (len(before) != len(after) or not _fit(before, after))
        ):
            return f"carried tensors keep their shape, not {_text(before)} then {_text(after)}"
    return None


@_rule("write it as Transpose, Reshape and MatMul")
def einsum(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """Einsum without ellipsis, without a letter twice in a term, without broadcasting."""
    equation = str(attribute_of(node, "equation", "")).replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if "..." in equation:
        return f"the equation has no ellipsis, unlike '{equation}'"
    if any(len(set(term)) != len(term) for term in terms):
        return f"the equation takes no diagonal, unlike '{equation}'"
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=False):
        for letter, size in zip(term, view.shape(name) or (), strict=False):
            if size is not None and sizes.setdefault(letter, size) != size:
                return f"the equation broadcasts nothing, unlike '{letter}' of '{equation}'"
    return None


@_rule(_REBUILD)
def iota_axes(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """Resize by scales: `axes`, where given, counts every dimension from 0."""
    axes: Any = attribute_of(node, "axes")
    scales = _input(node, 2)
    shape = view.shape(node.input[0])
    if axes is None or not scales or (shape is not None and list(axes) == list(range(len(shape)))):
        return None
    return f"axes are 0, 1, ... for every dimension, not {list(axes)}"


@_rule("pad before it")
def symmetric_pads(node: NodeProto, view: View, arguments: Arguments) -> str | None:
    """Padding at the beginning equals that at the end."""
    pads: Any = attribute_of(node, "pads", [])
    half = len(pads) // 2
    return None if pads[:half] == pads[half:] else f"pads are equal at both ends, not {pads}"
