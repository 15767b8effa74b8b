"""A configuration made runnable: an image file goes in, stage times and bytes come out."""

import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from splitwatt.engines.backends.base import Closing
from splitwatt.engines.bundle.model_name import FP32, read_name
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.image import decode_image, decode_reduced
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline
from splitwatt.engines.pipeline.pipeline import Request as BoardRequest
from splitwatt.engines.pipeline.preprocess import Size, plan
from splitwatt.profiler.client.client import Client, Reply
from splitwatt.profiler.config.bundles import Found, slot
from splitwatt.profiler.config.sizes import estimated_bytes, published_bytes
from splitwatt.profiler.records.sample import ESTIMATED, PUBLISHED, Request


class Outcome(NamedTuple):
    """One image's way through a configuration, as `splitwatt.profiler.records.sample.Sample` has it, and
    the codec's bytes of each request.
    """

    started_monotonic_s: float
    total_s: float
    stages: Dict[str, float]
    requests: List[Request]
    payloads: List[bytes]
    device_s: Optional[Dict[str, float]] = None
    processor_s: Optional[float] = None


def decoder(
    models: Sequence[Found], jpeg_reduced: bool
) -> Callable[[str], Tuple[np.ndarray, Optional[Size]]]:
    """What decodes an image file for models: uint8 (H, W, 3), and the size of the image in its file
    where that may be larger.
    """
    specs = [model.bundle.manifest.preprocess for model in models]

    def needed(size: Size) -> Size:
        heights, widths = zip(*(plan(size, spec).resized for spec in specs))
        return max(heights), max(widths)

    if jpeg_reduced:
        return lambda path: decode_reduced(path, needed)
    return lambda path: (decode_image(path), None)


class System(Closing):
    """The models of a configuration made runnable: local ones whole, one after the other; of split ones
    the board's part here, the server's over the network.

    An encoder that several models share is loaded once and run for each of them. Errors are those of the
    pipelines and the client.

    Args:
        models: all local or all split.
        backend: what runs the board's parts.
        threads: threads per inference; None: the backend's default.
        client: of the server; None for local models.
        jpeg_reduced: see `decoder`.
    """

    def __init__(
        self,
        models: Sequence[Found],
        backend: str,
        threads: Optional[int],
        client: Optional[Client] = None,
        jpeg_reduced: bool = False,
    ) -> None:
        self.split = client is not None
        self._client = client
        self._store = EngineStore()
        self._decode = decoder(models, jpeg_reduced)
        kind = LocalPipeline if client is None else BoardPipeline
        self._models: List[Tuple[str, str, Union[LocalPipeline, BoardPipeline]]] = [
            (
                m.model,
                slot(m.bundle.manifest.tasks),
                kind(m.bundle, backend, threads, self._store),
            )
            for m in models
        ]

    def load(self) -> None:
        """Have the server load the models, so that no sample waits for it."""
        for model, _, _ in self._models:
            if self._client is not None:
                self._client.load(model)

    def run(self, path: str) -> Outcome:
        """Run one image file."""
        stages: Dict[str, float] = {}
        device_s: Dict[str, float] = {}
        requests, payloads, drained_s = [], [], 0.0
        # The recorded begin, too: were it read separately, a pause between the two would shift the end.
        start, used_s = time.monotonic(), time.process_time()
        rgb, size = self._decode(path)
        stages["decode"] = time.monotonic() - start
        for model, prefix, pipeline in self._models:
            if isinstance(pipeline, LocalPipeline):
                _, own = pipeline.run(rgb, size)
                _add(stages, prefix, own)
                _add(device_s, prefix, pipeline.device_s)
                continue
            assert self._client is not None  # for the type checker
            ran = pipeline.run(rgb, size)
            _add(stages, prefix, ran.stages)
            _add(device_s, prefix, pipeline.device_s)
            drain_s = self._client.drain()
            drained_s += drain_s or 0.0
            sent = time.perf_counter()
            reply = self._client.infer(model, ran.payload, ran.sizes.tolist())
            received = time.perf_counter()
            unpack(reply.answer)
            unpacked = time.perf_counter()
            _add(stages, prefix, of_round_trip(reply.stages, reply.total_s, received - sent))
            stages[prefix + ".answer"] = unpacked - received
            requests.append(_request(model, ran.payload, reply, drain_s))
            payloads.append(ran.payload)
        total_s, used_s = time.monotonic() - start - drained_s, time.process_time() - used_s
        return Outcome(start, total_s, stages, requests, payloads, device_s or None, used_s)

    def prepare(self, path: str) -> Iterator[Tuple[str, BoardRequest]]:
        """The board's part of an image, without sending anything: a request for each split model."""
        rgb, size = self._decode(path)
        for model, _, pipeline in self._models:
            ran = pipeline.run(rgb, size)
            if isinstance(ran, BoardRequest):
                yield model, ran

    def ask(self, model: str, request: BoardRequest) -> None:
        """Send a request that was prepared, and unpack its answer."""
        assert self._client is not None  # for the type checker
        unpack(self._client.infer(model, request.payload, request.sizes.tolist()).answer)

    @property
    def fallbacks(self) -> List[str]:
        """Parts that another backend runs by a recorded rule, and why."""
        return ["%s: %s" % (model, text) for model, _, p in self._models for text in p.fallbacks]

    @property
    def built(self) -> List[str]:
        """Parts whose engines were built on this machine: with what, in which precision."""
        return ["%s: %s" % (model, text) for model, _, p in self._models for text in p.built]

    def close(self) -> None:
        """Close the engines; the client is its owner's."""
        self._store.close()


def published_total(models: Sequence[str]) -> Optional[Tuple[int, str]]:
    """What a simulated link is charged with instead of the measured payload: the published mean bytes of
    all models together, and "published".

    It is "estimated" where that is true of any model; None where a model has neither figure. A model in
    fp16 or int8 has the sizes of the same model in fp32.
    """
    total, source = 0, PUBLISHED
    for model in models:
        name = str(read_name(model)._replace(precision=FP32))
        size = published_bytes(name)
        if size is None:
            size, source = estimated_bytes(name), ESTIMATED
        if size is None:
            return None
        total += size
    return (total, source) if models else None


def _request(model: str, payload: bytes, reply: Reply, drain_s: Optional[float]) -> Request:
    return Request(
        model, len(payload), reply.wire_up_bytes, reply.wire_down_bytes, None, reply.attempts,
        reply.sent_s, reply.received_s, reply.server_at_s, drain_s,
    )  # fmt: skip


def of_round_trip(
    server: Dict[str, float], total_s: Optional[float], round_trip_s: float
) -> Dict[str, float]:
    """The stages of a round trip: the server's, the rest of its time, and the network's.

    Args:
        server: seconds of the server's stages by name.
        total_s: the server's own time for the request; None where it does not say.
        round_trip_s: from sending to the answer.
    """
    stages = {"server." + name: value for name, value in server.items()}
    server_s = sum(server.values())
    if total_s is not None:
        stages["server.other"] = max(0.0, total_s - server_s)
        server_s += stages["server.other"]
    stages["network"] = max(0.0, round_trip_s - server_s)
    return stages


def _add(stages: Dict[str, float], prefix: str, own: Dict[str, float]) -> None:
    for name, value in own.items():
        stages["%s.%s" % (prefix, name)] = value
