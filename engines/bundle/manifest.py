"""manifest.json: what a bundle says about itself, typed and validated.

Every record is a NamedTuple that reads itself from parsed JSON (`from_json`) and writes itself back
(`to_json`), the keys being the fields' own names. Unknown keys are refused. Larger keys have files of
their own beside this one.
"""

from typing import Any, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.bundle.codec import CodecSpec
from splitwatt.engines.bundle.compat import PartFit
from splitwatt.engines.bundle.fields import Fields
from splitwatt.engines.bundle.parts import PRECISIONS, Part
from splitwatt.engines.bundle.precision import Rounding
from splitwatt.engines.bundle.preprocess import Preprocess

FORMAT = 1
TASKS = ("classification", "detection", "segmentation")
LABEL_SETS = ("imagenet1k", "coco91", "voc21")


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
