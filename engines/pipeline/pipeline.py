"""An image becomes an answer, on a board alone or on a board and a server.

Every pipeline is made from an opened bundle, runs one image per call, and measures its stages itself.
Parts run in the manifest's order; each takes its inputs from the tensors made so far.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.backends.base import Closing, fits
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.chain import SIZES, PartsPipeline, Step, Tensors, run_steps
from splitwatt.engines.pipeline.postprocess import Answer, Sizes
from splitwatt.engines.pipeline.preprocess import MAX_INPUT_PIXELS, max_input_pixels, preprocess

Stages = Dict[str, float]


class Request(NamedTuple):
    """What a board sends to the server, and the times of its stages.

    payload: the codec's bytes. sizes: int32 (6,): height and width of the image, of the graph's
    input without padding, and of the input. stages: stage -> seconds.
    """

    payload: bytes
    sizes: np.ndarray
    stages: Stages


class _ImagePipeline(PartsPipeline):
    placement = "board"

    def steps(self, rgb: np.ndarray, size: Optional[Tuple[int, int]] = None) -> List[Step]:
        """The stages of an image, each as a call that can be repeated alone; errors as in `run`."""
        steps = self._steps(rgb, size, {})
        run_steps(steps)
        return steps

    def _steps(
        self, rgb: np.ndarray, size: Optional[Tuple[int, int]], tensors: Tensors
    ) -> List[Step]:
        def prepare() -> None:
            made = preprocess(rgb, self.bundle.manifest.preprocess, size)
            tensors.update(_inputs(Sizes(made.image_size, made.valid_size, made.input_size)))
            tensors["image"] = made.tensor

        encode: Step = ("encode", lambda: self.codec.encode(tensors))
        rest = [*self._part_steps(tensors), encode] if self.split else self._to_answer(tensors)
        return [("preprocess", prepare), *rest]


class LocalPipeline(_ImagePipeline):
    """Local computing: the whole model on the board. Arguments as for `PartsPipeline`."""

    def run(self, rgb: np.ndarray, size: Optional[Tuple[int, int]] = None) -> Tuple[Answer, Stages]:
        """The answer for a uint8 (H, W, 3) image, and the stages preprocess, model, postprocess.

        `size` is the (height, width) of the image in its file, where `rgb` is smaller. Raises what
        `preprocess` and `Engine.run` raise.
        """
        return run_steps(self._steps(rgb, size, {}))


class BoardPipeline(_ImagePipeline):
    """The board's half of a split model: image to bytes. Arguments as for `PartsPipeline`."""

    split = True

    def run(self, rgb: np.ndarray, size: Optional[Tuple[int, int]] = None) -> Request:
        """The request for a uint8 (H, W, 3) image; its stages: preprocess, encoder, encode.

        As a local model's; and BitstreamError where the codec cannot code what the encoder made.
        """
        tensors: Tensors = {}
        payload, stages = run_steps(self._steps(rgb, size, tensors))
        sizes = np.concatenate([tensors[name] for name in SIZES]).astype(np.int32)
        return Request(payload, sizes, stages)


class ServerPipeline(PartsPipeline):
    """The server's half of a split model: bytes to answer. Arguments as for `PartsPipeline`.

    Several threads may call `run` at once if the backend's engines allow it.
    """

    placement, split = "server", True

    def run(self, payload: bytes, sizes: np.ndarray) -> Tuple[Answer, Stages]:
        """The answer to a request, and the stages decode, each part's name, postprocess.

        Args:
            payload: the codec's bytes, from anywhere.
            sizes: int32 (6,), as in `Request`, from anywhere.

        Raises:
            BitstreamError: invalid bytes or sizes. EngineError: a part failed.
        """
        tensors: Tensors = {}
        decode: Step = ("decode", lambda: tensors.update(self.decode(payload, sizes)))
        return run_steps([decode, *self._to_answer(tensors)])

    def decode(self, payload: bytes, sizes: np.ndarray) -> Tensors:
        """The first part's tensors, from an untrusted request; BitstreamError if they do not fit."""
        checked = read_sizes(sizes, self.bundle.manifest.preprocess)
        decoded = self.codec.decode(payload, checked.input)
        left = dict(decoded)
        for part, engine in self._chain:
            for name in [name for name in engine.inputs if name in left]:
                if not fits(engine.inputs[name], left[name]):
                    raise BitstreamError(
                        "the payload holds a %s of shape %s, which the part '%s' does not take"
                        % (name, left[name].shape, part.name),
                        "check that both ends run the same model",
                    )
            for name in engine.outputs:
                left.pop(name, None)
        return dict(_inputs(checked), **decoded)

    def run_decoded(self, decoded: Tensors, sizes: np.ndarray) -> Answer:
        """The answer for tensors that another machine decoded from a request with these sizes."""
        checked = read_sizes(sizes, self.bundle.manifest.preprocess)
        answer: Answer = run_steps(self._to_answer(dict(_inputs(checked), **decoded)))[0]
        return answer


class Outcome(NamedTuple):
    """The result of an image in both halves; `payload` and `sizes` are None for a local model.

    stages: stage -> seconds; those of the server have the prefix "server.".
    """

    answer: Answer
    payload: Optional[bytes]
    sizes: Optional[np.ndarray]
    stages: Stages


class WholePipeline(Closing):
    """Both ends of any bundle in one process, without a link.

    Attributes:
        board: the board's end, or a whole local model.
        server: the server's end; None for a local model.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str = "cpu",
        server_backend: Optional[str] = None,
        threads: Optional[int] = None,
    ) -> None:
        self.bundle = bundle
        self.board: Union[LocalPipeline, BoardPipeline]
        self.server: Optional[ServerPipeline] = None
        if not bundle.manifest.split:
            self.board = LocalPipeline(bundle, backend, threads)
            return
        self.board = BoardPipeline(bundle, backend, threads)
        try:
            self.server = ServerPipeline(bundle, server_backend or backend, threads)
        except BaseException:
            self.board.close()
            raise

    @property
    def codec(self) -> Codec:
        """The codec of a split bundle; BundleError for a local one."""
        return self.board.codec

    def run(self, rgb: np.ndarray) -> Outcome:
        """The outcome for a uint8 (H, W, 3) image; errors as in the pipelines."""
        if isinstance(self.board, LocalPipeline):
            answer, stages = self.board.run(rgb)
            return Outcome(answer, None, None, stages)
        assert self.server is not None  # for the type checker
        request = self.board.run(rgb)
        answer, server_stages = self.server.run(request.payload, request.sizes)
        stages = dict(request.stages)
        stages.update({"server." + name: seconds for name, seconds in server_stages.items()})
        return Outcome(answer, request.payload, request.sizes, stages)

    def close(self) -> None:
        """Close both ends."""
        self.board.close()
        if self.server is not None:
            self.server.close()


def open_local(path: str, backend: str = "cpu", threads: Optional[int] = None) -> LocalPipeline:
    """Open the bundle of a local model and return its pipeline."""
    return LocalPipeline(Bundle.open(path), backend, threads)


def open_board(path: str, backend: str = "cpu", threads: Optional[int] = None) -> BoardPipeline:
    """Open the bundle of a split model, checking only the board's files; returns the board's half."""
    return BoardPipeline(Bundle.open(path, "board"), backend, threads)


def open_server(path: str, backend: str = "cpu", threads: Optional[int] = None) -> ServerPipeline:
    """Open the bundle of a split model, checking only the server's files; returns the server's half."""
    return ServerPipeline(Bundle.open(path, "server"), backend, threads)


def read_sizes(sizes: np.ndarray, spec: Optional[Preprocess] = None) -> Sizes:
    """The six numbers of a request, which may come from anywhere, checked.

    Args:
        spec: the manifest's preprocessing, which limits the input's size; None for an own request.

    Raises:
        BitstreamError: not int32 (6,), a side below 1, negative padding, or an input that is larger
            than this preprocessing gives.
    """
    if not isinstance(sizes, np.ndarray) or sizes.dtype != np.int32 or sizes.shape != (6,):
        raise BitstreamError("a request's sizes must be int32 of shape (6,)")
    image_h, image_w, valid_h, valid_w, input_h, input_w = (int(size) for size in sizes)
    sound = min(image_h, image_w, valid_h, valid_w) > 0
    sound = sound and valid_h <= input_h and valid_w <= input_w
    most = MAX_INPUT_PIXELS if spec is None else max_input_pixels(spec)
    if not sound or input_h * input_w > most:
        raise BitstreamError("a request's sizes %s are not those of an image" % sizes.tolist())
    return Sizes((image_h, image_w), (valid_h, valid_w), (input_h, input_w))


def _inputs(sizes: Sizes) -> Tensors:
    return {name: np.array(size, np.int64) for name, size in zip(SIZES, sizes)}
