"""The parts of one end of a link as engines; each takes its inputs from the tensors made so far."""

import functools
import itertools
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple

import numpy as np

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.base import Closing, Engine
from splitwatt.engines.backends.strips import StripEngine, runs_on_strips
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part
from splitwatt.engines.codecs import codec_of
from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.postprocess import TENSORS, Answer, Sizes, answer_of
from splitwatt.engines.rangecoder.graph import WORDS

Tensors = Dict[str, np.ndarray]
# A stage's name, and a call that runs it once.
Step = Tuple[str, Callable[[], Any]]
# The tensors that hold an image's `Sizes`; parts may take the last two.
SIZES = ("image_size", "valid_size", "input_size")


class EngineStore(Closing):
    """Engines by the SHA-256 of their part's file, backend and threads; `close` closes all."""

    def __init__(self) -> None:
        self._engines: Dict[Tuple[str, str, Optional[int]], Engine] = {}

    def get(self, bundle: Bundle, part: Part, backend: str, threads: Optional[int]) -> Engine:
        """The engine of a part, loaded when it is first asked for; errors as in `load_engine`."""
        key = (part.sha256, backend, threads)
        if key not in self._engines:
            engine = load_engine(backend, bundle.part_path(part.name), threads)
            if part.strips and runs_on_strips(engine, part.strips):
                engine = StripEngine(engine, part.strips)
            self._engines[key] = engine
        return self._engines[key]

    def close(self) -> None:
        """Close every engine."""
        while self._engines:
            self._engines.popitem()[1].close()


class PartsPipeline(Closing):
    """The base of all pipelines: the parts of one placement as engines, closed together.

    A codec's own parts run in onnxruntime on the CPU, independent of `backend`.

    Args:
        bundle: of a split or a local model, as the class attribute `split` says.
        backend: a name of `splitwatt.engines.backends.BACKENDS`.
        threads: threads per inference; None: the backend's default.
        store: engines shared with other pipelines, which `close` leaves open.

    Raises:
        BundleError: the model is of the other kind, or its parts do not fit together.
    """

    placement = ""
    split = False

    def __init__(
        self,
        bundle: Bundle,
        backend: str = "cpu",
        threads: Optional[int] = None,
        store: Optional[EngineStore] = None,
    ) -> None:
        if bundle.manifest.split != self.split:
            is_kind, needs = ("local", "split") if self.split else ("split", "local")
            raise BundleError(
                "%s is a %s model; this pipeline runs %s ones"
                % (bundle.manifest.model, is_kind, needs)
            )
        self.bundle = bundle
        engines = EngineStore() if store is None else store
        self._own_store = engines if store is None else None
        try:
            self._chain = [
                (part, engines.get(bundle, part, backend, threads))
                for part in bundle.manifest.placed(self.placement)
            ]
            self._codec: Optional[Codec] = None
            if bundle.manifest.split:
                # Both ends use one library: the floating point of another gives different indexes.
                self._codec = codec_of(
                    bundle, lambda name: engines.get(bundle, bundle.part(name), "cpu", threads)
                )
            self._check_flow()
        except BaseException:
            self.close()
            raise

    @property
    def codec(self) -> Codec:
        """The codec of a split model; BundleError for a local one."""
        if self._codec is None:
            raise BundleError("%s is a local model: it has no codec" % self.bundle.manifest.model)
        return self._codec

    @property
    def device_s(self) -> Dict[str, float]:
        """Part -> time of its last run on the accelerator by its own clock, s; only where known."""
        timed = [(part.name, engine.device_s) for part, engine in self._chain]
        return {name: seconds for name, seconds in timed if seconds is not None}

    @property
    def fallbacks(self) -> List[str]:
        """For each part that another backend runs: the part, the rule and its reason."""
        return [
            "%s: %s" % (p.name, engine.fallback) for p, engine in self._chain if engine.fallback
        ]

    @property
    def built(self) -> List[str]:
        """For each part whose engine was built on this machine: the part, the runtime, the precision,
        and the bundle's precision if it differs.
        """
        lines = []
        for part, engine in self._chain:
            if engine.built:
                runtime, precision = engine.built
                other = "" if precision == part.precision else " and not %s" % part.precision
                lines.append("%s: %s, %s%s" % (part.name, runtime, precision, other))
        return lines

    def close(self) -> None:
        """Close the engines, unless they belong to a shared store."""
        if self._own_store is not None:
            self._own_store.close()

    def _check_flow(self) -> None:
        """Raise BundleError where a tensor that is needed is not made, or would replace a size."""
        codec, server = self._codec, self.placement == "server"
        made = {"valid_size", "input_size"}.union(codec.gives if codec and server else ["image"])
        for part, engine in self._chain:
            self._need(made, engine.inputs, "the part " + part.name)
            taken = set(SIZES).intersection(engine.outputs)
            if taken:
                raise BundleError(
                    "%s: the part %s has the output '%s', the name of a size of the image"
                    % (self.bundle.path, part.name, taken.pop()),
                    "rename the graph's output",
                )
            made.update(engine.outputs)
        if codec and not server:
            if WORDS not in made:  # an engine with the coder in its graph returns the string
                self._need(made, codec.takes, "the codec")
            return
        for task in self.bundle.manifest.tasks:
            self._need(made, TENSORS[task], "the task " + task)

    def _need(self, made: Set[str], names: Iterable[str], who: str) -> None:
        for name in names:
            if name not in made:
                raise BundleError(
                    "%s: %s needs the tensor '%s', which no part before it makes"
                    % (self.bundle.path, who, name),
                    "export the bundle again",
                )

    def _part_steps(self, tensors: Tensors) -> List[Step]:
        """Each part's stage, which has the part's name (`detector.2` counts as `detector`)."""

        def run(engines: List[Engine]) -> None:
            for engine in engines:
                tensors.update(engine.run({name: tensors[name] for name in engine.inputs}))

        stages = itertools.groupby(self._chain, lambda pair: pair[0].name.split(".")[0])
        return [
            (name, functools.partial(run, [engine for _, engine in pairs]))
            for name, pairs in stages
        ]

    def _to_answer(self, tensors: Tensors) -> List[Step]:
        """The parts' stages, then the one that returns the answer."""
        return [*self._part_steps(tensors), ("postprocess", lambda: self._answer(tensors))]

    def _answer(self, tensors: Tensors) -> Answer:
        manifest = self.bundle.manifest
        sizes = Sizes(*(tuple(tensors[name].tolist()) for name in SIZES))
        return {
            task: answer_of(task, tensors, manifest.postprocess[task], sizes)
            for task in manifest.tasks
        }


def run_steps(steps: List[Step]) -> Tuple[Any, Dict[str, float]]:
    """Run stages once, in order: what the last one returns, and stage -> seconds.

    Each stage begins where the last one ended, so that their sum is the whole time.
    """
    stages: Dict[str, float] = {}
    made, last = None, time.perf_counter()
    for name, call in steps:
        made = call()
        now = time.perf_counter()
        stages[name] = stages.get(name, 0.0) + (now - last)
        last = now
    return made, stages
