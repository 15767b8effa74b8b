"""The points of a policy made runnable: a frame becomes an answer here, or a request to the server."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.backends.base import Closing
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline, Request, WholePipeline
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.deploy.policy import Point, Policy


class Runnable(NamedTuple):
    """A point with its engines on this board; `local`: it needs no server."""

    point: Point
    bundle: Bundle
    local: bool
    pipeline: Any

    @property
    def model(self) -> str:
        """The model's name."""
        return self.bundle.manifest.model

    def answer(self, rgb: np.ndarray) -> Tuple[Answer, Dict[str, float], Optional[bytes]]:
        """Of a local point: a frame's answer, its stages in seconds, and the codec's bytes where the
        server's parts run here too.
        """
        outcome = self.pipeline.run(rgb)
        if isinstance(self.pipeline, LocalPipeline):
            return outcome[0], outcome[1], None
        return outcome.answer, outcome.stages, outcome.payload

    def request(self, rgb: np.ndarray) -> Request:
        """Of a point that needs the server: what is to be sent of a frame."""
        result: Request = self.pipeline.run(rgb)
        return result


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
        self._whole: List[WholePipeline] = []
        self.points: List[Runnable] = []
        try:
            for point in policy.points:
                self.points.append(self._open(point, server, len(policy.points) == 1))
        except BaseException:
            self.close()
            raise

    def _open(self, point: Point, server: bool, single: bool) -> Runnable:
        bundle = Bundle.open(point.bundle, None if not server else "board")
        backend = point.backend
        if not bundle.manifest.split:
            local = LocalPipeline(bundle, backend, None, self._store)
            return Runnable(point, bundle, True, local)
        if server:
            board = BoardPipeline(bundle, backend, None, self._store)
            return Runnable(point, bundle, False, board)
        if not single:
            raise UsageError(
                "the policy's %s needs a server, and none is named" % point.config,
                "add --server URL",
            )
        self._whole.append(WholePipeline(bundle, backend))
        return Runnable(point, bundle, True, self._whole[0])

    def close(self) -> None:
        """Close every engine."""
        self._store.close()
        for pipeline in self._whole:
            pipeline.close()
