"""manifest.json, the description of a bundle. Every key is declared here only.

`manifest.schema.json` next to this file and the table in docs/formats.md are made from these classes by
`python -m tests.engines.test_manifest_documents`.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.bundle.declare import (
    FILE,
    NAME,
    SHA256,
    key,
    plain,
    read_record,
    record,
)

FORMAT = 1
TASKS = ("classification", "detection", "segmentation")
LABEL_SETS = ("imagenet1k", "coco91", "voc21")
# A part on `both` ends belongs to the codec, which runs it at each end.
PLACEMENTS = ("board", "server", "both")
RUNTIMES = ("tensorrt", "onnxruntime")
PRECISIONS = ("fp32", "fp16", "int8")
ROUNDINGS = ("tf32", "fp16", "int8")
DTYPES = ("float32", "float16", "int32", "int64", "uint8", "int8", "bool")
FILTERS = ("pillow-bilinear", "pillow-bicubic", "bilinear")
WHOLE, CUT, NONE, NOT_ASKED = "whole", "cut", "none", "not asked"
# Kinds of codecs, and how many files of tables each has.
_NO_TABLES = ("quantized", "feature_jpeg", "feature_webp", "png", "jpeg", "webp", "bpg", "heic")
CODECS = {"rangecoder": 1, "hyperprior": 2, "autoregressive": 2, **dict.fromkeys(_NO_TABLES, 0)}

_GRAPH_FILE = {
    "pattern": FILE["pattern"][:-1] + "(?<=[.]onnx)$",
    "title": "the name of an .onnx file inside the bundle",
}
_SIZE = {"minItems": 2, "maxItems": 2, "items": {"minimum": 1}, "title": "[height, width]"}
_SHAPE = {"maxItems": 8}


def _channels(least: float) -> Dict[str, Any]:
    return {"minItems": 3, "maxItems": 3, "items": {"minimum": least, "maximum": 1e6}}


@record
class Weights(NamedTuple):
    """Where the parameters come from."""

    source: str = key("the checkpoint's source, or `random:SEED`")
    sha256: Optional[str] = key("of the checkpoint file; null for random weights", **SHA256)
    trained: bool = key("false: random weights, whose bytes and answers mean nothing")
    notes: List[str] = key("remarks, to be read")


@record
class Resize(NamedTuple):
    """To which size an image is resized."""

    rule: str = key("`exact`: to `size`; `shorter`: the shorter side", enum=["shorter", "exact"])
    size: Union[int, Tuple[int, ...]] = key(
        "pixels of the shorter side, or [height, width] where the rule is `exact`",
        minimum=1, **dict(_SIZE, title="a whole number of at least 1, or [height, width]")
    )  # fmt: skip
    max_size: Optional[int] = key("limit of the longer side; null: none", minimum=1)
    filter: str = key("`pillow-*`: antialiased; `bilinear`: PyTorch's", enum=list(FILTERS))


class Preprocess(NamedTuple):
    """From an RGB image to a graph's input: see `splitwatt.engines.pipeline.preprocess`."""

    resize: Resize = key("the size")
    crop: Optional[Tuple[int, ...]] = key("[height, width] cut from the centre; null: all", **_SIZE)
    pad_multiple: Optional[int] = key("zeros are added up to multiples; null: none", minimum=1)
    mean: Tuple[float, ...] = key("of each channel, subtracted", **_channels(-1e6))
    std: Tuple[float, ...] = key("of each channel, divided by", **_channels(1e-6))


record(Preprocess, obsolete=("normalize",))


@record
class Port(NamedTuple):
    """An input or output of a graph."""

    name: str = key("the tensor's name")
    dtype: str = key("the type of its values", enum=list(DTYPES))
    shape: Tuple[Optional[int], ...] = key("its shape; null: a dimension that varies", **_SHAPE)


@record
class Parity(NamedTuple):
    """How far a part is from its PyTorch module."""

    max_abs: float = key("largest difference of an output")
    tolerance: float = key("what was allowed")
    sizes: List[List[int]] = key("[height, width] of the images it was compared on", items=_SIZE)


@record
class GraphFile(NamedTuple):
    """A graph's file."""

    file: str = key("the ONNX file", **_GRAPH_FILE)
    sha256: str = key("of the file", **SHA256)
    bytes: int = key("of the file", minimum=1)


@record
class StripRows(NamedTuple):
    """The image's rows that row i of an output needs: `step` * i - `above` to `step` * i + `below`."""

    output: str = key("the graph's output")
    step: int = key("rows of the image per row of the output", minimum=1, maximum=1024)
    above: int = key("rows above `step` * i", maximum=1 << 16)
    below: int = key("rows below `step` * i", maximum=1 << 16)


@record
class Strips(NamedTuple):
    """How an encoder runs on horizontal strips of its image."""

    outputs: List[StripRows] = key("of every output", minItems=1, maxItems=16)
    bytes_per_pixel: int = key(
        "intermediate tensors in use at once, per pixel of the image", minimum=1, maximum=1 << 20
    )
    memory_mb: int = key(
        "MiB for all tensors, the target's `encoder_memory_mb`; larger images run on strips",
        minimum=1,
    )


@record
class Part(NamedTuple):
    """One exported graph."""

    name: str = key(
        "`NAME.2`, `NAME.3`, ... follow the cuts of a part `NAME`; their parity is the whole's",
        **NAME,
    )
    placement: str = key("where it runs; `both`: a codec's own part", enum=list(PLACEMENTS))
    target: str = key("the machine it was exported for", **NAME)
    runtime: str = key("what can run it; onnxruntime always can", enum=list(RUNTIMES))
    precision: str = key("of its computations; ports are float32", enum=list(PRECISIONS))
    file: str = key("the ONNX file, without external data", **_GRAPH_FILE)
    sha256: str = key("of the file", **SHA256)
    bytes: int = key("of the file", minimum=1)
    opset: int = key("of the default domain", minimum=1)
    ir_version: int = key("of the file", minimum=1)
    inputs: List[Port] = key("the graph's inputs")
    outputs: List[Port] = key("the graph's outputs")
    params: int = key("number of parameters")
    gmac: float = key("10^9 multiply-accumulates of one run with the shapes in `gmac_at`")
    gmac_at: Dict[str, List[int]] = key(
        "input -> the shape that `gmac` is counted at", items={"items": {"minimum": 1}}
    )
    parity: Optional[Parity] = key(
        "difference from the PyTorch module; null: made of a graph that splitwatt did not export"
    )
    with_coder: Optional[GraphFile] = key(
        "the graph with the range coder after its latent (`--coder in-graph`), for TensorRT alone"
    )
    strips: Optional[Strips] = key("null: it does not run on strips of its image", default=None)
    largest: Optional[Dict[str, Tuple[Optional[int], ...]]] = key(
        "input -> its largest shape, where an image's content decides", items=_SHAPE, default=None
    )


@record
class RewrittenNode(NamedTuple):
    """A node that was written with other operators, which compute the same."""

    node: str = key("its name")
    op: str = key("its operator")
    into: List[str] = key("the operators that replace it")
    reason: str = key("why")


@record
class CrossingTensor(NamedTuple):
    """A tensor that crosses a cut."""

    name: str = key("its name")
    dtype: str = key("its type in the graph")
    as_dtype: str = key("its type between the two parts")
    shape: Optional[Tuple[Optional[int], ...]] = key("null: unknown", **_SHAPE)


@record
class PartCut(NamedTuple):
    """A part that was cut into pieces, which TensorRT and onnxruntime run in turn."""

    nodes_before: int = key("nodes that TensorRT runs", minimum=1)
    nodes_after: int = key("nodes that onnxruntime runs", minimum=1)
    macs_before: Optional[int] = key(
        "multiply-accumulates that TensorRT runs, with the most boxes; null: the image decides"
    )
    macs_total: Optional[int] = key("multiply-accumulates of both; null: they depend on the image")
    crossing: List[CrossingTensor] = key("the tensors that cross from one piece to another")


@record
class CutReason(NamedTuple):
    """Why something is not left to TensorRT."""

    reason: str = key("the operator and the reason")
    nodes: int = key("for how many nodes", minimum=1)


@record
class PartFit(NamedTuple):
    """What was done to one part so that its target runs it."""

    part: str = key("the part, as it was before a cut")
    tables: List[str] = key("titles of the operator tables that it was checked against")
    on_tensorrt: str = key(
        "`not asked`: the target has no TensorRT", enum=[WHOLE, CUT, NONE, NOT_ASKED]
    )
    folded: int = key("nodes that became constants")
    rewritten: List[RewrittenNode] = key("nodes that were replaced")
    cut: Optional[PartCut] = key("the cut; null where `on_tensorrt` is not `cut`")
    reasons: List[CutReason] = key("what TensorRT does not run")


@record
class PartError(NamedTuple):
    """The largest difference of a part's outputs."""

    part: str = key("the part")
    max_abs: float = key("largest difference")
    relative: float = key("that relative to the largest fp32 value")


@record
class LatentMove(NamedTuple):
    """What rounding does to the latent."""

    moved_percent: float = key("share of its values that arrive as another")
    largest_step: float = key("largest change; 1 is one symbol")
    bytes_percent: float = key("how many percent more bytes that takes (negative: fewer)")


@record
class Rounding(NamedTuple):
    """What a precision of the board's parts changes, measured with onnxruntime at the export."""

    precision: str = key("tf32 rounds factors to 10 bits, as GPUs may", enum=list(ROUNDINGS))
    deployed: bool = key("true: the bundle's own graphs are in it; false: a trial")
    calibration: Optional[str] = key("the images that int8's ranges are from; null elsewhere")
    photographs: int = key("how many it was measured on", minimum=1)
    parts: List[PartError] = key("of each board part")
    latent: Optional[LatentMove] = key("null for local models")
    agreement: Dict[str, float] = key(
        "task -> percent of the answers that are fp32's: best class; boxes of the same class that"
        " overlap by half; pixels; empty for a trial"
    )


@record
class EncoderSize(NamedTuple):
    """Bytes of encoder and entropy model."""

    fp32_params: int = key("of their parameters in fp32 (the papers' figure)")
    deployed: int = key("of their files")


@record
class TablesFile(NamedTuple):
    """A file of entropy tables."""

    file: str = key("the .npz file", **FILE)
    sha256: str = key("of the file", **SHA256)
    id: str = key("every bitstream under these tables repeats it")
    unpacked_bytes: Optional[int] = key("largest size of its arrays, if stated", default=None)


@record
class CodecSpec(NamedTuple):
    """What turns a latent, or an image, into bytes and back (docs/bitstream.md)."""

    kind: str = key("the codec", enum=list(CODECS))
    tables: List[TablesFile] = key("a hyperprior's: the side latent's, then the latent's")
    quality: Optional[int] = key("of an image's codec, in that codec's own scale; null elsewhere")

    @property
    def tables_id(self) -> Optional[str]:
        """The ids of all its tables, which both ends must share; None if it has no tables."""
        return "+".join(tables.id for tables in self.tables) or None


@record
class Head(NamedTuple):
    """How a task's tensors become its answer."""

    part: str = key("the part that makes them")
    labels: Union[str, List[str], None] = key(
        "classes' names by class id: a label set (`imagenet1k`, `coco91`, `voc21`), names, or null",
        minItems=1, maxItems=65536,
        title="the name of a label set, a list of class names, or null"
    )  # fmt: skip
    top_k: Optional[int] = key("classes in the answer; classification's", minimum=1, default=None)
    score_threshold: Optional[float] = key("lower boxes are left out; detection only", default=None)


@record
class Sample(NamedTuple):
    """A photograph of the bundle and the outputs expected for it."""

    file: str = key("the photograph, a PNG", **FILE)
    sha256: str = key("of the photograph", **SHA256)
    expected: str = key("the .npz file of its outputs", **FILE)
    expected_sha256: str = key("of that file", **SHA256)


@record
class Manifest(NamedTuple):
    """All of manifest.json but its format number."""

    model: str = key("the model's full name, as `ladon_r50@0.32`", **NAME)
    family: str = key("its family")
    rate: Optional[str] = key("its rate point; null: it has none")
    assumed: bool = key("true: the paper does not define that rate point")
    tasks: List[str] = key(
        "what it answers", items={"enum": list(TASKS)}, uniqueItems=True, minItems=1
    )
    target: str = key("the machine that board parts are for", **NAME)
    server_target: Optional[str] = key("the machine of server parts; null: local model", **NAME)
    precision: str = key("what the board's parts compute in", enum=list(PRECISIONS))
    weights: Weights = key("the parameters")
    preprocess: Preprocess = key("from an image to the graph's input")
    published_preprocess: Dict[str, Preprocess] = key(
        "task -> the preprocessing of the paper's accuracy, where it differs from `preprocess`"
    )
    parts: List[Part] = key("the graphs, in the order in which they run")
    compat: List[PartFit] = key("what was done to each part (docs/compatibility.md)")
    rounding: List[Rounding] = key("how far a lower precision moves the outputs")
    encoder_size_bytes: Optional[EncoderSize] = key("null for local models")
    codec: Optional[CodecSpec] = key("null for local models")
    postprocess: Dict[str, Head] = key("task -> how its tensors become an answer")
    samples: List[Sample] = key("photographs with expected outputs, for `splitwatt verify`")
    made: Dict[str, str] = key("when it was made, and the versions of what made it")

    @classmethod
    def from_json(cls, value: Any, file: str = "manifest.json") -> "Manifest":
        """The manifest in parsed JSON, checked: its keys, their values, and that parts go together.

        Args:
            file: its name in errors, which are BundleError.
        """
        manifest = read_record(cls, value, file, {"format": FORMAT})
        wrong = manifest._contradictions()
        if wrong:
            raise BundleError("%s: %s" % (file, "; ".join(wrong[:3])), "export the bundle again")
        return manifest

    def to_json(self) -> Dict[str, Any]:
        """The manifest as plain JSON values, the format number first."""
        return dict({"format": FORMAT}, **plain(self))

    @property
    def split(self) -> bool:
        """Whether a board part and a server part make the answer together."""
        return self.codec is not None

    @property
    def own_rounding(self) -> Optional[Rounding]:
        """The rounding that its own precision causes; None in fp32."""
        own = [entry for entry in self.rounding if entry.deployed]
        return own[0] if own else None

    def part(self, name: str) -> Part:
        """The part with this name; BundleError if the bundle lacks it."""
        for part in self.parts:
            if part.name == name:
                return part
        known = ", ".join(part.name for part in self.parts)
        raise BundleError("%s has no part '%s'" % (self.model, name), "it has: " + known)

    def placed(self, placement: str) -> List[Part]:
        """The parts of one placement, in order."""
        return [part for part in self.parts if part.placement == placement]

    def _contradictions(self) -> List[str]:
        """Errors that involve several keys, in words."""
        names = [part.name for part in self.parts]
        stated = [entry.precision for entry in self.rounding if entry.deployed] or ["fp32"]
        rules: List[Tuple[Any, str]] = [
            (len(set(names)) == len(names), "two entries of 'parts' have the same name"),
            (set(self.postprocess) == set(self.tasks), "'postprocess' must have one entry per task"),
            ([self.precision] == stated,
             "'rounding' must state the error of the bundle's own precision once"),
            (self.split == bool(self.placed("server")),
             "parts on the server and a codec come together"),
            (self.split or self.placed("board"), "'parts' has no part on the board"),
        ]  # fmt: skip
        if self.codec is not None:
            due = CODECS[self.codec.kind]
            rules.append(
                (len(self.codec.tables) == due, "'codec.tables' must have %d entries" % due)
            )
        specs = {"published_preprocess." + k: v for k, v in self.published_preprocess.items()}
        for at, spec in dict(specs, preprocess=self.preprocess).items():
            exact = spec.resize.rule == "exact"
            form = "[height, width]" if exact else "a whole number"
            null = "'%s.resize.max_size' must be null where the rule is 'exact'" % at
            rules += [
                (exact == isinstance(spec.resize.size, tuple),
                 "'%s.resize.size' must be %s" % (at, form)),
                (not exact or spec.resize.max_size is None, null),
            ]  # fmt: skip
        for task, head in self.postprocess.items():
            at = "'postprocess.%s." % task
            rules += [
                (not isinstance(head.labels, str) or head.labels in LABEL_SETS,
                 at + "labels' names no label set: '%s'; known are %s"
                 % (head.labels, ", ".join(LABEL_SETS))),
                (head.part in names, at + "part' names no part: '%s'" % head.part),
            ]  # fmt: skip
            for name, owner in (("top_k", "classification"), ("score_threshold", "detection")):
                must = "is missing" if task == owner else "belongs to %s" % owner
                holds = (getattr(head, name) is not None) == (task == owner)
                rules.append((holds, at + "%s' %s" % (name, must)))
        for index, fit in enumerate(self.compat):
            must = "an object" if fit.on_tensorrt == CUT else "null"
            rules += [
                (fit.part in names, "'compat[%d].part' names no part: '%s'" % (index, fit.part)),
                ((fit.on_tensorrt == CUT) == (fit.cut is not None),
                 "'compat[%d].cut' must be %s where 'on_tensorrt' is '%s'"
                 % (index, must, fit.on_tensorrt)),
            ]  # fmt: skip
        return [text for holds, text in rules if not holds]
