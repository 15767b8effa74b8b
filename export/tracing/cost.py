"""Multiply-accumulates and parameters, counted while PyTorch runs.

torchvision's definition (its `_ops`): every multiplication of convolutions and matrix products,
none of biases, activations or normalisations. Unknown operators are
reported, never silently counted as 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# Name (without overload) -> multiply-accumulates of (arguments, output).
_PRODUCTS: dict[str, Callable[[Any, Any], int]] = {
    "convolution": lambda a, out: _convolution(a[1], out, a[0], bool(a[6])),
    "_convolution": lambda a, out: _convolution(a[1], out, a[0], bool(a[6])),
    "conv2d": lambda a, out: _convolution(a[1], out, a[0], False),
    "mm": lambda a, out: out.numel() * a[0].shape[-1],
    "bmm": lambda a, out: out.numel() * a[0].shape[-1],
    "matmul": lambda a, out: out.numel() * a[0].shape[-1],
    "linear": lambda a, out: out.numel() * a[0].shape[-1],
    "addmm": lambda a, out: out.numel() * a[1].shape[-1],
    "baddbmm": lambda a, out: out.numel() * a[1].shape[-1],
}
# Operators that move, choose, reduce or compare: no multiply-accumulate by the definition above.
_FREE_NAMES = """
    _adaptive_avg_pool2d _local_scalar_dense _log_softmax _native_batch_norm_legit_no_training
    _softmax _to_copy _unique2 _unsafe_view adaptive_avg_pool2d alias all amax amin any arange as_strided
    argmax argmin avg_pool2d cat clone constant_pad_nd copy_ cudnn_batch_norm cumsum detach
    dropout embedding empty empty_like empty_strided fill_ flip full full_like gather
    hardsigmoid hardswish hardtanh im2col index index_put index_put_ index_select is_same_size
    isin item lift_fresh lift_fresh_copy linalg_vector_norm linspace masked_fill max
    max_pool2d max_pool2d_with_indices mean min native_batch_norm native_group_norm
    native_layer_norm new_empty
    new_full new_ones new_zeros nms nonzero norm ones ones_like pixel_shuffle prod repeat
    resize_ roi_align roll scalar_tensor scatter select_backward set_ silu sort split
    split_with_sizes stack std std_mean sum tensor topk tril triu unbind unfold unique2
    upsample_bilinear2d upsample_nearest2d var var_mean zero_ zeros zeros_like
"""
_FREE = frozenset(_FREE_NAMES.split())


def _is_free(name: str) -> bool:
    return name in _FREE or name.rstrip("_") in _FREE


def _convolution(weight: Any, out: Any, x: Any, transposed: bool) -> int:
    places = x.shape[2:] if transposed else out.shape[2:]
    return int(x.shape[0] * math.prod(weight.shape) * math.prod(places))


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs inside `with Counter() as counter` (under torch.no_grad).

    Attributes:
        macs: multiply-accumulates so far.
        unknown: operators that are in neither list.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.unknown: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[-1]
        if name in _PRODUCTS:
            self.macs += _PRODUCTS[name](args, out)
        elif not (func.is_view or torch.Tag.pointwise in func.tags or _is_free(name)):
            self.unknown.add(name)
        return out


def parameters(modules: Sequence[nn.Module]) -> int:
    """How many parameters the modules hold, each counted once."""
    return sum(p.numel() for p in {id(p): p for m in modules for p in m.parameters()}.values())
