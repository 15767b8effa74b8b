"""Class names for a manifest: from the user's file, else the checkpoint, else the model's own set."""

from collections.abc import Mapping, Sequence
from typing import Any

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import read_bounded
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.engines.bundle.manifest import Head
from splitwatt.engines.labels import labels as names_of

_LIMIT_BYTES = 4 << 20
# The keys under which training scripts save names: a list, or a mapping from or to the ids.
_KEYS = ("labels", "class_names", "classes", "names", "class_to_idx", "id2label")


def read_labels(path: str) -> list[str]:
    """The names in a file, by class id: one a line, or JSON with a list, {"0": name} or {name: 0}.

    Raises:
        UsageError: it cannot be read, or holds no names.
    """
    if path.lower().endswith(".json"):
        content = read_json(path, _LIMIT_BYTES, UsageError)
        parsed = names_in(content) or _names(content)
        if parsed is None:
            raise UsageError(
                f"{path} is not a list of class names",
                'write a JSON list such as ["cat", "dog"], or a mapping whose ids are 0, 1, 2, ...',
            )
        return parsed
    try:
        lines = (
            read_bounded(path, _LIMIT_BYTES, UsageError).decode("utf-8-sig").rstrip().splitlines()
        )
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "write one class name a line")
    if not lines:
        raise UsageError(f"{path} is empty", "write one class name a line")
    for number, line in enumerate(lines, 1):
        if not _is_name(line):
            raise UsageError(f"{path}, line {number} is not a class name", "write one a line")
    return [line.strip() for line in lines]


def names_in(content: Any) -> list[str] | None:
    """The class names that a checkpoint or a config has under one of the usual keys; None if it has none."""
    if not isinstance(content, Mapping):
        return None
    return next((names for key in _KEYS if (names := _names(content.get(key)))), None)


def with_labels(
    task: str, head: Head, classes: int | None, given: Sequence[str] | None, source: str
) -> Head:
    """A head with its class names.

    Args:
        classes: the head's outputs, background included; None if unknown.
        given: the user's or the checkpoint's names; None for the head's own set, if it has as many.
        source: the file of `given`, for the error text.

    Raises:
        UsageError: fewer or more names than outputs.
    """
    if given is None:
        own = head.labels
        fits = own is None or classes is None or len(names_of(own)) == classes
        return head if fits else head._replace(labels=None)
    names = list(given)
    if task == "detection" and classes == len(names) + 1:
        names.insert(0, "background")
    if classes is not None and len(names) != classes:
        also = f" (or {classes - 1}, without the background)" if task == "detection" else ""
        raise UsageError(
            f"{source} holds {len(names)} class names and the {task} head has {classes} outputs",
            f"give {classes} names{also}",
        )
    return head._replace(labels=names)


def _names(value: Any) -> list[str] | None:
    """The names as a list, from a list, {0: name}, {"0": name} or {name: 0}; None for any other form."""
    if isinstance(value, Mapping):
        turned = dict(value)
        if turned and all(isinstance(v, int) for v in turned.values()):
            turned = {v: k for k, v in turned.items()}
        value = [turned.get(i, turned.get(str(i))) for i in range(len(value))]
    if not isinstance(value, list | tuple) or not value or not all(map(_is_name, value)):
        return None
    return [name.strip() for name in value]


def _is_name(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    name = value.strip()
    return bool(name) and name.isprintable() and len(name) < 4096
