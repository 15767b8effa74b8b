"""manifest.json: what a bundle says about itself, typed and validated.

Every record is a NamedTuple that reads itself from parsed JSON (`from_json`) and writes itself back
(`to_json`), the keys being the fields' own names. Unknown keys are refused.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from device_configs.errors import BundleError
from engines.fields import Fields
from engines.manifest_compat import PartFit
from engines.manifest_precision import Rounding

FORMAT = 1
TASKS = ("classification", "detection", "segmentation")
# A part on `both` ends is the codec's: it runs it, wherever it codes.
PLACEMENTS = ("board", "server", "both")
RUNTIMES = ("tensorrt", "onnxruntime")
PRECISIONS = ("fp32", "fp16", "int8")
LABEL_SETS = ("imagenet1k", "coco91", "voc21")
DTYPES = ("float32", "float16", "int32", "int64", "uint8", "int8", "bool")
FILTERS = ("pillow-bilinear", "pillow-bicubic", "bilinear")
# Kinds of codecs, and how many files of tables each has.
CODECS = {
    "rangecoder": 1,
    "hyperprior": 2,
    "autoregressive": 2,
    "quantized": 0,
    "feature_jpeg": 0,
    "feature_webp": 0,
    "png": 0,
    "jpeg": 0,
    "webp": 0,
    "bpg": 0,
    "heic": 0,
}


class Port(NamedTuple):
    """An input or output of a graph; a `None` in `shape` is a dimension that varies."""

    name: str
    dtype: str
    shape: Tuple[Optional[int], ...]

    @classmethod
    def from_json(cls, fields: Fields) -> "Port":
        """Read one port."""
        port = cls(fields.text("name"), fields.text("dtype", DTYPES), fields.shape("shape"))
        fields.done()
        return port


class Parity(NamedTuple):
    """How far a part is from its PyTorch module: the largest difference, at these image sizes."""

    max_abs: float
    tolerance: float
    sizes: List[List[int]]

    @classmethod
    def from_json(cls, fields: Fields) -> "Parity":
        """Read a part's parity."""
        sizes = fields.any("sizes")
        if not isinstance(sizes, list) or not all(_is_size(size) for size in sizes):
            raise fields.wrong("sizes", "a list of [height, width]", sizes)
        parity = cls(fields.number("max_abs"), fields.number("tolerance"), sizes)
        fields.done()
        return parity


class GraphFile(NamedTuple):
    """A graph's file."""

    file: str
    sha256: str
    bytes: int

    @classmethod
    def from_json(cls, fields: Fields) -> "GraphFile":
        """Read one."""
        graph = cls(fields.text("file"), fields.digest("sha256"), fields.integer("bytes", 1))
        fields.done()
        return graph


class Part(NamedTuple):
    """One exported graph; `gmac` is counted with the inputs of the shapes in `gmac_at`.

    name: `NAME.2` is what comes after the cut of a part NAME; its parity is that of the whole.
    runtime: `tensorrt` where TensorRT can run it (onnxruntime always can), else `onnxruntime`.
    precision: what the graph computes in; its inputs and outputs are float32 in any.
    with_coder: the same graph with the range coder behind its latent, which TensorRT alone runs.
    """

    name: str
    placement: str
    target: str
    runtime: str
    precision: str
    file: str
    sha256: str
    bytes: int
    opset: int
    ir_version: int
    inputs: List[Port]
    outputs: List[Port]
    params: int
    gmac: float
    gmac_at: Dict[str, List[int]]
    parity: Parity
    with_coder: Optional[GraphFile]

    @classmethod
    def from_json(cls, fields: Fields) -> "Part":
        """Read one part."""
        at = fields.object("gmac_at")
        part = cls(
            name=fields.text("name"),
            placement=fields.text("placement", PLACEMENTS),
            target=fields.text("target"),
            runtime=fields.text("runtime", RUNTIMES),
            precision=fields.text("precision", PRECISIONS),
            file=fields.text("file"),
            sha256=fields.digest("sha256"),
            bytes=fields.integer("bytes", 1),
            opset=fields.integer("opset", 1),
            ir_version=fields.integer("ir_version", 1),
            inputs=[Port.from_json(port) for port in fields.objects("inputs")],
            outputs=[Port.from_json(port) for port in fields.objects("outputs")],
            params=fields.integer("params"),
            gmac=fields.number("gmac"),
            gmac_at={name: list(at.integers(name)) for name in at.names()},
            parity=Parity.from_json(fields.object("parity")),
            with_coder=fields.optional(
                "with_coder", lambda name: GraphFile.from_json(fields.object(name))
            ),
        )
        fields.done()
        return part


class Weights(NamedTuple):
    """Where the parameters come from; `trained` is False for random ones."""

    source: str
    sha256: Optional[str]
    trained: bool
    notes: List[str]

    @classmethod
    def from_json(cls, fields: Fields) -> "Weights":
        """Read the key `weights`."""
        weights = cls(
            fields.text("source"),
            fields.optional("sha256", fields.digest),
            fields.boolean("trained"),
            fields.texts("notes"),
        )
        fields.done()
        return weights


class Resize(NamedTuple):
    """To which size: `exact` is (height, width); `shorter` is the shorter side's pixels."""

    rule: str
    size: Union[int, Tuple[int, ...]]
    max_size: Optional[int]
    filter: str

    @classmethod
    def from_json(cls, fields: Fields) -> "Resize":
        """Read the key `preprocess.resize`."""
        rule = fields.text("rule", ("shorter", "exact"))
        exact = rule == "exact"
        size = fields.integers("size", 2) if exact else fields.integer("size", 1)
        max_size = fields.optional("max_size", lambda name: fields.integer(name, 1))
        if exact and max_size is not None:
            raise fields.wrong("max_size", "null where the rule is 'exact'", max_size)
        resize = cls(rule, size, max_size, fields.text("filter", FILTERS))
        fields.done()
        return resize


class Preprocess(NamedTuple):
    """From an RGB image to a graph's input: see `engines.preprocess`."""

    resize: Resize
    crop: Optional[Tuple[int, ...]]
    pad_multiple: Optional[int]
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    normalize: str

    @classmethod
    def from_json(cls, fields: Fields) -> "Preprocess":
        """Read the key `preprocess`."""
        std = fields.numbers("std", 3)
        if min(std) <= 0:
            raise fields.wrong("std", "a list of 3 numbers above 0", list(std))
        preprocess = cls(
            resize=Resize.from_json(fields.object("resize")),
            crop=fields.optional("crop", lambda name: fields.integers(name, 2)),
            pad_multiple=fields.optional("pad_multiple", lambda name: fields.integer(name, 1)),
            mean=fields.numbers("mean", 3),
            std=std,
            normalize=fields.text("normalize", ("before_resize", "after_resize")),
        )
        fields.done()
        return preprocess


class EncoderSize(NamedTuple):
    """Bytes of encoder and entropy model: their fp32 parameters, and the files as deployed."""

    fp32_params: int
    deployed: int

    @classmethod
    def from_json(cls, fields: Fields) -> "EncoderSize":
        """Read the key `encoder_size_bytes`."""
        size = cls(fields.integer("fp32_params"), fields.integer("deployed"))
        fields.done()
        return size


class TablesFile(NamedTuple):
    """A file of entropy tables; `id` is what every bitstream under them repeats."""

    file: str
    sha256: str
    id: str

    @classmethod
    def from_json(cls, fields: Fields) -> "TablesFile":
        """Read one entry."""
        tables = cls(fields.text("file"), fields.digest("sha256"), fields.text("id"))
        fields.done()
        return tables


class CodecSpec(NamedTuple):
    """What turns a latent, or an image, into bytes and back.

    tables: what both ends need: one for a factorized prior; for a hyperprior those of the hyper
        latent, then those of the latent; none for an image's codec.
    quality: of an image's codec, in that codec's own scale; None elsewhere.
    """

    kind: str
    tables: List[TablesFile]
    quality: Optional[int]

    @classmethod
    def from_json(cls, fields: Fields) -> "CodecSpec":
        """Read the key `codec`."""
        kind = fields.text("kind", tuple(CODECS))
        tables = [TablesFile.from_json(entry) for entry in fields.objects("tables")]
        if len(tables) != CODECS[kind]:
            raise fields.wrong("tables", "a list of %d" % CODECS[kind], [t.file for t in tables])
        codec = cls(kind, tables, fields.optional("quality", fields.integer))
        fields.done()
        return codec

    @property
    def tables_id(self) -> Optional[str]:
        """The ids of all its tables, None where it has none: both ends must have the same."""
        return "+".join(tables.id for tables in self.tables) or None


class Head(NamedTuple):
    """How a task's tensors become its answer.

    `top_k` is classification's alone, `score_threshold` detection's alone; both None elsewhere.
    """

    part: str
    labels: str
    top_k: Optional[int] = None
    score_threshold: Optional[float] = None

    @classmethod
    def from_json(cls, task: str, fields: Fields) -> "Head":
        """Read the key `postprocess.TASK`."""
        head = cls(
            part=fields.text("part"),
            labels=fields.text("labels", LABEL_SETS),
            top_k=fields.integer("top_k", 1) if task == "classification" else None,
            score_threshold=fields.number("score_threshold") if task == "detection" else None,
        )
        fields.done()
        return head


class Sample(NamedTuple):
    """A photograph of the bundle and the file of the outputs expected for it."""

    file: str
    sha256: str
    expected: str
    expected_sha256: str

    @classmethod
    def from_json(cls, fields: Fields) -> "Sample":
        """Read one sample."""
        sample = cls(
            fields.text("file"),
            fields.digest("sha256"),
            fields.text("expected"),
            fields.digest("expected_sha256"),
        )
        fields.done()
        return sample


class Manifest(NamedTuple):
    """All of manifest.json but its format number."""

    model: str
    family: str
    rate: Optional[str]
    assumed: bool
    tasks: List[str]
    target: str
    server_target: Optional[str]
    precision: str
    weights: Weights
    preprocess: Preprocess
    published_preprocess: Dict[str, Preprocess]
    parts: List[Part]
    compat: List[PartFit]
    rounding: List[Rounding]
    encoder_size_bytes: Optional[EncoderSize]
    codec: Optional[CodecSpec]
    postprocess: Dict[str, Head]
    samples: List[Sample]
    made: Dict[str, str]

    @classmethod
    def from_json(cls, value: Any, file: str = "manifest.json") -> "Manifest":
        """Validate parsed JSON.

        Args:
            value: what `json.load` gave.
            file: the name to use in the sentences.

        Raises:
            BundleError: another format, an unknown or missing key, a wrong type or value, parts
                that contradict each other.
        """
        fields = Fields(value, file)
        if fields.any("format") != FORMAT:
            raise fields.wrong("format", "%d (the format this splitwatt reads)" % FORMAT,
                               fields.any("format"))  # fmt: skip
        heads = fields.object("postprocess")
        made = fields.object("made")
        manifest = cls(
            model=fields.text("model"),
            family=fields.text("family"),
            rate=fields.optional("rate", fields.text),
            assumed=fields.boolean("assumed"),
            tasks=fields.texts("tasks"),
            target=fields.text("target"),
            server_target=fields.optional("server_target", fields.text),
            precision=fields.text("precision", PRECISIONS),
            weights=Weights.from_json(fields.object("weights")),
            preprocess=Preprocess.from_json(fields.object("preprocess")),
            published_preprocess={
                task: Preprocess.from_json(published)
                for task, published in fields.object("published_preprocess").members()
            },
            parts=[Part.from_json(part) for part in fields.objects("parts")],
            compat=[PartFit.from_json(fit) for fit in fields.objects("compat")],
            rounding=[Rounding.from_json(entry) for entry in fields.objects("rounding")],
            encoder_size_bytes=fields.optional(
                "encoder_size_bytes", lambda name: EncoderSize.from_json(fields.object(name))
            ),
            codec=fields.optional("codec", lambda name: CodecSpec.from_json(fields.object(name))),
            postprocess={task: Head.from_json(task, head) for task, head in heads.members()},
            samples=[Sample.from_json(sample) for sample in fields.objects("samples")],
            made={name: made.text(name) for name in made.names()},
        )
        fields.done()
        manifest._check(file)
        return manifest

    def to_json(self) -> Dict[str, Any]:
        """The manifest as plain JSON values, the format number first."""
        document: Dict[str, Any] = {"format": FORMAT}
        document.update(_plain(self))
        for head in document["postprocess"].values():
            for key in ("top_k", "score_threshold"):
                if head[key] is None:
                    del head[key]
        return document

    @property
    def split(self) -> bool:
        """Whether a board part and a server part make the answer together."""
        return self.codec is not None

    @property
    def own_rounding(self) -> Optional[Rounding]:
        """What its own precision costs; None in fp32."""
        own = [entry for entry in self.rounding if entry.deployed]
        return own[0] if own else None

    def part(self, name: str) -> Part:
        """The part of that name.

        Raises:
            BundleError: there is none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        known = ", ".join(part.name for part in self.parts)
        raise BundleError("%s has no part '%s'" % (self.model, name), "it has: " + known)

    def placed(self, placement: str) -> List[Part]:
        """The parts that run on the `board` or the `server`, in that order; none on `both`."""
        return [part for part in self.parts if part.placement == placement]

    def _check(self, file: str) -> None:
        """What no key can say alone."""
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise BundleError("%s: two entries of key 'parts' have the same name" % file)
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise BundleError("%s: key 'tasks' must name each of its tasks once" % file)
        for task in self.tasks:
            if task not in TASKS:
                raise BundleError(
                    "%s: key 'tasks' holds '%s', which is no task" % (file, task),
                    "known: " + ", ".join(TASKS),
                )
        if set(self.postprocess) != set(self.tasks):
            raise BundleError("%s: key 'postprocess' must have one entry per task" % file)
        for task, head in self.postprocess.items():
            if head.part not in names:
                raise BundleError(
                    "%s: key 'postprocess.%s.part' names '%s', which is no part"
                    % (file, task, head.part)
                )
        for fit in self.compat:
            if fit.part not in names:
                raise BundleError(
                    "%s: key 'compat' names '%s', which is no part" % (file, fit.part)
                )
        stated = [entry.precision for entry in self.rounding if entry.deployed] or ["fp32"]
        if [self.precision] != stated:
            raise BundleError(
                "%s: key 'rounding' does not state the error of its precision, %s"
                % (file, self.precision),
                "export the bundle again",
            )
        if self.split != bool(self.placed("server")):
            raise BundleError("%s: parts on the server and a codec come together" % file)
        if not self.split and not self.placed("board"):
            raise BundleError("%s: key 'parts' has no part on the board" % file)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: _plain(item) for name, item in zip(value._fields, value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in value)
    )
