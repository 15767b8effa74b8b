"""The YAML of sc2bench and torchdistill, read as data: nothing that it names is imported or called.

`!join` gives text; `!import_get`, `!import_call` and their like stay plain mappings and lists, of
which only the sizes, means and filters of the data set's transforms are used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.files import read_bounded
from splitwatt.engines.bundle.manifest import Head
from splitwatt.export.labels import with_labels
from splitwatt.export.sc2bench.preprocess import preprocess
from splitwatt.export.spec import SC2_TASKS, Checkpoint, Network, System

PAGE = "docs/adding-a-model.md"
_LIMIT_BYTES = 1 << 20
_LONGEST = 4096  # of a joined text
# The limit of a document's values with all aliases expanded: merged mappings grow with each level.
_MOST_VALUES = 100_000
_TASK_OF = {"faster_rcnn_model": "detection", "deeplabv3_model": "segmentation"}
_STUDENTS = ("student_model", "model")
_TASKS = tuple(SC2_TASKS)


@dataclass(frozen=True)
class Model:
    """One `key` with its `kwargs` (`name` and `params` in older files); `at` is its place in the file."""

    at: str
    key: str
    kwargs: Mapping[str, Any]


class _Reader(yaml.SafeLoader):
    """Reads plain values; torchdistill's tags become plain values too."""


def _inert(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


def _join(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    text = "".join(map(str, loader.construct_sequence(node, deep=True)))  # type: ignore[arg-type]
    if len(text) > _LONGEST:
        raise yaml.YAMLError(f"a !join of more than {_LONGEST} characters")
    return text


_Reader.add_constructor("!join", _join)
for _tag in ("pathjoin", "expanduser", "abspath", "import_get", "import_call",
             "import_call_method", "call_method", "getattr", "setattr",
             "access_by_index_or_key"):  # fmt: skip
    _Reader.add_constructor("!" + _tag, _inert)


def _expanded(node: Any, known: dict[int, int]) -> int:
    """How many values a document has with all aliases expanded."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST_VALUES + 1  # for an alias inside itself
        inner = (part for one in node.value for part in (one if isinstance(one, tuple) else (one,)))
        known[id(node)] = 1 + sum(_expanded(part, known) for part in inner)
    return known[id(node)]


def read(path: str) -> dict[str, Any]:
    """The file as plain values.

    Raises:
        ConfigError: it cannot be read, is not YAML, or has a tag that torchdistill does not know.
    """
    data = read_bounded(path, _LIMIT_BYTES, ConfigError)
    try:
        loader = _Reader(data.decode("utf-8"))
        node = loader.get_single_node()
        if _expanded(node, {}) > _MOST_VALUES:
            raise yaml.YAMLError(f"its aliases expand to more than {_MOST_VALUES} values")
        document = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}")
    if not isinstance(document, dict) or not isinstance(document.get("models"), dict):
        raise ConfigError(
            f"{path}: key 'models' is missing: this is not a config of torchdistill or sc2bench",
            "give the YAML file that the model was trained with",
        )
    return document


def system(path: str, name: str | None = None) -> System:
    """The student of a YAML file as a row of the zoo.

    Args:
        name: the model's name; None for the file's own.

    Raises:
        ConfigError: another schema, or a class that is not exported; names the file and the key.
    """
    if name is None:
        name = re.sub(r"[^a-z0-9_.]+", "_", Path(path).stem.lower()).strip("_.")
    return from_document(read(path), path, name)


def from_document(document: dict[str, Any], path: str, name: str) -> System:
    """Like `system`, for a config that was read already; `path` is its name in errors."""
    models, files = _student(document, path)
    first = next((t for t in ("detection", "segmentation") if t in models), "classification")
    size = preprocess(document, first, models[first].kwargs, path)
    heads = {task: _head(task, model) for task, model in models.items()}

    def build(_rate: str | None) -> Network:
        from splitwatt.export.sc2bench.student import build as make

        return make(models, f"{name}/encoder", size)

    return System(
        name=name,
        family="sc2bench",
        paper=f"none: built from {Path(path).name}",
        citation=f"{', '.join(m.key for m in models.values())} of {Path(path).name}",
        tasks=tuple(models),
        preprocess=size,
        postprocess=heads,
        build=build,
        checkpoints=lambda _rate: files,
        notes=(f"built from {Path(path).name}",),
    )


def _head(task: str, model: Model) -> Head:
    """The task's head; sc2bench's and torchvision's defaults where the file does not state its numbers."""
    default = {"classification": 1000, "detection": 91, "segmentation": 21}[task]
    classes = model.kwargs.get("num_classes", default)
    if not isinstance(classes, int) or isinstance(classes, bool) or not 1 <= classes <= 65536:
        raise ConfigError(f"{model.at}.kwargs.num_classes must be a number of classes")
    head = SC2_TASKS[task][2]
    threshold = model.kwargs.get("box_score_thresh")
    if isinstance(threshold, int | float):
        head = head._replace(score_threshold=float(threshold))
    return with_labels(task, head, classes, None, "")


def model_at(value: Any, at: str) -> Model:
    """A mapping with `key` and `kwargs`, or `name` and `params` as older versions wrote.

    Raises:
        ConfigError: names the key.
    """
    if isinstance(value, Mapping):
        key = value.get("key", value.get("name"))
        kwargs = value.get("kwargs", value.get("params")) or {}
        if isinstance(key, str) and isinstance(kwargs, Mapping):
            return Model(at, key, kwargs)
    raise ConfigError(
        f"{at} must have a 'key' and 'kwargs'", "see the configs of sc2-benchmark for the form"
    )


def _student(
    document: dict[str, Any], path: str
) -> tuple[Mapping[str, Model], tuple[Checkpoint, ...]]:
    """The models of the tasks, and their files."""
    models = document["models"]
    at = next((key for key in _STUDENTS if key in models), None)
    if at is None or not isinstance(models[at], dict):
        raise ConfigError(f"{path}: key 'models' has neither 'student_model' nor 'model'")
    entry, where = models[at], f"{path}: models.{at}"
    if entry.get("key", entry.get("name")) == "ladon":
        rows = {task: entry[task] for task in _TASKS if task in entry}
    elif "classification_model" in models or "classification_model" in entry:
        first = model_at(entry, where)
        inner = model_at(models.get("classification_model", entry.get("classification_model")),
                         f"{path}: models.classification_model")  # fmt: skip
        whole = {**first.kwargs, "num_classes": inner.kwargs.get("num_classes", 1000)}
        whole["classification_model"] = inner.key
        model = replace(first, kwargs=whole)
        return {"classification": model}, _checkpoints({"classification": entry})
    else:
        first = model_at(entry, where)
        rows = {_TASK_OF.get(first.key, "classification"): entry}
    if not rows:
        raise ConfigError(f"{where} has none of the keys {', '.join(_TASKS)}")
    places = {task: where if row is entry else f"{where}.{task}" for task, row in rows.items()}
    return {task: model_at(rows[task], at) for task, at in places.items()}, _checkpoints(rows)


def _checkpoints(rows: Mapping[str, Any]) -> tuple[Checkpoint, ...]:
    """The files that the config saves or loads, one for each task."""
    entries = []
    for task, row in rows.items():
        kwargs = row.get("kwargs", row.get("params")) or {}
        named = [row.get(key) for key in ("dst_ckpt", "src_ckpt", "ckpt")]
        named.append(kwargs.get("start_ckpt_file_path"))
        paths = [re.sub(r"^(\./)?(resource/ckpt/)?", "", p) for p in named if isinstance(p, str)]
        entries.append(Checkpoint(task, tuple(paths) or (f"{task}.pt",), None, archive=True))
    return tuple(entries)
