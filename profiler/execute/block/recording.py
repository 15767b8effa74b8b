"""Lines of samples.jsonl, made from what running an image gave or from why it failed."""

import os
from typing import Any, Dict, List, Optional, Tuple, Union

from splitwatt.device_configs.errors import ImageError, ServerError
from splitwatt.profiler.board.probe import Reading
from splitwatt.profiler.config.config import Config
from splitwatt.profiler.config.images import image_of
from splitwatt.profiler.execute.block.system import Outcome
from splitwatt.profiler.execute.steady import WarmUp
from splitwatt.profiler.records.blocks import Block
from splitwatt.profiler.records.fields import plain_text
from splitwatt.profiler.records.legacy_size import legacy_bytes
from splitwatt.profiler.records.sample import BY_IMAGE, FAILED, OK, Sample

Record = Dict[str, Any]


class Recorder:
    """Makes the records of one block, whose images are paths or file names."""

    def __init__(self, config: Config, block: Block, images: List[str], session: int = 0) -> None:
        self._config = config
        self._block = block
        self._images = images
        self._warm_images = WarmUp(config.warmup, config.warmup_until, len(images)).images
        self._nothing: Record = dict(
            dict.fromkeys(Sample._fields),
            config=block.config,
            repeat=block.repeat,
            backend=block.backend,
            block=block.id,
            session=session,
        )

    def image(self, inference: int, warmup: bool) -> str:
        """The path of the image that an inference runs."""
        if warmup:
            return self._images[image_of(inference, 0, 0, self._warm_images)]
        inferences, count = self._config.inferences, len(self._images)
        return self._images[image_of(inference, self._block.repeat, inferences, count)]

    def ok(
        self, inference: int, warmup: bool, outcome: Outcome,
        charge: Optional[Tuple[int, str]], board: Reading,
    ) -> Record:  # fmt: skip
        """Of an image that gave an answer."""
        record = self._record(inference, warmup, outcome.started_monotonic_s, board)
        sent = zip(outcome.requests, outcome.payloads)
        requests = [r._replace(legacy_pickled_bytes=legacy_bytes(payload)) for r, payload in sent]
        record.update(
            status=OK, total_s=outcome.total_s, stages=outcome.stages, device_s=outcome.device_s,
            processor_s=outcome.processor_s,
        )  # fmt: skip
        if requests:
            record.update(
                payload_bytes=sum(r.payload_bytes for r in requests),
                wire_up_bytes=sum(r.wire_up_bytes for r in requests),
                wire_down_bytes=sum(r.wire_down_bytes for r in requests),
                requests=[dict(r._asdict()) for r in requests],
                published_payload_bytes=charge[0] if charge else None,
                published_payload_source=charge[1] if charge else None,
            )
        return record

    def failed(
        self, inference: int, warmup: bool, started: float, error: Union[BaseException, str],
        board: Optional[Reading] = None,
    ) -> Record:  # fmt: skip
        """Of an image that gave none; an error as text is the block's process's own end."""
        record = self._record(inference, warmup, started, board)
        record["reason"] = plain_text(str(error)) or type(error).__name__
        record["failed_by"] = _culprit(error)
        return record

    def _record(
        self, inference: int, warmup: bool, started: float, board: Optional[Reading]
    ) -> Record:
        record = dict(
            self._nothing,
            image=os.path.basename(self.image(inference, warmup)),
            inference=inference,
            warmup=warmup,
            status=FAILED,
            stages={},
            requests=[],
            started_monotonic_s=started,
        )
        if board is not None:
            record.update(board=board.values, throttled=board.throttled, throttled_by=board.by)
        return record


def _culprit(error: Union[BaseException, str]) -> str:
    if isinstance(error, str):
        return "process"
    if isinstance(error, ImageError):
        return BY_IMAGE
    return "server" if isinstance(error, ServerError) else "engine"
