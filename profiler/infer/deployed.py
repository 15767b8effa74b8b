"""A bundle as it is deployed: from an image to the answer and the bytes that were sent for it."""

from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy as np

from splitwatt.device_configs.errors import BundleError, ServerError
from splitwatt.engines.backends.base import Closing
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Manifest
from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.engines.pipeline.pipeline import BoardPipeline, WholePipeline
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint, shown


class Answered(NamedTuple):
    """One image's answer.

    Attributes:
        answer: of every task.
        payload: the codec's bytes; None of a local model.
        sizes: int32 (6,), see `splitwatt.engines.pipeline.pipeline.Request`; None of a local model.
        wire_up_bytes: of the HTTP request, also where the server's parts run here and none was sent;
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
        manifest = self.bundle.manifest
        if isinstance(self._pipeline, WholePipeline):
            answer, payload, sizes, stages = self._pipeline.run(rgb)
            wire_bytes = None
            if payload is not None and sizes is not None:
                wire_bytes = _NEVER_ASKED.request_bytes(manifest.model, payload, sizes.tolist())
            return Answered(answer, payload, sizes, wire_bytes, stages)
        request = self._pipeline.run(rgb)
        assert self._client is not None  # for the type checker
        sizes = request.sizes
        reply = self._client.infer(manifest.model, request.payload, sizes.tolist())
        stages = {"server." + name: seconds for name, seconds in reply.stages.items()}
        stages = dict(request.stages, **stages)
        answer = read_answer(reply.answer, manifest)
        return Answered(answer, request.payload, sizes, reply.wire_up_bytes, stages)

    @property
    def codec(self) -> Codec:
        """The codec of a split bundle; BundleError for a local one."""
        return self._pipeline.codec

    def close(self) -> None:
        """Close the engines; the client is its owner's."""
        self._pipeline.close()


def server_of(client: Client, bundle: Bundle) -> Dict[str, Any]:
    """What is recorded of a server that runs a bundle's parts: its backend, and its own bundle's
    manifest; None for what it does not report.

    Raises:
        ServerError: it has other entropy tables, lacks the model, or does not answer.
    """
    codec = bundle.manifest.codec
    said = {
        "backend": client.metadata().get("backend"),
        "manifest_sha256": client.bundle(
            bundle.manifest.model, codec.tables_id if codec else None
        ).get("manifest_sha256"),
    }
    # As a file can hold it that is read again: a server may say anything.
    return {key: shown(text) if isinstance(text, str) else None for key, text in said.items()}


def sized(answered: Answered) -> Tuple[Optional[int], Optional[int]]:
    """The coded image's pixels without padding, and its payload's bytes; None of a local model."""
    if answered.payload is None or answered.sizes is None:
        return None, None
    return int(answered.sizes[2]) * int(answered.sizes[3]), len(answered.payload)


def named(answer: Answer, manifest: Manifest) -> Dict[str, Any]:
    """An answer as JSON values with the names of its classes, its mask as their shares in percent."""
    values: Dict[str, Any] = {}
    for task, fields in answer.items():
        names = labels(manifest.postprocess[task].labels)
        if task == "segmentation":
            classes, counts = np.unique(fields["mask"], return_counts=True)
            shares = (100.0 * counts / fields["mask"].size).tolist()
            rows = [(str(label), round(share, 3)) for label, share in zip(classes, shares)]
            values[task] = {
                "percent_of_pixels": dict(rows),
                "names": {label: names[int(label)] for label, _ in rows},
            }
        else:
            values[task] = {name: array.tolist() for name, array in fields.items()}
            values[task]["names"] = [names[label] for label in values[task]["labels"]]
    return values


def read_answer(packed: bytes, manifest: Manifest) -> Answer:
    """What a server answered, as the bundle's tasks and classes allow it.

    Raises:
        ServerError: it cannot be read, or is of other tasks or classes than the board's bundle.
    """
    answer = unpack(packed)
    remedy = "copy one bundle to both"
    if set(answer) != set(manifest.tasks):
        raise ServerError(
            "the server answered %s with %s, and the board's bundle has %s"
            % (manifest.model, ", ".join(sorted(answer)) or "nothing", ", ".join(manifest.tasks)),
            remedy,
        )
    try:
        check_labels(answer, manifest)
    except BundleError as error:
        raise ServerError("the server's answer: %s" % error.message, remedy)
    return answer


def check_labels(answer: Answer, manifest: Manifest) -> None:
    """Fail where an answer holds a class that the manifest has no name for.

    Raises:
        BundleError: it does.
    """
    for task, fields in answer.items():
        names = manifest.postprocess[task].labels
        classes = fields["mask" if task == "segmentation" else "labels"]
        if names is None or not classes.size:
            continue
        low, high, count = int(classes.min()), int(classes.max()), len(labels(names))
        if low < 0 or high >= count:
            raise BundleError(
                "%s answers with class %d for %s, and its manifest names %d classes"
                % (manifest.model, high if high >= count else low, task, count),
                "export it with --labels FILE that has a name for every class",
            )
