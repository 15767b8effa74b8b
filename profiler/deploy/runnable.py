"""The points of a policy made runnable: a frame becomes an answer here, or a request to the server."""

from typing import List, NamedTuple, Union

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.backends.base import Closing
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.pipeline import BoardPipeline, WholePipeline
from splitwatt.profiler.deploy.policy import Point, Policy


class Runnable(NamedTuple):
    """A point with its engines on this board: whole, or (not `local`) its requests to the server."""

    point: Point
    bundle: Bundle
    local: bool
    pipeline: Union[WholePipeline, BoardPipeline]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.bundle.manifest.model


class Runnables(Closing):
    """Every point of a policy, opened; an encoder that several share is loaded once.

    Args:
        policy: whose points.
        server: whether there is one; without, a single split bundle runs whole on this board.

    Raises:
        BundleError, EngineError: a bundle is damaged, or its backend cannot run it.
        UsageError: a policy with split bundles, and no server.
    """

    def __init__(self, policy: Policy, server: bool) -> None:
        self._store = EngineStore()
        self.points: List[Runnable] = []
        try:
            for point in policy.points:
                self.points.append(self._open(point, server, len(policy.points) == 1))
        except BaseException:
            self.close()
            raise

    def _open(self, point: Point, server: bool, single: bool) -> Runnable:
        bundle = Bundle.open(point.bundle, "board" if server else None)
        if server and bundle.manifest.split:
            board = BoardPipeline(bundle, point.backend, None, self._store)
            return Runnable(point, bundle, False, board)
        if bundle.manifest.split and not single:
            raise UsageError(
                "the policy's %s needs a server, and none is named" % point.config,
                "add --server URL",
            )
        return Runnable(point, bundle, True, WholePipeline(bundle, point.backend))

    def close(self) -> None:
        """Close every engine."""
        for point in self.points:
            point.pipeline.close()
        self._store.close()
