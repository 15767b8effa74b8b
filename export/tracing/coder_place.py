"""Where the range coder runs: outside the encoder's graph, or in it."""

from __future__ import annotations

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.targets import Target

OUTSIDE, IN_GRAPH = "outside", "in-graph"
CODERS = (OUTSIDE, IN_GRAPH)


def check_target(target: Target) -> None:
    """Refuse a target that could not run the node.

    Raises:
        UsageError: it has no TensorRT.
    """
    if not target.operators["tensorrt"]:
        raise UsageError(
            f"{target.name} has no TensorRT, and only TensorRT runs the coder's node",
            "leave --coder out: the coder then runs outside the graph",
        )
