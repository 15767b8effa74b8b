"""Reads checkpoints as tensors only, and loads them strictly."""

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
from safetensors.torch import load_file
from torch import Tensor, nn

from splitwatt.device_configs.errors import BundleError, CheckpointError
from splitwatt.engines.rangecoder import Tables
from splitwatt.export.labels import names_in
from splitwatt.export.spec import LoadedFile

_TABLE_BUFFERS = ("_quantized_cdf", "_offset", "_cdf_length")
# Buffers of a GaussianConditional; which of them a file has depends on CompressAI's version.
_SCALES = ("gaussian_conditional.scale_table", "gaussian_conditional.scale_bound",
           "gaussian_conditional.lower_bound_scale.bound")  # fmt: skip

# torchdistill also stores its command line and the best score so far, which is numpy's for a detector
# (from pycocotools). These are data; the scalar has one name in numpy 1 and another in numpy 2.
_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN: list[Any] = [
    argparse.Namespace,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
]


# The entries of a checkpoint that may hold its state_dict, in the order in which timm's loader
# takes them (`ema` is YOLO's name for the same).
ENTRIES = ("state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model")
# What DataParallel puts before all names, and torch.compile, FSDP and checkpointing before any module's.
_WRAPPERS = re.compile(
    r"^(?:module\.)+|(?:^|(?<=\.))(?:_orig_mod\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.)+"
)
_LIGHTNING = "model."  # only where all names have it
# The largest magnitudes of an entropy model's tensors. A table has at most 65536 parts; trained
# models have a few hundred symbols and parameters below 100.
_LIMITS = (
    (re.compile(r"(?:^|\.)quantiles$"), 4096.0),
    (re.compile(r"(?:^|\.)scale_table$"), 512.0),
    (re.compile(r"(?:^|\.)(?:matrices\.|biases\.|factors\.|_matrix|_bias|_factor)\d+$"), 1e4),
)


class _State(OrderedDict[str, Tensor]):
    """A state_dict as PyTorch makes it: with the versions of its modules (MNASNet asks for its)."""

    _metadata: Mapping[str, Any]


def read(path: str, entry: str | None = None) -> LoadedFile:
    """The tensors of a checkpoint file, their values checked; nothing in it is run.

    Args:
        path: `.safetensors`, or what `torch.save` wrote.
        entry: the key of the state_dict if there are several; None for timm's choice, see `ENTRIES`.

    Raises:
        CheckpointError: no checkpoint, a truncated one, one that contains code, or a value that no
            trained model has.
    """
    content = _content(path)
    state, notes = _choose(content, path, entry)
    tensors = _State(_renamed({str(k): v for k, v in state.items() if isinstance(v, Tensor)}, path))
    versions = getattr(state, "_metadata", {})
    tensors._metadata = {_WRAPPERS.sub("", k + ".")[:-1]: v for k, v in versions.items()}
    check_values(tensors, path)
    names = names_in(content)
    return LoadedFile(path, tensors, tuple(notes), None if names is None else tuple(names))


def _content(path: str) -> Any:
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        with torch.serialization.safe_globals(_PLAIN):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        kind = re.search(r"(?:GLOBAL|global) (\S+)", str(error))
        raise CheckpointError(
            f"{path} is not a plain checkpoint: it asks to run "
            f"{kind.group(1) if kind else 'code'}, or is damaged",
            "download it again from its authors, or save its state_dict alone",
        )
    except Exception as error:  # a parser of foreign bytes raises whatever they make it do
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise CheckpointError(
            f"{path} is not a checkpoint: {reason}", "download it again: it may be truncated"
        )


def _choose(content: Any, path: str, entry: str | None) -> tuple[Mapping[str, Any], list[str]]:
    """The state_dict of a file, and a note where the file holds several."""
    held = content if isinstance(content, Mapping) else {}
    states = [k for k, v in held.items() if _is_state(v)]
    if entry is not None and entry not in states:
        known = ", ".join(map(str, states)) or "none: it is one state_dict"
        raise CheckpointError(
            f"{path} holds no state_dict '{entry}'", f"--weights-entry may be: {known}"
        )
    named = [key for key in ENTRIES if key in states]
    if not named and not _is_state(held) and len(states) == 1:
        named = states
    chosen = entry or (named[0] if named else None)
    if chosen is None:
        if not _is_state(held):
            remedy = "expected a state_dict, or {'model': state_dict}"
            if states:
                remedy = f"choose one with --weights-entry: {', '.join(map(str, states))}"
            raise CheckpointError(f"{path} holds no weights under a known name", remedy)
        return held, []
    others = [key for key in named if key != chosen]
    if not others:
        return held[chosen], []
    return held[chosen], [
        f"{os.path.basename(path)} holds several state_dicts: '{chosen}' is used, not "
        + " or ".join(f"'{key}'" for key in others)
        + ("" if entry else " (timm's choice; --weights-entry chooses another)")
    ]


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def _renamed(state: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The tensors without the prefixes that DataParallel, torch.compile and Lightning add to names."""
    state = {k: v for k, v in state.items() if k != "n_averaged"}  # AveragedModel's counter
    before: set[str] = set()
    while set(state) != before:
        before = set(state)
        names = {k: _WRAPPERS.sub("", k) for k in state}
        if all(name.startswith(_LIGHTNING) for name in names.values()):
            names = {k: name.removeprefix(_LIGHTNING) for k, name in names.items()}
        if len(set(names.values())) != len(names):
            twice = next(n for n in names.values() if list(names.values()).count(n) > 1)
            raise CheckpointError(
                f"{path} holds the tensor {twice} twice, with and without the prefixes of "
                "torch.compile or DataParallel",
                "save the state_dict of one model alone",
            )
        state = {names[k]: v for k, v in state.items()}
    return dict(state)


def check_values(state: Mapping[str, Tensor], path: str) -> None:
    """Refuse values that no trained model has, before anything is computed with them.

    Raises:
        CheckpointError: NaN or infinity in any tensor; quantiles, scales or entropy parameters
            beyond what tables of 16 bits can hold. Names the file and the tensor.
    """
    for key, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise CheckpointError(
                f"{path}: {key} is a quantized, sparse or empty tensor",
                "save the weights as plain float32 or float16",
            )
        if value.is_floating_point() and value.element_size() == 1:
            value = value.float()  # PyTorch checks no float8
        if (value.is_floating_point() or value.is_complex()) and not value.isfinite().all():
            count = int((~value.isfinite()).sum())
            raise CheckpointError(
                f"{path}: {count} of {value.numel()} values of {key} are NaN or infinite",
                "the training diverged or the file is damaged: take an earlier checkpoint",
            )
        limit = next((most for name, most in _LIMITS if name.search(key)), None)
        if limit is not None and value.numel() and float(value.abs().max()) > limit:
            raise CheckpointError(
                f"{path}: {key} holds {float(value.flatten()[value.abs().argmax()]):.6g}, and an "
                f"entropy model can use at most {limit:g}",
                "the training diverged or the file is damaged: take an earlier checkpoint",
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
    """Load `state` into `module`; both must have the same tensors, of the same shapes.

    Args:
        state: the module's tensors, or the file's with more.
        source: the file, for the error text.
        left_out: prefixes of tensors that the papers' own loader ignores too.
        handled: prefixes of tensors that are loaded elsewhere, on both sides.

    Raises:
        CheckpointError: one sentence with the first few names and their number.
    """
    ignored = (*left_out, *handled)
    wanted = {
        k: v.shape
        for k, v in module.state_dict().items()
        if not k.startswith(tuple(handled)) and not _free(k)
    }
    if wanted and all(k.startswith(_LIGHTNING) for k in wanted):
        state = {_LIGHTNING + k: v for k, v in state.items()}  # `read` removed it
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
            f"it looks like {recognise(source.state)}"
            + _options({k: v for k, v in given.items() if k in wanted and v.shape != wanted[k]}),
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
    for name in ("gaussian_conditional", "entropy_bottleneck"):
        model = getattr(layer, name, None)
        # `update` keeps saved tables, as the papers' code does.
        if model is not None and check_tables(model, renamed, f"{name}.", source):
            for buffer in _TABLE_BUFFERS:
                setattr(model, buffer, renamed[f"{name}.{buffer}"].clone())
    layer.update()


def check_tables(model: Any, state: Mapping[str, Any], prefix: str, source: LoadedFile) -> bool:
    """Whether a file has entropy tables; they must belong to this model and be distributions.

    Args:
        model: CompressAI's entropy model.
        prefix: of the names of its tensors in `state`.

    Raises:
        CheckpointError: names the file and the tensor.
    """
    cdf, offset, length = (state.get(prefix + name) for name in _TABLE_BUFFERS)
    if cdf is None or offset is None or length is None or not cdf.numel():
        return False
    due, what = getattr(model, "channels", None), "channels"
    if hasattr(model, "scale_table"):
        due, what = model.scale_table.numel(), "scales"
    remedy = "save the state_dict again after model.update(force=True)"
    if len(cdf) != due:
        raise CheckpointError(
            f"{source.path}: {prefix}{_TABLE_BUFFERS[0]} holds tables for {len(cdf)} {what} and "
            f"the model has {due}",
            remedy,
        )
    try:
        Tables(cdf.numpy(), length.numpy().reshape(-1), offset.numpy().reshape(-1))
    except BundleError as error:
        wrong = error.message.removeprefix("entropy tables: ")
        raise CheckpointError(
            f"{source.path}: the entropy tables saved as {prefix}{_TABLE_BUFFERS[0]} are damaged: "
            f"{wrong}",
            remedy,
        )
    return True


def differences(
    state: Mapping[str, Any], module: nn.Module, path: str, left_out: Sequence[str] = ()
) -> list[str]:
    """Notes with every tensor of `state` that the module lacks or has with other values.

    Args:
        left_out: prefixes of tensors that the papers' own loader ignores too.
    """
    own = module.state_dict()
    file = os.path.basename(path)
    matches = {}
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
                matches[key] = gap
    notes = []
    if matches:
        worst = max(matches, key=lambda key: matches[key])
        notes.append(
            f"{file} repeats {len(matches)} tensors of the body with other values (largest difference "
            f"{matches[worst]:.3g}, in {worst}), which are not used: {', '.join(matches)}"
        )
    if unknown:
        notes.append(
            f"{file} has {len(unknown)} tensors that the body does not have, which are not used: "
            + ", ".join(unknown)
        )
    return notes


# What the name of a tensor says of its model; the largest trunk of a family comes first.
_HEADS = (
    (re.compile(r"^roi_heads\."), "a Faster R-CNN"),
    (re.compile(r"^head\.classification_head\."), "an SSD"),
    (re.compile(r"\.convs\.|^aux_classifier\."), "a DeepLabv3"),
)
_TRUNKS = (
    (re.compile(r"(?:^|\.)layer3\.35\.conv1\.weight$"), " on a ResNet-152"),
    (re.compile(r"(?:^|\.)layer3\.22\.conv1\.weight$"), " on a ResNet-101"),
    (re.compile(r"(?:^|\.)layer3\.5\.conv1\.weight$"), " on a ResNet-50"),
    (re.compile(r"(?:^|\.)s2\.b1\.conv1\.conv\.weight$"), " on a RegNet"),
    (re.compile(r"(?:^|\.)blocks\.0\.attn\.qkv\.weight$"), " on a ViT"),
)
# The last layer of a bottleneck's encoder, by its prior; its first size is the channels.
_PRIORS = (
    (re.compile(r"bottleneck_layer\.encoder\.4\.weight$"), ""),
    (re.compile(r"bottleneck_layer\.g_a\.4\.weight$"), ", with a hyperprior,"),
    (re.compile(r"bottleneck_layer\.encoder\.11\.weight$"), ", of 8 bits,"),
)
# Tensors whose first size is the value of a config's key.
_SIZED = (
    (re.compile(r"(?:^|\.)(?:encoder|g_a)\.4\.weight$"), "num_bottleneck_channels"),
    (re.compile(r"(?:^|\.)(?:decoder|g_s)\.4\.weight$"), "num_target_channels"),
    (re.compile(r"(?:^|\.)(?:fc|head|cls_score|classifier\.4)\.weight$"), "num_classes"),
)
_Patterns = Sequence[tuple[re.Pattern[str], str]]


def recognise(state: Mapping[str, Any]) -> str:
    """The kind of model that a state_dict belongs to, in a few words."""
    (kind, _), *_ = [*_matches(state, _HEADS), ("a classification model", "")]
    (trunk, _), *_ = [*_matches(state, _TRUNKS), ("", "")]
    for prior, key in _matches(state, _PRIORS):
        if state[key].dim():
            return f"{kind}{trunk} with a bottleneck{prior} of {len(state[key])} channels"
    return kind + trunk


def _matches(state: Mapping[str, Any], rows: _Patterns) -> list[tuple[str, str]]:
    """What the patterns that match say, in their order, and the tensor that each matches."""
    return [(text, key) for name, text in rows for key in state if name.search(key)]


def _options(unfit: Mapping[str, Tensor]) -> str:
    """The config keys and values that would fit tensors of another shape."""
    matches = [
        f"{text}: {len(unfit[key])}" for text, key in _matches(unfit, _SIZED) if unfit[key].dim()
    ]
    if not matches:
        return ""
    return f"; a config with {', '.join(matches)} would fit (export --sc2bench CONFIG.yaml)"


def _free(key: str) -> bool:
    """Whether an entry is bookkeeping that may be missing or have another shape."""
    return key.endswith(("num_batches_tracked", *_TABLE_BUFFERS, *_SCALES))


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
