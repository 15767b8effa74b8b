"""The models of an experiment: those that the `configurations` of a config name.

The profiler checks the rest of the config; this room may not import it and reads the YAML itself.
"""

from pathlib import Path
from typing import Any

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.device_configs.names import suggestion

_PACKAGED = Path(__file__).resolve().parent.parent / "profiler" / "configs"


def models(config: str, only: str | None = None) -> list[str]:
    """The models of a config, each once, in its order.

    Args:
        config: a path, or the name of a packaged config.
        only: ids of configurations, separated by commas.

    Raises:
        UsageError: no such config or configuration.
        ConfigError: the file is not such a config.
    """
    path, document = _read(config)
    rows = document.get("configurations")
    if not isinstance(rows, dict) or not rows:
        raise ConfigError(
            f"{path}: key 'configurations' must name at least one configuration",
            "see profiler/configs/table3.yaml for the form",
        )
    chosen = rows if only is None else [key.strip() for key in only.split(",") if key.strip()]
    named: dict[str, None] = {}
    for key in chosen:
        if key not in rows:
            raise UsageError(f"there is no configuration '{key}'", suggestion(key, rows))
        if not isinstance(rows[key], dict):
            raise ConfigError(f"{path}: key 'configurations.{key}' must be a mapping")
        for kind in ("local", "split"):
            names = rows[key].get(kind, [])
            if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
                raise ConfigError(
                    f"{path}: key 'configurations.{key}.{kind}' must be a list of models"
                )
            named.update(dict.fromkeys(names))
    return list(named)


def zoo_files(config: str) -> list[str]:
    """The Python files that a config's key `zoo` names, as paths relative to the config.

    Raises:
        UsageError: no such config.
        ConfigError: the file is not such a config, or the key is neither a file nor a list of files.
    """
    path, document = _read(config)
    value = document.get("zoo", [])
    files = [value] if isinstance(value, str) else value
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise ConfigError(f"{path}: key 'zoo' must be a Python file or a list of them")
    return [str(path.parent / file) for file in files]


def _read(config: str) -> tuple[Path, dict[str, Any]]:
    for path in (Path(config), _PACKAGED / config, _PACKAGED / f"{config}.yaml"):
        if path.is_file():
            document = read_yaml(str(path))
            return path, document if isinstance(document, dict) else {}
    packaged = sorted(p.name for p in _PACKAGED.glob("*.yaml"))
    raise UsageError(f"there is no config '{config}'", suggestion(config, packaged))
