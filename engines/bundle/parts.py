"""The exported graphs of a bundle: the manifest's key `parts`."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.engines.bundle.fields import Fields

# A part on `both` ends is the codec's: it runs it, wherever it codes.
PLACEMENTS = ("board", "server", "both")
RUNTIMES = ("tensorrt", "onnxruntime")
PRECISIONS = ("fp32", "fp16", "int8")
DTYPES = ("float32", "float16", "int32", "int64", "uint8", "int8", "bool")


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


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in value)
    )
