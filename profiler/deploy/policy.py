"""policy.yaml: the configurations that `splitwatt run` may use, best first, and a frame's deadline."""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.input.schema import check
from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.device_configs.names import check_known, first_repeated
from splitwatt.engines.backends import BACKENDS

_SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "policy.schema.json")
FORMAT = 1


class Point(NamedTuple):
    """One configuration of a policy; its fields are those of `policy.schema.json`."""

    config: str
    bundle: str
    backend: str = "cpu"
    quality: Optional[float] = None
    board_s: Optional[float] = None
    server_s: Optional[float] = None
    wire_bytes: Optional[float] = None
    joules: Optional[float] = None


class Policy(NamedTuple):
    """A policy; without a deadline its first point is always run.

    Attributes:
        points: best first.
        deadline_s: from a frame's capture to its answer; None: none.
        quality_of: what the points' quality is.
        made_from: ids of the runs that the figures are of.
    """

    points: Tuple[Point, ...]
    deadline_s: Optional[float] = None
    quality_of: str = ""
    made_from: Tuple[str, ...] = ()

    def to_json(self, folder: str) -> Dict[str, Any]:
        """As policy.yaml has it, its bundles relative to `folder`."""
        rows = [dict(p._asdict(), bundle=os.path.relpath(p.bundle, folder)) for p in self.points]
        deadline_ms = None if self.deadline_s is None else round(1000 * self.deadline_s, 3)
        return {
            "format": FORMAT, "deadline_ms": deadline_ms, "quality_of": self.quality_of,
            "made_from": list(self.made_from), "points": rows,
        }  # fmt: skip


def read_policy(path: str) -> Policy:
    """Read a policy; its bundles become paths from the working directory.

    Raises:
        ConfigError: it is not one: which file, which key, what was expected.
        UsageError: an unknown backend.
    """
    with open(_SCHEMA, encoding="utf-8") as stream:
        document = check(read_yaml(path), json.load(stream), path)
    folder = os.path.dirname(os.path.abspath(path))
    points: List[Point] = []
    for row in document["points"]:
        check_known("backend", row["backend"], BACKENDS)
        bundle = os.path.normpath(os.path.join(folder, row["bundle"]))
        if not os.path.isfile(os.path.join(bundle, "manifest.json")):
            raise ConfigError(
                "%s: the bundle of %s is missing in %s" % (path, row["config"], bundle),
                "export it, or correct 'bundle'",
            )
        points.append(Point(**dict(row, bundle=bundle)))
    twice = first_repeated(point.config for point in points)
    if twice is not None:
        raise ConfigError("%s: 'points' holds the configuration %s twice" % (path, twice))
    return Policy(
        tuple(points), document["deadline_ms"] / 1000.0, document["quality_of"],
        tuple(document["made_from"]),
    )  # fmt: skip
