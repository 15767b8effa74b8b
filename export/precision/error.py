"""The error of a precision of the board's parts, measured on the bundle's sample photographs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from splitwatt.device_configs.errors import ExportError
from splitwatt.engines.backends.base import Closing
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import LatentMove, Part, PartError, Rounding
from splitwatt.engines.codecs import codec_of
from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import ServerPipeline
from splitwatt.engines.pipeline.postprocess import Answer, Sizes, answer_of
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.engines.verify.agreement import agreement, moved

Arrays = dict[str, np.ndarray]


@dataclass
class Outcome:
    """One photograph through a board's parts.

    fed, made: part -> its inputs, its outputs. payload, arrived: a split model's sent bytes, and the decoded tensors.
    """

    sizes: Sizes
    fed: dict[str, Arrays] = field(default_factory=dict)
    made: dict[str, Arrays] = field(default_factory=dict)
    payload: bytes = b""
    arrived: Arrays = field(default_factory=dict)
    answer: Answer = field(default_factory=dict)


class Board(Closing):
    """Runs a bundle's board parts in onnxruntime and keeps every output."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._store = EngineStore()
        self._codec: Codec | None = None
        if bundle.manifest.split:
            self._codec = codec_of(
                bundle, lambda name: self._store.get(bundle, bundle.part(name), "cpu", None)
            )

    def run(self, photo: str, whole: bool) -> Outcome:
        """A photograph's outcome, with its answer if the model is local and `whole` is true."""
        manifest = self._bundle.manifest
        prepared = preprocess(decode_image(photo), manifest.preprocess)
        sizes = Sizes(prepared.image_size, prepared.valid_size, prepared.input_size)
        tensors: Arrays = {
            "image": prepared.tensor,
            "valid_size": np.array(sizes.valid, np.int64),
            "input_size": np.array(sizes.input, np.int64),
        }
        outcome = Outcome(sizes)
        for part in manifest.placed("board"):
            engine = self._store.get(self._bundle, part, "cpu", None)
            outcome.fed[part.name] = {name: tensors[name] for name in engine.inputs}
            outcome.made[part.name] = engine.run(outcome.fed[part.name])
            tensors.update(outcome.made[part.name])
        if self._codec is not None:
            outcome.payload = self._codec.encode(tensors)
            outcome.arrived = self._codec.decode(outcome.payload, sizes.input)
        elif whole:
            outcome.answer = {
                task: answer_of(task, tensors, manifest.postprocess[task], sizes)
                for task in manifest.tasks
            }
        return outcome

    def close(self) -> None:
        """Close its engines."""
        self._store.close()


def measure(
    bundle: Bundle,
    other: Bundle,
    precision: str,
    photos: Sequence[str],
    calibration: str | None = None,
    deployed: bool = True,
) -> Rounding:
    """Compare a bundle with the same bundle in another precision.

    Args:
        bundle: in fp32, with all its parts.
        other: the same bundle with other board parts.
        precision: of these parts.
        photos: paths.
        calibration: the name of the images for int8's ranges.
        deployed: whether to compare answers too; a split model's are made by `bundle`'s server.

    Raises:
        ExportError: an output has NaN or infinite values.
    """
    with Board(bundle) as reference, Board(other) as board:
        due = [reference.run(photo, deployed) for photo in photos]
        outcomes = [board.run(photo, deployed) for photo in photos]
    if deployed and bundle.manifest.split:
        # The server decodes what either board encoded: the tables are the same.
        with ServerPipeline(bundle) as server:
            for outcome in (*due, *outcomes):
                sizes = outcome.sizes
                packed = np.array(sizes.image + sizes.valid + sizes.input, np.int32)
                outcome.answer = server.run(outcome.payload, packed)[0]
    tasks = bundle.manifest.tasks if deployed else []
    parts = [
        _part_error(part, outcomes, due, precision) for part in bundle.manifest.placed("board")
    ]
    return Rounding(
        precision=precision,
        deployed=deployed,
        calibration=calibration,
        photographs=len(photos),
        parts=[part for part in parts if part is not None],
        latent=_latent_move(outcomes, due) if bundle.manifest.split else None,
        agreement={task: _agreement(task, outcomes, due) for task in tasks},
    )


def lines_of(rounding: Rounding) -> list[str]:
    """Lines to print on a bundle's own precision; none for a trial."""
    if not rounding.deployed:
        return []
    lines = [f"{rounding.precision} against fp32, on {rounding.photographs} photographs:"]
    if rounding.calibration:
        lines[0] = f"{rounding.precision} ({rounding.calibration}) {lines[0].split(' ', 1)[1]}"
    lines += [
        f"  {part.part}: outputs within {part.max_abs:.3g}, {100 * part.relative:.2g} % of the largest"
        for part in rounding.parts
    ]
    if rounding.latent is not None:
        lines.append(
            f"  latent: {rounding.latent.moved_percent:.2g} % of its values move, by at most "
            f"{rounding.latent.largest_step:.2g}; {rounding.latent.bytes_percent:+.2g} % bytes"
        )
    lines += [f"  {task}: {share:.1f} % as in fp32" for task, share in rounding.agreement.items()]
    return lines


def _part_error(
    part: Part, outcomes: Sequence[Outcome], due: Sequence[Outcome], precision: str
) -> PartError | None:
    """The error of the outputs that can be compared value by value: floats of a fixed number."""
    largest, gap = 0.0, 0.0
    compared = False
    for port in part.outputs:
        for a, b in zip(outcomes, due, strict=True):
            x, y = a.made[part.name][port.name], b.made[part.name][port.name]
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                raise ExportError(
                    f"the part '{part.name}' overflows in {precision}: '{port.name}' holds values "
                    "that are no numbers",
                    "export it in fp32",
                )
            if port.dtype.startswith("float") and x.shape == y.shape and y.size and port.shape[0]:
                compared = True
                gap = max(gap, float(np.abs(x - y).max()))
                largest = max(largest, float(np.abs(y).max()))
    return PartError(part.name, gap, gap / largest if largest else 0.0) if compared else None


def _latent_move(outcomes: Sequence[Outcome], due: Sequence[Outcome]) -> LatentMove:
    counts = [moved(a.arrived, b.arrived) for a, b in zip(outcomes, due, strict=True)]
    changed, values, steps = zip(*counts, strict=True)
    spent, before = sum(len(o.payload) for o in outcomes), sum(len(o.payload) for o in due)
    return LatentMove(
        moved_percent=round(100.0 * sum(changed) / max(1, sum(values)), 4),
        largest_step=round(max(steps), 4),
        bytes_percent=round(100.0 * (spent - before) / max(1, before), 4),
    )


def _agreement(task: str, outcomes: Sequence[Outcome], due: Sequence[Outcome]) -> float:
    """The percentage of a task's answers that are the same as in fp32."""
    counts = [
        agreement(task, a.answer[task], b.answer[task]) for a, b in zip(outcomes, due, strict=True)
    ]
    same, total = (sum(column) for column in zip(*counts, strict=True))
    return round(100.0 * same / total, 2) if total else 100.0
