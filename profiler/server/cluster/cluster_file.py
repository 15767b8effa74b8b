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

from typing import Any, NamedTuple

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.input.schema import check
from splitwatt.device_configs.input.strict_yaml import read_yaml


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


_COUNT = {"type": "integer", "minimum": 1, "maximum": 10000, "title": "a whole number from 1"}
_AMOUNT = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}
_REPLICAS = {
    "least": _COUNT,
    "most": _COUNT,
    "requests": _AMOUNT,
    "add_after_s": _AMOUNT,
    "remove_after_s": _AMOUNT,
}
_RAY = {"type": "string", "minLength": 1, "title": "local or the address of a Ray cluster"}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["format"],
    "properties": {
        "format": {"const": 1},
        "ray": _RAY,
        "replicas": {"type": "object", "additionalProperties": False, "properties": _REPLICAS},
        "cores": _COUNT,
        "workers": _COUNT,
    },
}


def read_cluster(path: str | None) -> Cluster:
    """The cluster of a file; one replica on this machine without a file.

    Raises:
        ConfigError: the file cannot be read, or says something else; one sentence.
    """
    if path is None:
        return Cluster()
    document = check(read_yaml(path), _SCHEMA, path)
    del document["format"]
    cluster = Cluster(**document.pop("replicas", {}), **document)
    if cluster.most < cluster.least:
        raise ConfigError("%s: 'replicas.most' must be at least 'replicas.least'" % path)
    return cluster
