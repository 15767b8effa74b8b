"""A timm backbone cut at one of its modules into a front, the named module with its followers, a tail.

`torch.fx` traces only the modules that hold the named one; all others stay whole, so that nearly
every backbone of timm can be cut. A cut is possible where one tensor crosses it.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from timm.layers._fx import get_notrace_functions
from torch import fx, nn

from splitwatt.device_configs.errors import UsageError
from splitwatt.export.graphs.frankensplit import Permute

# How many blocks of the same type after the named one belong to the decoder.
_FOLLOWING = 2
# What nn.Sequential calls the backbone.
_ROOT = "0."


class Cut(nn.Module):
    """The pieces of a backbone: `before` and `after` are copies to train, `front` and `tail` its own.

    Args:
        backbone: a timm model in evaluation mode.
        at: the name of a module, such as `layer2.0`: the last of the encoder and the first of `whole`.
        side: of the square image, in pixels.

    Attributes:
        whole: the backbone's own modules, of which `before` and `after` are copies.
        maps: converts the backbone's features to (N, C, H, W); `own` converts them back.
        latent: C, H and W of the features after `before`.
        features: the shape of the features after `after`, without N.

    Raises:
        UsageError: the backbone cannot be split there; the error lists modules where it can.
    """

    def __init__(self, backbone: Any, at: str, side: int) -> None:
        super().__init__()
        pieces = _pieces(backbone, at)
        if pieces is None:
            raise _refuse(backbone, at)
        self.front, self.whole, self.tail = pieces
        self.requires_grad_(False)
        self.before = copy.deepcopy(self.whole[0]).requires_grad_()
        self.after = copy.deepcopy(nn.Sequential(*self.whole[1:])).requires_grad_()
        with torch.no_grad():
            features = self.before(self.front(torch.zeros(1, 3, side, side)))
            if features.dim() not in (3, 4):
                raise _refuse(backbone, at)
            self.maps, self.own = _layout(features.shape)
            self.latent = self.maps(features).shape[1:]
            self.features = self.after(features).shape[1:]


def _layout(shape: torch.Size) -> tuple[nn.Module, nn.Module]:
    """To (N, C, H, W) and back: of (N, C, H, H), (N, H, H, C) or tokens (N, T, C).

    Tokens whose number is no square, as with a class token, become one row.
    """
    to_maps, back = Permute(0, 3, 1, 2), Permute(0, 2, 3, 1)
    if len(shape) == 3:
        rows = math.isqrt(shape[1])
        rows = rows if rows * rows == shape[1] else 1
        unflatten = nn.Unflatten(1, (rows, shape[1] // rows))
        return nn.Sequential(unflatten, to_maps), nn.Sequential(back, nn.Flatten(1, 2))
    if shape[1] == shape[2] != shape[3]:
        return to_maps, back
    return nn.Identity(), nn.Identity()


class _Holders(fx.Tracer):
    """Traces into the modules that contain `name`; every other module is one call."""

    def __init__(self, name: str) -> None:
        notrace: Callable[[], Any] = get_notrace_functions
        super().__init__(autowrap_functions=tuple(notrace()))
        self.name = name

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether it does not contain `name`."""
        return not self.name.startswith(module_qualified_name + ".")


def _pieces(backbone: nn.Module, at: str) -> tuple[nn.Module, nn.Sequential, nn.Module] | None:
    """Front, the module with its followers, tail; None if it cannot be cut there."""
    root = nn.Sequential(backbone)
    try:
        graph = _Holders(_ROOT + at).trace(root)
    except Exception:  # somebody's forward raises whatever tracing makes it raise
        return None
    calls = [n for n in graph.nodes if n.op == "call_module" and n.target == _ROOT + at]
    if len(calls) != 1 or len(calls[0].all_input_nodes) != 1 or len(calls[0].args) != 1:
        return None
    start = end = calls[0]
    names = [at]
    while len(names) <= _FOLLOWING and (following := _following(root, end)):
        end = following
        names.append(str(end.target).removeprefix(_ROOT))
    (image,) = (n for n in graph.nodes if n.op == "placeholder")
    (output,) = (n for n in graph.nodes if n.op == "output")
    front = _between(root, graph, image, start.args[0])
    tail = _between(root, graph, end, output.args[0])
    if front is None or tail is None:
        return None
    return front, nn.Sequential(*map(backbone.get_submodule, names)), tail


def _following(root: nn.Module, call: fx.Node) -> fx.Node | None:
    """The only user of `call`, if it is a module of the same type in the same container."""
    users = list(call.users)
    if len(users) != 1 or users[0].op != "call_module" or users[0].args != (call,):
        return None
    (one, two) = (str(node.target) for node in (call, users[0]))
    same_holder = one.rpartition(".")[0] == two.rpartition(".")[0]
    same_kind = type(root.get_submodule(one)) is type(root.get_submodule(two))
    return users[0] if same_holder and same_kind else None


def _between(root: nn.Module, graph: fx.Graph, start: fx.Node, end: Any) -> fx.GraphModule | None:
    """The graph from the value of `start` to that of `end`; None if it needs another input."""
    needed: set[fx.Node] = set()
    todo = [end]
    while todo:
        node = todo.pop()
        if not isinstance(node, fx.Node) or node.op == "placeholder" and node is not start:
            return None
        if node is not start and node not in needed:
            needed.add(node)
            todo += node.all_input_nodes
    part = fx.Graph()
    values = {start: part.placeholder("x")}
    for node in graph.nodes:
        if node in needed:
            values[node] = part.node_copy(node, values.__getitem__)
    part.output(values[end])
    return fx.GraphModule(root, part)


def places(backbone: nn.Module) -> list[str]:
    """The modules at which it can be split, in order: its blocks; any module of a network without blocks."""
    names = [
        (name, sum(any(True for _ in child.parameters()) for child in module.children()))
        for name, module in backbone.named_modules()
        if 0 < name.count(".") <= 3
    ]
    blocks = [name for name, children in names if children > 1 and _pieces(backbone, name)]
    return blocks or [name for name, _ in names if _pieces(backbone, name)]


def _refuse(backbone: Any, at: str) -> UsageError:
    known = places(backbone)
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    name = f"timm's {backbone.default_cfg['architecture']}"
    return UsageError(
        f"{name} cannot be split at '{at}'" if at else f"say at which module to split {name}",
        f"--split may be {', '.join(known[:12])}{more}"
        if known
        else "choose another backbone: more than one tensor crosses each of its blocks",
    )
