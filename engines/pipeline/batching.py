"""Runs several requests for one model together in those parts whose graphs take a batch."""

# board: no

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.pipeline.chain import Tensors
from splitwatt.engines.pipeline.pipeline import ServerPipeline, _inputs
from splitwatt.engines.pipeline.postprocess import Answer, Sizes
from splitwatt.engines.pipeline.stages import Laps

Outcome = tuple[Answer, dict[str, float]]


class _Item(NamedTuple):
    """A request being run: its place among the others, its tensors so far, its stages."""

    place: int
    sizes: Sizes
    tensors: Tensors
    stages: dict[str, float]

    def spent(self, stage: str, seconds: float) -> None:
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds


class BatchPipeline(ServerPipeline):
    """The server's half of a split model, for one request or for several."""

    def run_all(self, requests: Sequence[tuple[bytes, Any]]) -> list[Outcome | SplitwattError]:
        """An answer with its stages, or the error, for each (payload, sizes).

        Requests whose latents have the same shape go together through the parts that take a batch. The
        stage of such a part is the whole batch's time for each request, because each has waited that
        long.
        """
        if len(requests) == 1:
            return [self._alone(*requests[0])]
        results: list[Any] = [None] * len(requests)
        groups: dict[Any, list[_Item]] = {}
        for place, (payload, sizes) in enumerate(requests):
            laps = Laps()
            try:
                checked = self.read_sizes(sizes)
                tensors = self.decode(payload, checked)
            except SplitwattError as error:
                results[place] = error
                continue
            key = tuple((name, array.shape) for name, array in sorted(tensors.items()))
            laps.lap("decode")
            item = _Item(place, checked, {**_inputs(checked), **tensors}, laps.stages)
            groups.setdefault(key, []).append(item)
        for items in groups.values():
            self._run_group(items, results)
        return results

    def _alone(self, payload: bytes, sizes: Any) -> Outcome | SplitwattError:
        try:
            return self.run(payload, sizes)
        except SplitwattError as error:
            return error

    def _run_group(self, items: list[_Item], results: list[Any]) -> None:
        try:
            for part, engine in self._chain:
                stage = part.name.split(".")[0]
                together = len(items) > 1 and takes_batch(engine)
                for those in [items] if together else [[item] for item in items]:
                    start = time.perf_counter()
                    _run(engine, those)
                    seconds = time.perf_counter() - start
                    for item in those:
                        item.spent(stage, seconds)
        except SplitwattError as error:
            for item in items:
                results[item.place] = error
            return
        for item in items:
            start = time.perf_counter()
            try:
                answer = self._answer(item.tensors, item.sizes)
                item.spent("postprocess", time.perf_counter() - start)
                results[item.place] = (answer, item.stages)
            except SplitwattError as error:
                results[item.place] = error


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
