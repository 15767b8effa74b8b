"""Runs several requests for one model together in those parts whose graphs take a batch."""

# board: no

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.pipeline.chain import Tensors
from splitwatt.engines.pipeline.pipeline import ServerPipeline
from splitwatt.engines.pipeline.postprocess import Answer

Outcome = tuple[Answer, dict[str, float]]


class _Item:
    """A request being run: its tensors so far, its stages, and in the end its answer or its error."""

    def __init__(self, payload: bytes, sizes: Any) -> None:
        self.payload, self.sizes = payload, sizes
        self.tensors: Tensors = {}
        self.stages: dict[str, float] = {}
        self.outcome: Any = None


class BatchPipeline(ServerPipeline):
    """The server's half of a split model, for one request or for several."""

    def run_all(self, requests: Sequence[tuple[bytes, Any]]) -> list[Outcome | SplitwattError]:
        """An answer with its stages, or the error, for each (payload, sizes).

        Requests whose latents have the same shape go together through the parts that take a batch. The
        stage of such a part is the whole batch's time for each request, because each has waited that
        long.
        """
        items = [_Item(*request) for request in requests]
        groups: dict[Any, list[_Item]] = {}
        for item in items:
            _timed([item], "decode", self._decode)
            key = tuple((name, array.shape) for name, array in sorted(item.tensors.items()))
            groups.setdefault(key, []).append(item)
        for group in groups.values():
            for part, engine in self._chain:
                together = len(group) > 1 and takes_batch(engine)
                for those in [group] if together else [[item] for item in group]:
                    _timed(those, part.name.split(".")[0], functools.partial(_run, engine))
            for item in group:
                _timed([item], "postprocess", self._finish)
        return [item.outcome for item in items]

    def _decode(self, items: list[_Item]) -> None:
        for item in items:
            item.tensors = self.decode(item.payload, item.sizes)

    def _finish(self, items: list[_Item]) -> None:
        for item in items:
            item.outcome = (self._answer(item.tensors), item.stages)


def _timed(items: list[_Item], stage: str, call: Callable[[list[_Item]], None]) -> None:
    """Run a stage of those requests that have not failed; its time, or its error, is each one's."""
    items = [item for item in items if item.outcome is None]
    if not items:
        return
    start = time.perf_counter()
    try:
        call(items)
    except SplitwattError as error:
        for item in items:
            item.outcome = error
    seconds = time.perf_counter() - start
    for item in items:
        item.stages[stage] = item.stages.get(stage, 0.0) + seconds


def takes_batch(engine: Engine) -> bool:
    """Whether all inputs have 4 dimensions, and the first one of every input and output varies."""
    ports = [*engine.inputs.values(), *engine.outputs.values()]
    maps = all(len(port.shape) == 4 for port in engine.inputs.values())
    return maps and all(port.shape and port.shape[0] is None for port in ports)


def _run(engine: Engine, items: list[_Item]) -> None:
    if len(items) == 1:
        tensors = items[0].tensors
        tensors.update(engine.run({name: tensors[name] for name in engine.inputs}))
        return
    feeds = {name: np.concatenate([i.tensors[name] for i in items]) for name in engine.inputs}
    for name, array in engine.run(feeds).items():
        for place, item in enumerate(items):
            item.tensors[name] = array[place : place + 1]
