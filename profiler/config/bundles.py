"""The bundles of a profile: where they are, which are missing, what a run records of them."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import BundleError, ConfigError
from splitwatt.device_configs.names import suggestion
from splitwatt.device_configs.targets import spelling
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.model_name import read_name
from splitwatt.profiler.config.config import SPLIT, Config, packaged

DEFAULT_FOLDER = "bundles"
# A task's short name in stage names; a model with several tasks has `ALL`.
SLOTS = {"classification": "ic", "detection": "od", "segmentation": "ss"}
ALL = "all"
# What run.json keeps of a manifest and of a part as it is.
_OF_MANIFEST = ("model", "family", "rate", "target", "server_target", "precision", "assumed")
_OF_PART = ("name", "placement", "target", "gmac", "gmac_at", "params", "bytes", "sha256")


class Found(NamedTuple):
    """A model of a config and its opened bundle; `model` has its rate, `named` may not."""

    named: str
    model: str
    bundle: Bundle


def find_folder(folder: str, target: str, model: str) -> Optional[str]:
    """The bundle's folder of a model, or None; of a name without a rate the first rate there is.

    `jpeg+resnet50@70` is `jpeg@70+resnet50`, and `jpeg+resnet50` any rate of it. A model in another
    precision than fp32 ends in it: `ladon_r50@0.32-fp16`, `ladon_r50-fp16`.

    Raises:
        UsageError: the name has two rate points.
    """
    root = os.path.join(folder, target)
    asked = read_name(model)
    exact = os.path.join(root, str(asked))
    if os.path.isfile(os.path.join(exact, "manifest.json")):
        return exact
    if asked.rate is not None or not os.path.isdir(root):
        return None
    known = [(read_name(name), name) for name in os.listdir(root) if name.count("@") == 1]
    rates = sorted(
        (_rate(opened.rate or ""), name)
        for opened, name in known
        if opened._replace(rate=None) == asked
    )
    return os.path.join(root, rates[0][1]) if rates else None


def missing(config: Config, folder: str, target: str) -> List[str]:
    """The models of a config that have no bundle, as the config names them.

    Raises:
        BundleError: the folder is one target's, one level too deep.
    """
    absent = [model for model in config.models() if find_folder(folder, target, model) is None]
    if absent:
        _check_depth(folder, target)
    return absent


def open_bundles(config: Config, folder: str, target: str) -> Dict[str, Found]:
    """The bundle of every model of a config, by the name it has there.

    Only the board's files are checked; a server checks its own.

    Raises:
        BundleError: some are missing, and how to make them, or one is damaged.
        ConfigError: a configuration runs a model that is not of its kind, or one task twice.
    """
    absent = missing(config, folder, target)
    if absent:
        raise BundleError(
            "%s has no bundle of %s" % (os.path.join(folder, target), _few(absent)),
            _how_to_export(config, absent, folder, target),
        )
    opened = {}
    for model in config.models():
        path = find_folder(folder, target, model)
        bundle = Bundle.open(str(path), "board")
        opened[model] = Found(model, bundle.manifest.model, bundle)
    for row in config.configurations:
        slots: List[str] = []
        for model in row.models:
            manifest = opened[model].bundle.manifest
            if manifest.split != (row.kind == SPLIT):
                kind = "a split" if manifest.split else "a local"
                raise ConfigError(
                    "the configuration %s lists %s under '%s'" % (row.id, model, row.kind),
                    "it is %s model" % kind,
                )
            slots.append(slot(manifest.tasks))
        if len(set(slots)) != len(slots):
            raise ConfigError(
                "the configuration %s runs two models of one task" % row.id,
                "leave one of them in its list of models",
            )
    return opened


def slot(tasks: Sequence[str]) -> str:
    """The slot of a model's stage names: ic, od, ss, or all."""
    return SLOTS[tasks[0]] if len(tasks) == 1 else ALL


def describe(bundle: Bundle) -> Dict[str, Any]:
    """What run.json keeps of a bundle."""
    manifest = bundle.manifest
    size = manifest.encoder_size_bytes
    return {
        **{name: getattr(manifest, name) for name in _OF_MANIFEST},
        "manifest_sha256": bundle.manifest_sha256,
        "tasks": list(manifest.tasks),
        "trained": manifest.weights.trained,
        "weights_source": manifest.weights.source,
        "tables_id": manifest.codec.tables_id if manifest.codec else None,
        "encoder_size_bytes": dict(size._asdict()) if size else None,
        "parts": [{name: getattr(part, name) for name in _OF_PART} for part in manifest.parts],
    }


def targets(folder: str) -> List[str]:
    """The targets that a folder of bundles has."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in names if not name.startswith(".") and _has_bundles(folder, name))


def check_target(folder: str, target: str) -> None:
    """Raise BundleError unless the folder has bundles of that target."""
    known = targets(folder)
    if target not in known:
        _check_depth(folder, target)
        remedy = suggestion(target, known) if known else "make some with splitwatt export"
        raise BundleError("%s has no bundles of the target %s" % (folder, target), remedy)


def _check_depth(folder: str, target: str) -> None:
    """Raise BundleError where a folder holds one target's bundles: one level too deep."""
    parent, name = os.path.split(os.path.abspath(folder))
    if not os.path.isdir(os.path.join(folder, target)) and _has_bundles(parent, name):
        raise BundleError(
            "%s holds the bundles of one target, %s" % (folder, name),
            "give the folder above it: --bundles %s --target %s" % (parent, name),
        )


def _has_bundles(folder: str, target: str) -> bool:
    root = os.path.join(folder, target)
    return os.path.isdir(root) and any(
        os.path.isfile(os.path.join(root, name, "manifest.json")) for name in os.listdir(root)
    )


def _few(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (" and %d more" % more if more > 0 else "")


def _how_to_export(config: Config, models: Sequence[str], folder: str, target: str) -> str:
    what = " ".join("--model " + model for model in models)
    if len(models) > 3 and config.name + ".yaml" in packaged():
        what = "--config %s.yaml" % config.name
    where = "" if folder == DEFAULT_FOLDER else " --bundles %s" % folder
    command = "splitwatt export %s --target %s%s" % (what, spelling(target), where)
    return "make them on the host with '%s', and copy the folder here" % command


def _rate(text: str) -> Tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
