"""How a config's test data set makes an image: the sizes, means and filters of its transforms."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from splitwatt.device_configs.errors import ConfigError
from splitwatt.engines.bundle.manifest import Preprocess, Resize
from splitwatt.export.spec import SC2_TASKS, detection_transform, shorter

_MOST_PIXELS = 8192  # of a side
# How a config names Pillow's filters: by word, or by Pillow's number.
_FILTERS = {"": "pillow-bilinear", "bilinear": "pillow-bilinear", "2": "pillow-bilinear",
            "bicubic": "pillow-bicubic", "3": "pillow-bicubic"}  # fmt: skip
_Calls = Mapping[str, Mapping[str, Any]]


def preprocess(
    document: Mapping[str, Any], task: str, kwargs: Mapping[str, Any], path: str
) -> Preprocess:
    """The preprocessing of a config, with sc2bench's own sizes where the config has no transforms.

    Args:
        task: of the model; kwargs: its arguments, which hold a detector's sizes.
        path: the config's name in errors.

    Raises:
        ConfigError: a transform that the manifest cannot state; names the file and the key.
    """
    if task == "detection":
        return _detection(kwargs, path)
    calls = _transforms(document)
    more = _statistics(calls.get("Normalize", {}), ("mean", "std"), f"{path}: Normalize")
    if task == "segmentation" or "RandomResize" in calls:
        return _segmentation(calls, more, path)
    resize, crop = calls.get("Resize"), calls.get("CenterCrop")
    if resize is None and crop is None and "Normalize" not in calls:
        return SC2_TASKS[task][1]
    if resize is None:
        raise ConfigError(
            f"{path}: the test data set has no transform Resize",
            "add Resize with the size of the images that the model was tested on",
        )
    made = _resized(resize, more, path)
    if crop is None:
        return made
    size = _size(crop.get("size"), f"{path}: CenterCrop.size")
    height, width = size * 2 if len(size) == 1 else size
    resized = made.resize.size if isinstance(made.resize.size, tuple) else (made.resize.size,) * 2
    if height > resized[0] or width > resized[1]:
        raise ConfigError(
            f"{path}: CenterCrop.size {[height, width]} is larger than Resize.size {list(resized)}",
            "give Resize at least the size of the crop",
        )
    return made._replace(crop=(height, width))


def _detection(kwargs: Mapping[str, Any], path: str) -> Preprocess:
    """torchvision's transform; of several `min_size` for training, the last is for testing."""
    smallest = kwargs.get("min_size", 800)
    if isinstance(smallest, list | tuple) and smallest:
        smallest = smallest[-1]
    (size,) = _size(smallest, f"{path}: kwargs.min_size", most=1)
    (largest,) = _size(kwargs.get("max_size", 1333), f"{path}: kwargs.max_size", most=1)
    means = _statistics(kwargs, ("image_mean", "image_std"), f"{path}: kwargs")
    return detection_transform(size, largest, 32, **means)


def _segmentation(calls: _Calls, more: dict[str, Any], path: str) -> Preprocess:
    resize = calls.get("RandomResize")
    if resize is None and "Resize" in calls:
        return _resized(calls["Resize"], more, path)
    (size,) = _size((resize or {}).get("min_size", 513), f"{path}: RandomResize.min_size", most=1)
    made = shorter(size, **more)
    if (resize or {}).get("square") is True:
        return made._replace(resize=Resize("exact", (size, size), None, made.resize.filter))
    return made


def _resized(call: Mapping[str, Any], more: dict[str, Any], path: str) -> Preprocess:
    size, filter = _size(call.get("size"), f"{path}: Resize.size"), _filter(call, path)
    if len(size) == 2:
        return shorter(1, **more)._replace(resize=Resize("exact", size, None, filter))
    longest = call.get("max_size")
    if longest is not None:
        (longest,) = _size(longest, f"{path}: Resize.max_size", most=1)
    return shorter(size[0], longest, filter=filter, **more)


def _size(value: Any, at: str, most: int = 2) -> tuple[int, ...]:
    """(n,) of a whole number or a list of one, (height, width) of a list of two."""
    sides = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not 1 <= len(sides) <= most or not all(
        isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= _MOST_PIXELS for n in sides
    ):
        kinds = "a number of pixels" + (", or [height, width]" if most == 2 else "")
        raise ConfigError(f"{at} is {str(value)[:60]}", f"write {kinds}, at most {_MOST_PIXELS}")
    return sides


def _filter(call: Mapping[str, Any], path: str) -> str:
    """The filter of a Resize; `!getattr` gives a list whose last entry names it."""
    value = call.get("interpolation", "")
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    name = str(value).rsplit(".", 1)[-1].lower()
    if name not in _FILTERS:
        raise ConfigError(
            f"{path}: Resize.interpolation is '{name[:60]}'", "write bilinear or bicubic"
        )
    return _FILTERS[name]


def _statistics(call: Mapping[str, Any], keys: tuple[str, str], at: str) -> dict[str, Any]:
    """`mean` and `std` of three channels, where the config has them."""
    made = {}
    for name, key in zip(("mean", "std"), keys, strict=True):
        value = call.get(key)
        if value is None:
            continue
        if (
            not isinstance(value, list | tuple)
            or len(value) != 3
            or not all(isinstance(v, int | float) and (key == keys[0] or v > 0) for v in value)
        ):
            raise ConfigError(
                f"{at}.{key} is {str(value)[:60]}",
                "write three numbers, one a channel" + (" and above 0" if name == "std" else ""),
            )
        made[name] = tuple(map(float, value))
    return made


def _transforms(document: Mapping[str, Any]) -> _Calls:
    """The arguments of each transform of the test data set, by its name without `Custom` or `Wrapped`."""
    calls: dict[str, Mapping[str, Any]] = {}
    for entry in _mappings(_data_set(document)):
        key = entry.get("key", entry.get("type"))
        inner = entry.get("init", entry)
        more = inner.get("kwargs", entry.get("params")) if isinstance(inner, Mapping) else None
        if isinstance(key, str):
            name = key.rsplit(".", 1)[-1].removeprefix("Custom").removeprefix("Wrapped")
            calls.setdefault(name, more if isinstance(more, Mapping) else {})
    return calls


def _data_set(document: Mapping[str, Any]) -> Any:
    """The data set of the test, by its key or (in older files) its `dataset_id`; else the last one."""
    sets = document.get("datasets")
    if not isinstance(sets, Mapping) or not sets:
        return {}
    loader = document.get("test")
    loader = loader.get("test_data_loader") if isinstance(loader, Mapping) else None
    id = loader.get("dataset_id") if isinstance(loader, Mapping) else None
    if isinstance(id, str) and id in sets:
        return sets[id]
    older = [entry for entry in _mappings(sets) if "dataset_id" in entry]
    return next((entry for entry in older if entry["dataset_id"] == id), list(sets.values())[-1])


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in a value, the outer ones first; the reader has bounded how many there are."""
    waiting = deque([value])
    while waiting:
        item = waiting.popleft()
        if isinstance(item, Mapping):
            yield item
        if isinstance(item, Mapping | list):
            waiting.extend(item.values() if isinstance(item, Mapping) else item)
