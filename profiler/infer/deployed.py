"""A bundle as it is deployed: an image goes in; the answer and what was sent for it come out."""

from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy as np

from splitwatt.engines.backends.closing import Closing
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.engines.pipeline.pipeline import BoardPipeline, WholePipeline
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.client.bundle_of_server import bundle_of_server
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint


class Answered(NamedTuple):
    """One image's answer.

    Attributes:
        answer: of every task.
        payload: the codec's bytes; None of a local model.
        sizes: int32 (6,), see `splitwatt.engines.pipeline.pipeline.Request`; None of a local model.
        wire_up_bytes: of the HTTP request, or of the one that a server elsewhere would have got;
            None of a local model.
        stages: stage -> seconds, those at the server prefixed "server.".
    """

    answer: Answer
    payload: Optional[bytes]
    sizes: Optional[np.ndarray]
    wire_up_bytes: Optional[int]
    stages: Dict[str, float]


# Says how large a request would be where no server is asked.
_NEVER_ASKED = Client(Endpoint("http://127.0.0.1:8080"))


class Deployed(Closing):
    """Runs a bundle, its server parts in this process or behind a client.

    Args:
        bundle: local or split.
        backend: what runs the board's parts.
        client: of the server that runs the others; None runs them here.
        server_backend: what runs them here; the board's when None.

    Attributes:
        server: what is recorded of the server, see `server_of`; None without a client.

    Raises:
        BundleError, EngineError: as the pipelines raise them.
        ServerError: the server has other entropy tables, or not this model.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str = "cpu",
        client: Optional[Client] = None,
        server_backend: Optional[str] = None,
    ) -> None:
        self.bundle = bundle
        self._client = client if bundle.manifest.split else None
        self.server: Optional[Dict[str, Any]] = None
        self._pipeline: Union[WholePipeline, BoardPipeline]
        if self._client is None:
            self._pipeline = WholePipeline(bundle, backend, server_backend)
        else:
            self._pipeline = BoardPipeline(bundle, backend)
            self.server = server_of(self._client, bundle)
            self._client.load(bundle.manifest.model)

    def run(self, rgb: np.ndarray) -> Answered:
        """The answer for a uint8 (H, W, 3) image.

        Raises:
            ImageError, EngineError, BitstreamError, ServerError: as pipelines and client do.
        """
        if isinstance(self._pipeline, WholePipeline):
            found = self._pipeline.run(rgb)
            wire_bytes = None
            if found.payload is not None and found.sizes is not None:
                model, sizes = self.bundle.manifest.model, found.sizes.tolist()
                wire_bytes = _NEVER_ASKED.request_bytes(model, found.payload, sizes)
            return Answered(found.answer, found.payload, found.sizes, wire_bytes, found.stages)
        request = self._pipeline.run(rgb)
        assert self._client is not None  # for the type checker
        model = self.bundle.manifest.model
        reply = self._client.infer(model, request.payload, request.sizes.tolist())
        stages = dict(request.stages)
        stages.update({"server." + name: seconds for name, seconds in reply.stages.items()})
        return Answered(
            unpack(reply.answer), request.payload, request.sizes, reply.wire_up_bytes, stages
        )

    @property
    def codec(self) -> Codec:
        """The codec of a split bundle; BundleError for a local one."""
        return self._pipeline.codec

    def close(self) -> None:
        """Close the engines; the client is its owner's."""
        self._pipeline.close()


def server_of(client: Client, bundle: Bundle) -> Dict[str, Any]:
    """What is recorded of a server that runs a bundle's parts: its backend, and its own bundle's
    manifest; None of what it does not tell.

    Raises:
        ServerError: it has other entropy tables, not the model, or is gone.
    """
    backend = client.metadata().get("backend")
    codec = bundle.manifest.codec
    theirs = bundle_of_server(client, bundle.manifest.model, codec.tables_id if codec else None)
    return {
        "backend": backend if isinstance(backend, str) else None,
        "manifest_sha256": theirs.get("manifest_sha256"),
    }


def sized(answered: Answered) -> Tuple[Optional[int], Optional[int]]:
    """The coded image's pixels without padding, and its payload's bytes; None of a local model."""
    if answered.payload is None or answered.sizes is None:
        return None, None
    return int(answered.sizes[2]) * int(answered.sizes[3]), len(answered.payload)


def plain(answer: Answer) -> Dict[str, Any]:
    """An answer as JSON values, its mask as the shares of its classes in percent."""
    found: Dict[str, Any] = {}
    for task, fields in answer.items():
        if task == "segmentation":
            classes, counts = np.unique(fields["mask"], return_counts=True)
            shares = 100.0 * counts / fields["mask"].size
            rows = zip(classes.tolist(), shares.tolist())
            found[task] = {"percent_of_pixels": {str(c): round(s, 3) for c, s in rows}}
        else:
            found[task] = {name: array.tolist() for name, array in fields.items()}
    return found
