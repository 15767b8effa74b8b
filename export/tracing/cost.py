"""What the count of multiply-accumulates leaves out: it is stated, never silently 0."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Operators that move, choose, reduce or compare: no multiply-accumulate by torchvision's definition.
_FREE_NAMES = """
    _adaptive_avg_pool2d _local_scalar_dense _log_softmax _native_batch_norm_legit_no_training
    _softmax _to_copy _unique2 _unsafe_index _unsafe_view adaptive_avg_pool2d alias all amax amin any arange as_strided
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


class Uncounted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the `names` of operators that PyTorch's FlopCounterMode, entered after it, does not know."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[-1]
        counted = func.overloadpacket in flop_registry
        free = func.is_view or torch.Tag.pointwise in func.tags
        if not (counted or free or _FREE & {name, name.rstrip("_")}):
            self.names.add(name)
        return func(*args, **(kwargs or {}))
