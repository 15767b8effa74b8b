"""What export did to a bundle's parts so that their targets run them: the manifest's key `compat`."""

from typing import List, NamedTuple, Optional, Tuple

from splitwatt.engines.bundle.fields import Fields

WHOLE, CUT, NONE, NOT_ASKED = "whole", "cut", "none", "not asked"


class RewrittenNode(NamedTuple):
    """A node that was written with other operators, which compute the same, and why."""

    node: str
    op: str
    into: List[str]
    reason: str

    @classmethod
    def from_json(cls, fields: Fields) -> "RewrittenNode":
        """Read one entry of `rewritten`."""
        node = cls(
            fields.text("node"), fields.text("op"), fields.texts("into"), fields.text("reason")
        )
        fields.done()
        return node


class CrossingTensor(NamedTuple):
    """A tensor that crosses a cut; `as_dtype` is its type on its way, `shape` null if unknown."""

    name: str
    dtype: str
    as_dtype: str
    shape: Optional[Tuple[Optional[int], ...]]

    @classmethod
    def from_json(cls, fields: Fields) -> "CrossingTensor":
        """Read one entry of `cut.crossing`."""
        tensor = cls(
            fields.text("name"),
            fields.text("dtype"),
            fields.text("as_dtype"),
            fields.optional("shape", fields.shape),
        )
        fields.done()
        return tensor


class PartCut(NamedTuple):
    """Where a part was cut: nodes on both sides, multiply-accumulates (null where they depend on
    the image), and what crosses.
    """

    nodes_before: int
    nodes_after: int
    macs_before: Optional[int]
    macs_total: Optional[int]
    crossing: List[CrossingTensor]

    @classmethod
    def from_json(cls, fields: Fields) -> "PartCut":
        """Read the key `cut`."""
        cut = cls(
            fields.integer("nodes_before", 1),
            fields.integer("nodes_after", 1),
            fields.optional("macs_before", fields.integer),
            fields.optional("macs_total", fields.integer),
            [CrossingTensor.from_json(entry) for entry in fields.objects("crossing")],
        )
        fields.done()
        return cut


class CutReason(NamedTuple):
    """Why something is not left to TensorRT, and for how many nodes."""

    reason: str
    nodes: int

    @classmethod
    def from_json(cls, fields: Fields) -> "CutReason":
        """Read one entry of `reasons`."""
        reason = cls(fields.text("reason"), fields.integer("nodes", 1))
        fields.done()
        return reason


class PartFit(NamedTuple):
    """What was done to one part, before it was cut.

    tables: titles of the operator tables it was held against. on_tensorrt: `whole`, `cut`, `none`
    (nothing worth running fits), or `not asked` where the target has no TensorRT. folded: nodes
    that became constants.
    """

    part: str
    tables: List[str]
    on_tensorrt: str
    folded: int
    rewritten: List[RewrittenNode]
    cut: Optional[PartCut]
    reasons: List[CutReason]

    @classmethod
    def from_json(cls, fields: Fields) -> "PartFit":
        """Read one entry of `compat`."""
        fit = cls(
            part=fields.text("part"),
            tables=fields.texts("tables"),
            on_tensorrt=fields.text("on_tensorrt", (WHOLE, CUT, NONE, NOT_ASKED)),
            folded=fields.integer("folded"),
            rewritten=[RewrittenNode.from_json(node) for node in fields.objects("rewritten")],
            cut=fields.optional("cut", lambda name: PartCut.from_json(fields.object(name))),
            reasons=[CutReason.from_json(reason) for reason in fields.objects("reasons")],
        )
        if (fit.on_tensorrt == CUT) != (fit.cut is not None):
            raise fields.wrong("cut", "there where 'on_tensorrt' is 'cut', else null", fit.cut)
        fields.done()
        return fit
