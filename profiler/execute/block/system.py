"""A configuration made runnable: an image file goes in, stage times and bytes come out."""

import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.engines.bundle.model_name import FP32, read_name
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.engines.pipeline.chain import PartsPipeline
from splitwatt.engines.pipeline.image import decode_image, decode_reduced
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline
from splitwatt.engines.pipeline.pipeline import Request as BoardRequest
from splitwatt.engines.pipeline.preprocess import Size, plan
from splitwatt.engines.pipeline.store import EngineStore
from splitwatt.profiler.client.client import Client, Reply
from splitwatt.profiler.config.bundles import Found, slot
from splitwatt.profiler.config.sizes import estimated_bytes, published_bytes
from splitwatt.profiler.records.legacy_size import legacy_bytes
from splitwatt.profiler.records.sample import ESTIMATED, PUBLISHED, Request


class Outcome(NamedTuple):
    """One image's way through a configuration.

    Attributes:
        answers: model -> the answer.
        total_s: wall time from opening the image file to the last answer.
        stages: SLOT.STAGE -> seconds; they add up to `total_s` but for what lies between calls.
        requests: what was sent for it; empty in local computing.
        payloads: the codec's bytes of each request.
        device_s: SLOT.PART -> seconds by the accelerator's own clock; None where it has none.
        processor_s: processor time of this process, all its threads.
    """

    answers: Dict[str, Any]
    total_s: float
    stages: Dict[str, float]
    requests: List[Request]
    payloads: List[bytes]
    device_s: Optional[Dict[str, float]] = None
    processor_s: Optional[float] = None


class Charge(NamedTuple):
    """What a simulated link is charged with instead of the measured payload.

    Attributes:
        bytes: of all requests of an image together.
        source: "published", or "estimated" where that is true of any part.
    """

    bytes: int
    source: str


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


class LocalSystem:
    """Local computing: every model on the board, one after the other."""

    def __init__(
        self,
        models: Sequence[Found],
        backend: str,
        threads: Optional[int],
        jpeg_reduced: bool = False,
    ) -> None:
        self._store = EngineStore()
        self._decode = decoder(models, jpeg_reduced)
        self._models = [
            (
                m.model,
                slot(m.bundle.manifest.tasks),
                LocalPipeline(m.bundle, backend, threads, self._store),
            )
            for m in models
        ]

    def run(self, path: str) -> Outcome:
        """Run one image file.

        Raises:
            ImageError, EngineError: as the pipelines raise them.
        """
        answers: Dict[str, Any] = {}
        stages: Dict[str, float] = {}
        device_s: Dict[str, float] = {}
        start, used_s = time.perf_counter(), time.process_time()
        rgb, size = self._decode(path)
        stages["decode"] = time.perf_counter() - start
        for model, prefix, pipeline in self._models:
            answers[model], own = pipeline.run(rgb, size)
            _add(stages, prefix, own)
            _add(device_s, prefix, pipeline.device_s)
        total_s, used_s = time.perf_counter() - start, time.process_time() - used_s
        return Outcome(answers, total_s, stages, [], [], device_s or None, used_s)

    @property
    def fallbacks(self) -> List[str]:
        """Parts that another backend runs by a recorded rule, and why."""
        return _of_parts(self._models, lambda pipeline: pipeline.fallbacks)

    @property
    def built(self) -> List[str]:
        """Parts whose engines were built on this machine: with what, in which precision."""
        return _of_parts(self._models, lambda pipeline: pipeline.built)

    def close(self) -> None:
        """Close the engines."""
        self._store.close()


class SplitSystem:
    """Split computing: every model's board part here, its server part over the network.

    An encoder that several models share is loaded once and run for each of them.
    """

    def __init__(
        self,
        models: Sequence[Found],
        backend: str,
        threads: Optional[int],
        client: Client,
        jpeg_reduced: bool = False,
    ) -> None:
        self._store = EngineStore()
        self._decode = decoder(models, jpeg_reduced)
        self._client = client
        self._models = [
            (
                m.model,
                slot(m.bundle.manifest.tasks),
                BoardPipeline(m.bundle, backend, threads, self._store),
            )
            for m in models
        ]

    def load(self) -> None:
        """Have the server load the models, so that no sample waits for it.

        Raises:
            ServerError: it is gone, or cannot load one.
        """
        for model, _, _ in self._models:
            self._client.load(model)

    def run(self, path: str) -> Outcome:
        """Run one image file.

        Raises:
            ImageError, EngineError, BitstreamError, ServerError: as pipelines and client do.
        """
        answers: Dict[str, Any] = {}
        stages: Dict[str, float] = {}
        device_s: Dict[str, float] = {}
        requests, payloads, drained_s = [], [], 0.0
        start, used_s = time.perf_counter(), time.process_time()
        rgb, size = self._decode(path)
        stages["decode"] = time.perf_counter() - start
        for model, prefix, pipeline in self._models:
            request = pipeline.run(rgb, size)
            _add(stages, prefix, request.stages)
            _add(device_s, prefix, pipeline.device_s)
            drain_s = self._client.drain()
            drained_s += drain_s or 0.0
            sent = time.perf_counter()
            reply = self._client.infer(model, request.payload, request.sizes.tolist())
            received = time.perf_counter()
            answers[model] = unpack(reply.answer)
            unpacked = time.perf_counter()
            _add(stages, prefix, _network(reply, received - sent))
            stages[prefix + ".answer"] = unpacked - received
            requests.append(_request(model, request.payload, reply, drain_s))
            payloads.append(request.payload)
        total_s, used_s = time.perf_counter() - start - drained_s, time.process_time() - used_s
        return Outcome(answers, total_s, stages, requests, payloads, device_s or None, used_s)

    def prepare(self, path: str) -> Iterator[Tuple[str, BoardRequest]]:
        """The board's part of an image, without sending anything: a request a model.

        Raises:
            ImageError, EngineError, BitstreamError: as the pipelines do.
        """
        rgb, size = self._decode(path)
        for model, _, pipeline in self._models:
            yield model, pipeline.run(rgb, size)

    def ask(self, model: str, request: BoardRequest) -> Any:
        """Send a request that was prepared; the answer.

        Raises:
            ServerError: as the client does.
        """
        return unpack(self._client.infer(model, request.payload, request.sizes.tolist()).answer)

    @property
    def fallbacks(self) -> List[str]:
        """Parts that another backend runs by a recorded rule, and why."""
        return _of_parts(self._models, lambda pipeline: pipeline.fallbacks)

    @property
    def built(self) -> List[str]:
        """Parts whose engines were built on this machine: with what, in which precision."""
        return _of_parts(self._models, lambda pipeline: pipeline.built)

    def close(self) -> None:
        """Close the engines and the connection."""
        self._store.close()
        self._client.close()


def finished(requests: Sequence[Request], payloads: Sequence[bytes]) -> List[Request]:
    """The requests with what need not be computed while a sample is timed."""
    return [
        request._replace(legacy_pickled_bytes=legacy_bytes(payload))
        for request, payload in zip(requests, payloads)
    ]


def published_total(models: Sequence[str]) -> Optional[Charge]:
    """The published mean bytes of all models together, estimated for those without a published
    figure; None where one of them has neither. A model in fp16 or int8 has the sizes of the
    same model in fp32.
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
    return Charge(total, source) if models else None


def _request(model: str, payload: bytes, reply: Reply, drain_s: Optional[float]) -> Request:
    return Request(
        model, len(payload), reply.wire_up_bytes, reply.wire_down_bytes, None, reply.attempts,
        reply.sent_s, reply.received_s, reply.server_at_s, drain_s,
    )  # fmt: skip


def _network(reply: Reply, round_trip_s: float) -> Dict[str, float]:
    """The parts of a round trip: the server's stages, the rest of its time, and the network's."""
    stages = {"server." + name: value for name, value in reply.stages.items()}
    server_s = sum(reply.stages.values())
    if reply.total_s is not None:
        stages["server.other"] = max(0.0, reply.total_s - server_s)
        server_s += stages["server.other"]
    stages["network"] = max(0.0, round_trip_s - server_s)
    return stages


def _of_parts(
    models: Sequence[Tuple[str, str, PartsPipeline]], lines_of: Callable[[PartsPipeline], List[str]]
) -> List[str]:
    return ["%s: %s" % (model, text) for model, _, p in models for text in lines_of(p)]


def _add(stages: Dict[str, float], prefix: str, own: Dict[str, float]) -> None:
    for name, value in own.items():
        stages["%s.%s" % (prefix, name)] = value
