"""Where checkpoints are. Needs no PyTorch, so that a missing file is reported at once."""

import glob
import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from splitwatt.device_configs.errors import CheckpointError, UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.export.spec import Checkpoint, System

# Where the papers' archives unpack to, under the folder that a user names.
PLACE = "resource/ckpt"
_LAYOUTS = ("", PLACE, "ckpt")
_BETA = re.compile(r"beta(\d+(?:\.\d+)?(?:e-?\d+)?)")
_CHANNELS = re.compile(r"-bq(\d+)ch")


def hub_folder() -> str:
    """Where torch.hub keeps what torchvision downloads."""
    cache = os.getenv("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    home = os.getenv("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub", "checkpoints")


def timm_folder() -> str:
    """Where Hugging Face's hub keeps what timm downloads."""
    cache = os.getenv("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    home = os.getenv("HF_HOME", os.path.join(cache, "huggingface"))
    return os.path.expanduser(os.getenv("HF_HUB_CACHE", os.path.join(home, "hub")))


def locate(
    checkpoints: Sequence[Checkpoint],
    given: str | None,
    model: str,
    rate: str | None,
    elsewhere: Mapping[str, str] | None = None,
) -> dict[str, str] | None:
    """The file of each role.

    Args:
        given: a file or folder that the user named; None searches ./resource/ckpt and the caches of
            torch.hub and timm.
        elsewhere: names of files of other rate points, see `other_rates`.

    Returns:
        Role -> path, in the checkpoints' order; None if nothing was given and a file is missing.

    Raises:
        UsageError: `given` does not exist, or nothing was published for the model.
        CheckpointError: `given` lacks a file, or is for another rate point.
    """
    if given is not None and not os.path.exists(given):
        raise UsageError(
            f"there is no file or folder {given}", "give a checkpoint, or --weights random"
        )
    if not checkpoints:
        if given is None:
            return None
        raise UsageError(f"no checkpoint of {model} was published", "give --weights random")
    paths = {c.role: _first(c, _roots(given)) for c in checkpoints}
    if given is not None and os.path.isfile(given):
        own = _own(given, checkpoints)
        _check_rate(given, own, rate, elsewhere or {})
        paths[own.role] = given
    missing = [c for c in checkpoints if paths[c.role] is None]
    if missing and given is None:
        return None
    if missing:
        lacks = f"{given} holds no"
        if os.path.isfile(str(given)):
            lacks = f"next to {given} there is no"
        raise CheckpointError(
            f"{lacks} {missing[0].role} checkpoint of {model} ({missing[0].paths[0]})",
            f"'splitwatt weights {model}' says where to get it",
        )
    return {role: path for role, path in paths.items() if path is not None}


def other_rates(system: System, rate: str | None) -> dict[str, str]:
    """File name -> rate point, for the checkpoints of a system's other rate points."""
    own = {os.path.basename(path) for c in system.checkpoints(rate) for path in c.paths}
    return {
        os.path.basename(path): other
        for other in system.rates
        for checkpoint in system.checkpoints(other)
        for path in checkpoint.paths
        if os.path.basename(path) not in own
    }


def advice(checkpoint: Checkpoint, model: str, rate: str | None) -> dict[str, Any]:
    """How to get a checkpoint of a model.

    Returns:
        Of the checkpoint: role, url, archive, package; `put`: where to put it; `also`: other paths
        that are searched; `path`: where it is, None if missing.
    """
    put, also = as_downloaded(checkpoint), []
    if checkpoint.archive:
        put, *also = (os.path.join(PLACE, path) for path in checkpoint.paths)
    paths = locate((checkpoint,), None, model, rate) or {}
    return {
        "role": checkpoint.role,
        "url": checkpoint.url,
        "archive": checkpoint.archive,
        "put": put,
        "also": also,
        "path": paths.get(checkpoint.role),
        "package": checkpoint.package,
    }


def as_downloaded(checkpoint: Checkpoint) -> str:
    """The name of the file at its URL, if the URL is that of a file; else its last name."""
    name = os.path.basename(checkpoint.url or "")
    return name if name in checkpoint.paths else checkpoint.paths[-1]


def digest(paths: Iterable[str]) -> str:
    """The SHA-256 of the file, or of all files' digests in order where there are several."""
    digests = [sha256_file(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _roots(given: str | None) -> list[str]:
    """The folders to search: for a file its own, three above it (an archive's) and the usual ones."""
    usual = [".", hub_folder()]
    if given is None:
        return usual
    if os.path.isdir(given):
        return [given]
    folder = os.path.dirname(os.path.abspath(given))
    above = [folder]
    for _ in range(3):
        above.append(os.path.dirname(above[-1]))
    return above + usual


def _first(checkpoint: Checkpoint, roots: Sequence[str]) -> str | None:
    for root in roots:
        for path in checkpoint.paths:
            places = [os.path.join(root, layout, path) for layout in _LAYOUTS]
            for candidate in [*places, os.path.join(root, os.path.basename(path))]:
                if os.path.isfile(candidate):
                    return candidate
    usual = hub_folder() in roots
    packaged = _in_package(checkpoint, usual)
    return packaged or (_in_timms_cache(checkpoint) if usual else None)


def _in_package(checkpoint: Checkpoint, ours: bool) -> str | None:
    """In the installed package that has it; the package is not imported.

    Args:
        ours: whether splitwatt's own weights count; they do not if the user named a folder.
    """
    name, _, inside = (checkpoint.package or "").partition("/")
    if not name or (name == "splitwatt" and not ours):
        return None
    spec = importlib.util.find_spec(name)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, inside, checkpoint.paths[0])
        if os.path.isfile(path):
            return path
    return None


def _in_timms_cache(checkpoint: Checkpoint) -> str | None:
    """The newest snapshot of the checkpoint's repository; None without a snapshot."""
    if checkpoint.hub is None:
        return None
    repository = "models--" + checkpoint.hub.replace("/", "--")
    for name in ("model.safetensors", "pytorch_model.bin"):
        paths = glob.glob(os.path.join(timm_folder(), repository, "snapshots", "*", name))
        if paths:
            return max(paths, key=os.path.getmtime)
    return None


def _own(given: str, checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint that the user's file is by its name, else the first one."""
    name = os.path.basename(given)
    named = (c for c in checkpoints if name in map(os.path.basename, c.paths))
    return next(named, checkpoints[0])


def _check_rate(
    path: str, checkpoint: Checkpoint, rate: str | None, elsewhere: Mapping[str, str]
) -> None:
    """Refuse a file whose name is for another rate point, or has another beta or number of channels."""
    name = os.path.basename(path)
    other = f"rate point {elsewhere[name]}" if name in elsewhere else ""
    for what, pattern in (("beta", _BETA), ("channels:", _CHANNELS)):
        stated, due = pattern.search(name), pattern.search(os.path.basename(checkpoint.paths[0]))
        if stated and due and float(stated.group(1)) != float(due.group(1)):
            other = f"{what} {stated.group(1)}"
    if other:
        raise CheckpointError(
            f"{path} is for {other}, not {rate}",
            "give the file of that rate point, or export the other one",
        )
