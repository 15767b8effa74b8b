# board: no
"""The one YAML of a cluster: where Ray is, how many replicas there are, when there are more.

```yaml
format: 1
ray: local            # or the address of a running cluster, as auto or ray://head:10001
replicas:
  least: 1
  most: 4
  requests: 2         # at once in a replica; above it replicas are added, below it removed
  add_after_s: 5      # how long that must last
  remove_after_s: 60
cores: 1              # of a replica: its threads
workers: 1            # inferences at once in a replica
```
"""

from __future__ import annotations

from typing import Any, NamedTuple

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.device_configs.names import suggestion


class Cluster(NamedTuple):
    """What the file says, or what holds without one."""

    ray: str = "local"
    least: int = 1
    most: int = 1
    requests: float = 2.0
    add_after_s: float = 5.0
    remove_after_s: float = 60.0
    cores: int = 1
    workers: int = 1


_REPLICAS = ("least", "most", "requests", "add_after_s", "remove_after_s")
_TOP = ("format", "ray", "replicas", "cores", "workers")


def read_cluster(path: str | None) -> Cluster:
    """The cluster of a file; one replica on this machine without a file.

    Raises:
        ConfigError: the file cannot be read, or says something else; one sentence.
    """
    if path is None:
        return Cluster()
    document = read_yaml(path)
    top = _keys(path, "", document, _TOP)
    if top.get("format") != 1:
        raise ConfigError("%s: 'format' must be 1" % path)
    values: dict[str, Any] = {key: top[key] for key in ("ray", "cores", "workers") if key in top}
    values.update(_keys(path, "replicas.", top.get("replicas", {}), _REPLICAS))
    cluster = Cluster(**values)
    for key, value in cluster._asdict().items():
        _check(path, key, value)
    if cluster.most < cluster.least:
        raise ConfigError("%s: 'replicas.most' must be at least 'replicas.least'" % path)
    return cluster


def _keys(path: str, prefix: str, given: Any, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(given, dict):
        where = prefix.rstrip(".") or "the file"
        raise ConfigError("%s: %s must be a mapping" % (path, where))
    for key in given:
        if key not in known:
            raise ConfigError(
                "%s: unknown key '%s%s'" % (path, prefix, key), suggestion(str(key), known)
            )
    return given


def _check(path: str, key: str, value: Any) -> None:
    if key == "ray":
        right = isinstance(value, str) and bool(value)
        what = "local or the address of a Ray cluster"
    elif key in ("least", "most", "cores", "workers"):
        right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10000
        what = "a whole number from 1"
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = number and 0 < value < 1e6
        what = "a number above 0"
    if not right:
        name = "replicas." + key if key in _REPLICAS else key
        raise ConfigError("%s: '%s' must be %s" % (path, name, what))
