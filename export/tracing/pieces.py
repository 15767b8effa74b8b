"""A part's graph as its target runs it: fitted, cut where it must be, and compared with the whole.

The pieces are run one after the other on the photographs; their outputs may differ from the whole's by
as much as PyTorch and onnxruntime do, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from splitwatt.device_configs.errors import ExportError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.targets import Target
from splitwatt.engines.bundle import manifest as manifest_parts
from splitwatt.engines.bundle.arrays import unpacked_bytes
from splitwatt.engines.bundle.manifest import Port
from splitwatt.engines.rangecoder import Tables
from splitwatt.export.compat.fit import Piece, fit
from splitwatt.export.compat.macs import PRODUCTS, macs_of, sized
from splitwatt.export.compat.view import opset_of, shape_of, type_name
from splitwatt.export.spec import Part
from splitwatt.export.tracing.parity import Difference
from splitwatt.export.tracing.strips import strips_of

if TYPE_CHECKING:
    from torch import nn

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Run:
    """The inputs and outputs of a whole part on one photograph."""

    given: Arrays
    made: Arrays


@dataclass(frozen=True)
class Placed:
    """The pieces of a part in the order they run.

    feeds: the inputs of each for the first photograph.
    """

    pieces: tuple[Piece, ...]
    feeds: tuple[Arrays, ...]
    report: manifest_parts.PartFit


def place(model: onnx.ModelProto, part: Part, target: Target, runs: Sequence[Run]) -> Placed:
    """Fit a part to its target; `model` is left as it is.

    Args:
        runs: the whole on every photograph; costs are counted at the first one's size.

    Raises:
        ExportError: the target cannot run it, or the pieces give other outputs than the whole.
    """
    sizes = {name: list(array.shape) for name, array in runs[0].given.items()}
    fitted = fit(model, part.name, target, sizes)
    report = fitted.report
    if not (report.folded or report.rewritten or report.cut):
        return Placed(fitted.pieces, (runs[0].given,), report)
    feeds = _run(fitted.pieces, part, runs)
    _add_ranks(fitted.pieces, feeds)
    return Placed(fitted.pieces, feeds, report)


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A graph on this host's CPU.

    Raises:
        ExportError: onnxruntime does not take it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own exceptions have no common base but this
        raise ExportError(
            f"onnxruntime cannot load the part '{model.graph.name}': {str(error)[:200]}",
            "report this with the versions of torch and onnxruntime",
        )


def ports_of(values: Sequence[onnx.ValueInfoProto], known: Sequence[Port]) -> list[Port]:
    """A graph's inputs or outputs; for the part's own tensors, the ports in `known`."""
    own = {port.name: port for port in known}
    return [own.get(value.name) or _port(value) for value in values]


def write_piece(
    folder: Path,
    piece: Piece,
    feed: Arrays,
    part: Part,
    target: Target,
    params: int,
    macs: int,
    parity: manifest_parts.Parity | None,
) -> manifest_parts.Part:
    """Write one piece of a part's graph; its entry in the manifest.

    Args:
        feed: its inputs for the first photograph, at whose sizes `macs` were counted.
    """
    file = f"{piece.name}.onnx"
    data = piece.model.SerializeToString()
    write_atomic(str(folder / file), data)
    graph = piece.model.graph
    on_board = part.placement == "board"
    return manifest_parts.Part(
        name=piece.name,
        placement=part.placement,
        target=target.name,
        runtime="onnxruntime" if part.placement == "both" else piece.runtime,
        precision="fp32",
        file=file,
        sha256=sha256_file(str(folder / file)),
        bytes=len(data),
        opset=opset_of(piece.model),
        ir_version=piece.model.ir_version,
        inputs=ports_of(inputs_of(piece.model), part.inputs),
        outputs=ports_of(graph.output, part.outputs),
        params=params,
        gmac=round(macs / 1e9, 6),
        gmac_at={name: list(array.shape) for name, array in feed.items()},
        parity=parity,
        with_coder=None,
        strips=strips_of(piece.model, target.encoder_memory_mb) if on_board else None,
        largest=dict(piece.largest) or None,
    )


def write_tables(path: Path, tables: Tables) -> manifest_parts.TablesFile:
    """Write entropy tables; their entry in the manifest."""
    tables.save(str(path))
    return manifest_parts.TablesFile(
        path.name, sha256_file(str(path)), tables.id, unpacked_bytes(str(path))
    )


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """A graph's inputs without the initializers that old files list as inputs."""
    own = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in own]


def parameters(modules: Sequence[nn.Module]) -> int:
    """How many parameters the modules hold, each counted once."""
    return sum(p.numel() for p in {id(p): p for m in modules for p in m.parameters()}.values())


def params_after(piece: Piece, before: int) -> int:
    """The parameters of a piece after a cut: the weights and biases of its products.

    Args:
        before: parameters of the whole part.
    """
    constants = {tensor.name: tensor for tensor in piece.model.graph.initializer}
    weights = {
        name
        for node in piece.model.graph.node
        if node.op_type in PRODUCTS
        for name in node.input[1:]
        if name in constants
    }
    return min(before, sum(numpy_helper.to_array(constants[name]).size for name in weights))


def macs_of_pieces(placed: Placed, total: int) -> list[int]:
    """Multiply-accumulates of each piece at its feed; they add up to the part's `total`.

    The first piece gets the rest; a later one whose products ONNX cannot count gets 0.
    """
    counts = []
    for piece, feed in zip(placed.pieces[1:], placed.feeds[1:], strict=True):
        view = sized(piece.model, {name: array.shape for name, array in feed.items()})
        counts.append(sum(macs_of(node, view) or 0 for node in view.graph.node))
    return [max(0, total - sum(counts)), *counts]


def _run(pieces: Sequence[Piece], part: Part, runs: Sequence[Run]) -> tuple[Arrays, ...]:
    """Run the pieces on every photograph and compare; returns each one's inputs for the first."""
    tensors = [dict(run.given) for run in runs]
    first: list[Arrays] = []
    for piece in pieces:
        session = open_session(piece.model)
        names = [port.name for port in session.get_outputs()]
        inputs = [port.name for port in session.get_inputs()]
        first.append({name: tensors[0][name] for name in inputs})
        for held in tensors:
            feed = {name: held[name] for name in inputs}
            held.update(zip(names, session.run(names, feed), strict=True))
    difference = Difference(part, "computes something else once it is fitted to its target")
    for run, held in zip(runs, tensors, strict=True):
        # The whole also returned what the parity with PyTorch needs, such as a mask's logits.
        due = {name: value for name, value in run.made.items() if name in held}
        difference.add(held, due, "on a photograph")
    return tuple(first)


def _add_ranks(pieces: Sequence[Piece], feeds: Sequence[Arrays]) -> None:
    """State the ranks of tensors between pieces that ONNX cannot infer, as behind a Loop: TensorRT must
    know them."""
    ranks = {name: array.ndim for feed in feeds for name, array in feed.items()}
    for piece in pieces:
        for value in (*piece.model.graph.input, *piece.model.graph.output):
            tensor = value.type.tensor_type
            if value.name in ranks and not tensor.HasField("shape"):
                tensor.shape.SetInParent()
                for side in range(ranks[value.name]):
                    tensor.shape.dim.add().dim_param = f"{value.name}_{side}"


def _port(value: onnx.ValueInfoProto) -> Port:
    dtype = type_name(value.type.tensor_type.elem_type)
    return Port(value.name, dtype, shape_of(value) or ())
