"""Verifies a bundle: runs its photographs here and compares with the outputs that it carries."""

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.bundle.arrays import load_arrays
from splitwatt.engines.bundle.bundle import Bundle, SampleFiles
from splitwatt.engines.bundle.manifest import Rounding
from splitwatt.engines.codecs.base import ROUNDING_SHARE, Codec
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, LocalPipeline, Request, WholePipeline
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.engines.rangecoder.golden import run_golden
from splitwatt.engines.verify.agreement import agreement, moved

Arrays = Dict[str, np.ndarray]

# A score's difference is relative to the expected score, or to the floor where that is larger; a box
# corner's is relative to the image's longer side.
TOLERANCE = 1e-3
_SCORE_FLOOR = 1e-2
MASK_DISAGREEMENT = 1e-3
# How many percentage points fewer answers than the manifest states may agree with fp32.
AGREEMENT_MARGIN = 10.0


class Check(NamedTuple):
    """One comparison: whether it passed, and the difference in words."""

    name: str
    passed: bool
    detail: str


def verify(
    bundle: Bundle, backend: str = "cpu", server_backend: Optional[str] = None
) -> Iterator[Check]:
    """Run every sample photograph of a bundle and compare, check by check.

    For a split model, the range coder first codes its golden vectors on every path of this machine.

    A board's engine may round a few latents differently from the machine that exported. Then the
    bytes differ: that is a separate check, and the server's half gets the bundle's bytes.

    Board parts in fp16 or int8 are compared with fp32's outputs, which such a bundle carries: they
    must be about as close as the manifest states.

    Args:
        bundle: opened with all its parts, or a board's half, of which only the bytes are compared.
        server_backend: runs the server's parts; `backend` when None.

    Raises:
        BundleError: the bundle has no samples, or their outputs do not fit its tasks.
        EngineError: a part cannot run here.
    """
    if not bundle.manifest.samples:
        raise BundleError("%s has no sample photographs to verify" % bundle.path, "export it again")
    if bundle.manifest.codec is not None and bundle.manifest.codec.tables:
        yield from _coder()
    rounding = bundle.manifest.own_rounding
    if bundle.half:
        with BoardPipeline(bundle, backend) as board:
            for sample in bundle.samples():
                request = board.run(decode_image(sample.photo))
                expected = _expected(bundle, sample)
                yield _compare_request(sample.name, request, expected, board.codec, rounding)
        return
    with WholePipeline(bundle, backend, server_backend) as pipeline:
        if rounding is not None and isinstance(pipeline.board, LocalPipeline):
            yield from _agree(bundle, pipeline.board, rounding)
            return
        for sample in bundle.samples():
            expected = _expected(bundle, sample)
            rgb = decode_image(sample.photo)
            if isinstance(pipeline.board, LocalPipeline):
                answer = pipeline.board.run(rgb)[0]
            else:
                board, server = pipeline.board, pipeline.server
                assert server is not None  # for the type checker
                request = board.run(rgb)
                yield _compare_request(sample.name, request, expected, board.codec, rounding)
                if "decoded" in expected:
                    yield _compare_decoded(sample.name, expected, server.codec)
                    decoded = {"image": _levels(expected["decoded"])}
                    answer = server.run_decoded(decoded, expected["sizes"])
                else:
                    answer = server.run(expected["payload"].tobytes(), expected["sizes"])[0]
            longer_side = max(rgb.shape[:2])
            for task in bundle.manifest.tasks:
                yield compare_task(sample.name, task, answer, expected, longer_side)


def _agree(bundle: Bundle, pipeline: LocalPipeline, rounding: Rounding) -> Iterator[Check]:
    """One check per task of a local model: how many answers agree with fp32, over all photographs.

    A few fewer than stated are accepted, because another machine rounds differently.
    """
    counts: Dict[str, List[Tuple[int, int]]] = {task: [] for task in bundle.manifest.tasks}
    for sample in bundle.samples():
        expected = _expected(bundle, sample)
        answer = pipeline.run(decode_image(sample.photo))[0]
        for task, matches in counts.items():
            matches.append(agreement(task, answer[task], _due(expected, task)))
    for task, matches in counts.items():
        same, total = (sum(column) for column in zip(*matches))
        share = 100.0 * same / total if total else 100.0
        stated = rounding.agreement.get(task, 100.0)
        allowed = max(AGREEMENT_MARGIN, 100.0 / max(1, total))
        detail = "%.1f %% as in fp32, %.1f %% where it was exported" % (share, stated)
        yield Check("%s in %s" % (task, rounding.precision), share >= stated - allowed, detail)


def _coder() -> Iterator[Check]:
    """One check per path of the range coder on this machine, on the golden vectors."""
    checks = run_golden()
    for path in sorted({check.path for check in checks}):
        own = [check for check in checks if check.path == path]
        wrong = ["%s (%s)" % (check.name, check.detail) for check in own if not check.passed]
        detail = "differs in " + ", ".join(wrong) if wrong else "%d golden vectors agree" % len(own)
        yield Check("range coder, %s" % path, not wrong, detail)


def compare_task(name: str, task: str, answer: Answer, expected: Arrays, longer_side: int) -> Check:
    """Compare a task's answer with the arrays `expected` ("TASK.FIELD" -> array).

    Differences of boxes are relative to `longer_side`, the image's, in pixels.
    """
    due = _due(expected, task)
    if task == "segmentation":
        passed, detail = _compare_masks(answer[task]["mask"], due["mask"])
    elif task == "detection":
        passed, detail = _compare_boxes(answer[task], due, longer_side)
    else:
        passed, detail = _compare_classes(answer[task], due)
    return Check("%s %s" % (name, task), passed, detail)


def _due(expected: Arrays, task: str) -> Arrays:
    prefix = task + "."
    return {key[len(prefix) :]: expected[key] for key in expected if key.startswith(prefix)}


def _compare_request(
    name: str, request: Request, expected: Arrays, codec: Codec, rounding: Optional[Rounding]
) -> Check:
    """Compare the board's bytes: they are equal, or the codec accepts the difference as rounding.

    In fp16 or int8, at most twice as many values may change as the manifest states.
    """
    name += " payload"
    due = expected["payload"].tobytes()
    if not np.array_equal(request.sizes, expected["sizes"]):
        return Check(
            name, False, "sizes %s, not %s" % (request.sizes.tolist(), expected["sizes"].tolist())
        )
    if request.payload == due:
        return Check(name, True, "the same %d bytes" % len(due))
    input_size = (int(request.sizes[4]), int(request.sizes[5]))
    decoded, wanted = (codec.decode(data, input_size) for data in (request.payload, due))
    if rounding is None or rounding.latent is None:
        return Check(name, *codec.alike(decoded, wanted))
    changed, values, step = moved(decoded, wanted)
    share, stated = 100.0 * changed / max(1, values), rounding.latent.moved_percent
    detail = "%.2g %% of the latent's values move, by at most %.2g; %.2g %% where it was exported"
    passed = share <= 2 * stated + 100 * ROUNDING_SHARE
    return Check("%s in %s" % (name, rounding.precision), passed, detail % (share, step, stated))


def _compare_decoded(name: str, expected: Arrays, codec: Codec) -> Check:
    """Compare the image that this machine's library decodes from the bundle's bytes."""
    size = (int(expected["sizes"][4]), int(expected["sizes"][5]))
    decoded = codec.decode(expected["payload"].tobytes(), size)
    due = {"image": _levels(expected["decoded"])}
    if np.array_equal(decoded["image"], due["image"]):
        return Check(name + " decoded", True, "the same pixels")
    return Check(name + " decoded", *codec.alike(decoded, due))


def _levels(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels as codecs return them: float32 from 0 to 1."""
    return pixels.astype(np.float32) / np.float32(255)


def _compare_classes(answer: Arrays, due: Arrays) -> Tuple[bool, str]:
    if sorted(answer["labels"].tolist()) != sorted(due["labels"].tolist()):
        return False, "classes %s, not %s" % (answer["labels"].tolist(), due["labels"].tolist())
    order = [answer["labels"].tolist().index(label) for label in due["labels"].tolist()]
    gap = _score_gap(answer["scores"][order], due["scores"])
    largest = float(gap.max()) if gap.size else 0.0
    return largest <= TOLERANCE, "the same %d classes, scores within %.1e" % (len(order), largest)


def _compare_boxes(answer: Arrays, due: Arrays, longer_side: int) -> Tuple[bool, str]:
    """Match every expected box with a different box, in any order: near-equal scores may swap."""
    count = len(due["labels"])
    if len(answer["labels"]) != count:
        return False, "%d boxes, not %d" % (len(answer["labels"]), count)
    free = np.ones(count, bool)
    largest = 0.0
    for label, box, score in zip(due["labels"], due["boxes"], due["scores"]):
        corners = np.abs(answer["boxes"] - box).max(axis=1) / longer_side
        gap = np.maximum(corners, _score_gap(answer["scores"], score))
        gap[~free | (answer["labels"] != label)] = np.inf
        best = int(gap.argmin())
        if not gap[best] <= TOLERANCE:
            return False, "no box of class %d at %s" % (label, np.round(box, 1).tolist())
        free[best] = False
        largest = max(largest, float(gap[best]))
    return True, "the same %d boxes, corners and scores within %.1e" % (count, largest)


def _compare_masks(mask: np.ndarray, due: np.ndarray) -> Tuple[bool, str]:
    if mask.shape != due.shape:
        return False, "a mask of %s, not %s" % (mask.shape, due.shape)
    differing = int(np.count_nonzero(mask != due))
    detail = "%d of %d pixels differ, %d classes" % (differing, due.size, len(np.unique(due)))
    return differing <= MASK_DISAGREEMENT * due.size, detail


def _score_gap(scores: np.ndarray, due: np.ndarray) -> np.ndarray:
    """|scores - due| relative to `due`, or to the floor where that is larger."""
    return np.asarray(np.abs(scores - due) / np.maximum(np.abs(due), _SCORE_FLOOR))


# Of a task's expected arrays: the kind of their values, and how many sides each has.
_FIELDS: Dict[str, Dict[str, Tuple[str, int]]] = {
    "classification": {"labels": ("iu", 1), "scores": ("f", 1)},
    "detection": {"boxes": ("f", 2), "labels": ("iu", 1), "scores": ("f", 1)},
    "segmentation": {"mask": ("iu", 2)},
}
_REQUEST = {"payload": ("u", 1), "sizes": ("i", 1)}


def _expected(bundle: Bundle, sample: SampleFiles) -> Arrays:
    """The arrays expected for a photograph, checked: the bundle may be a stranger's."""
    arrays = load_arrays(sample.expected)
    due = dict(_REQUEST) if bundle.manifest.split else {}
    for task in bundle.manifest.tasks:
        due.update({"%s.%s" % (task, name): form for name, form in _FIELDS[task].items()})
    wrong = []
    for name, (kinds, sides) in due.items():
        array = arrays.get(name)
        if array is None:
            wrong.append("lacks the array '%s'" % name)
        elif (
            array.dtype.kind not in kinds
            or array.ndim != sides
            or not np.isfinite(array).all()
            or (name.endswith(".boxes") and array.shape[1] != 4)
        ):
            wrong.append("holds '%s' as %s %s, or not finite" % (name, array.dtype, array.shape))
    for task in bundle.manifest.tasks:
        if not wrong and len({len(arrays["%s.%s" % (task, name)]) for name in _FIELDS[task]}) > 1:
            wrong.append("holds arrays of different lengths for the task " + task)
    if wrong:
        raise BundleError("%s %s" % (sample.expected, wrong[0]), "export the bundle again")
    return arrays
