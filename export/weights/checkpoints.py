"""Checkpoints: read as tensors only, fitted strictly."""

from __future__ import annotations

import argparse
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from compressai.models.utils import remap_old_keys
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from splitwatt.device_configs.errors import CheckpointError
from splitwatt.export.spec import LoadedFile

_TABLE_BUFFERS = ("_quantized_cdf", "_offset", "_cdf_length")
# Of a GaussianConditional: which of them a file holds depends on CompressAI's version.
_SCALES = ("gaussian_conditional.scale_table", "gaussian_conditional.scale_bound",
           "gaussian_conditional.lower_bound_scale.bound")  # fmt: skip

# What torchdistill stores beside the weights: its command line, and the best score so far, which is
# numpy's for a detector (pycocotools'). Data alone; the scalar under its names of numpy 1 and 2.
_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN: list[Any] = [
    argparse.Namespace,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
]


class _State(OrderedDict[str, Tensor]):
    """A state_dict as PyTorch makes it: with the versions of its modules (MNASNet asks for its)."""

    _metadata: Mapping[str, Any]


def read(path: str) -> LoadedFile:
    """The tensors of a checkpoint file; nothing in it is run.

    Raises:
        CheckpointError: no checkpoint, a truncated one, or one that holds more than data.
    """
    if path.endswith(".safetensors"):
        return LoadedFile(path, _safetensors(path))
    try:
        with torch.serialization.safe_globals(_PLAIN):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        kind = re.search(r"(?:GLOBAL|global) (\S+)", str(error))
        raise CheckpointError(
            f"{path} is no plain checkpoint: it asks to run "
            f"{kind.group(1) if kind else 'code'}, or is damaged",
            "download it again from its authors, or save its state_dict alone",
        )
    except Exception as error:  # a parser of foreign bytes raises whatever they make it do
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise CheckpointError(
            f"{path} is no PyTorch checkpoint: {reason}", "download it again: it may be truncated"
        )
    state = content
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            state = content[key]
            break
    if not isinstance(state, Mapping) or not any(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path} holds no weights", "expected a state_dict, or {'model': state_dict}"
        )
    tensors = _State(
        (key.removeprefix("module."), value)
        for key, value in state.items()
        if isinstance(value, Tensor)
    )
    tensors._metadata = {
        key.removeprefix("module."): value for key, value in getattr(state, "_metadata", {}).items()
    }
    return LoadedFile(path, tensors)


def _safetensors(path: str) -> dict[str, Tensor]:
    """timm's files of today: tensors and nothing else."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is no file of safetensors: {str(error)[:120]}",
            "download it again: it may be truncated",
        )


def subset(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries below `prefix`, without it."""
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}


def fill(
    module: nn.Module,
    state: Mapping[str, Any],
    source: LoadedFile,
    left_out: Sequence[str] = (),
    handled: Sequence[str] = (),
) -> None:
    """Load `state` into `module`: every tensor must be there, fit, and be wanted.

    Args:
        state: the module's tensors, or the file's with more.
        source: the file, for the sentence.
        left_out: prefixes of tensors that the papers' own loader leaves out too.
        handled: prefixes of tensors that are loaded elsewhere, on both sides.

    Raises:
        CheckpointError: one sentence with the first few names and how many there are.
    """
    ignored = (*left_out, *handled)
    wanted = {
        k: v.shape
        for k, v in module.state_dict().items()
        if not k.startswith(tuple(handled)) and not _free(k)
    }
    given = {k: v for k, v in state.items() if not k.startswith(ignored) and not _free(k)}
    missing = [k for k in wanted if k not in given]
    unknown = [k for k in given if k not in wanted]
    unfit = [
        f"{k} {list(given[k].shape)} instead of {list(shape)}"
        for k, shape in wanted.items()
        if k in given and given[k].shape != shape
    ]
    problems = [
        f"{what} {_few(names)}"
        for what, names in (
            ("lacks", missing), ("has unknown", unknown), ("has another shape of", unfit)
        )
        if names
    ]  # fmt: skip
    if problems:
        raise CheckpointError(
            f"{source.path} does not fit: it {', '.join(problems)}",
            f"it looks like {recognise(source.state)}",
        )
    fitting = _State((k, given[k]) for k in wanted)
    fitting._metadata = getattr(state, "_metadata", {}) or module.state_dict()._metadata  # type: ignore[attr-defined]
    # nn.Module's own: sc2bench's models override it with one that asks for their bottleneck too.
    nn.Module.load_state_dict(module, fitting, strict=False)


def fill_bottleneck(layer: Any, state: Mapping[str, Any], source: LoadedFile) -> None:
    """Load sc2bench's bottleneck layer, of this or an older CompressAI, with its tables if saved.

    Raises:
        CheckpointError: as `fill`.
    """
    renamed = remap_old_keys("entropy_bottleneck", dict(state))
    fill(layer, renamed, source)
    if hasattr(layer, "gaussian_conditional"):
        scales = renamed.get("gaussian_conditional.scale_table")
        if scales is not None and scales.numel():
            layer.gaussian_conditional.scale_table = scales.clone()
        _take_tables(layer.gaussian_conditional, renamed, "gaussian_conditional.")
    if hasattr(layer, "entropy_bottleneck"):
        _take_tables(layer.entropy_bottleneck, renamed, "entropy_bottleneck.")
    layer.update()


def _take_tables(model: Any, state: Mapping[str, Any], prefix: str) -> None:
    """The tables that a file was saved with: `update` then keeps them, as the papers' code does."""
    tables = [state.get(prefix + name) for name in _TABLE_BUFFERS]
    if all(table is not None and table.numel() for table in tables):
        for name, table in zip(_TABLE_BUFFERS, tables, strict=True):
            setattr(model, name, table.clone())  # type: ignore[union-attr]


def differences(
    state: Mapping[str, Any], module: nn.Module, path: str, left_out: Sequence[str] = ()
) -> list[str]:
    """Notes with every tensor of `state` that the module has otherwise, or does not have at all.

    Args:
        left_out: prefixes of tensors that the papers' own loader leaves out too.
    """
    own = module.state_dict()
    file = os.path.basename(path)
    found = {}
    unknown = []
    for key, value in state.items():
        if _free(key) or key.startswith(tuple(left_out)):
            continue
        if key not in own:
            unknown.append(key)
        else:
            same = own[key].shape == value.shape
            gap = float((own[key].float() - value.float()).abs().max()) if same else float("inf")
            if gap:
                found[key] = gap
    notes = []
    if found:
        worst = max(found, key=lambda key: found[key])
        notes.append(
            f"{file} repeats {len(found)} tensors of the body with other values (largest difference "
            f"{found[worst]:.3g}, in {worst}), which are not used: {', '.join(found)}"
        )
    if unknown:
        notes.append(
            f"{file} has {len(unknown)} tensors that the body does not have, which are not used: "
            + ", ".join(unknown)
        )
    return notes


def recognise(state: Mapping[str, Any]) -> str:
    """What kind of model a state looks like, in a few words."""
    keys = list(state)
    kind = "a classification model"
    if any(k.startswith("roi_heads.") for k in keys):
        kind = "a Faster R-CNN"
    elif any(k.startswith("head.classification_head.") for k in keys):
        kind = "an SSD"
    elif any(".convs." in k or k.startswith("aux_classifier.") for k in keys):
        kind = "a DeepLabv3"
    return kind + _trunk(keys) + _bottleneck(state)


# A tensor that one backbone alone has, the largest of a family first.
_TRUNKS = (
    ("layer3.35.conv1.weight", "ResNet-152"),
    ("layer3.22.conv1.weight", "ResNet-101"),
    ("layer3.5.conv1.weight", "ResNet-50"),
    ("s2.b1.conv1.conv.weight", "RegNet"),
    ("blocks.0.attn.qkv.weight", "ViT"),
)


def _trunk(keys: Sequence[str]) -> str:
    for tensor, name in _TRUNKS:
        if any(key == tensor or key.endswith("." + tensor) for key in keys):
            return f" on a {name}"
    return ""


def _bottleneck(state: Mapping[str, Any]) -> str:
    """The bottleneck's prior and channels, by its encoder's last layer."""
    priors = {
        "bottleneck_layer.encoder.4.weight": "",
        "bottleneck_layer.g_a.4.weight": ", with a hyperprior,",
        "bottleneck_layer.encoder.11.weight": ", of 8 bits,",
    }
    for key, value in state.items():
        for last, prior in priors.items():
            if key.endswith(last) and value.dim() == 4:
                return f" with a bottleneck{prior} of {value.shape[0]} channels"
    return ""


def _free(key: str) -> bool:
    """Whether a state's entry is bookkeeping whose shape or presence may vary."""
    return key.endswith(("num_batches_tracked", *_TABLE_BUFFERS, *_SCALES))


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
