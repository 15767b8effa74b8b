"""A bundle of ONNX graphs that somebody already has: one for the board, and one for the server if split.

Needs no PyTorch. The graphs are taken as they are, but for the names of their tensors, which become those
that splitwatt knows (`image`, `latent`, `logits`, `mask`).
"""

import argparse
import importlib.metadata
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from splitwatt.device_configs.errors import BundleError, EngineError, ExportError, UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.device_configs.targets import Target, load_target
from splitwatt.device_configs.version import __version__
from splitwatt.engines.bundle.declare import read_record
from splitwatt.engines.bundle.graph_file import check_graph_file
from splitwatt.engines.bundle.manifest import (
    CodecSpec,
    EncoderSize,
    Head,
    Manifest,
    Part,
    PartFit,
    Preprocess,
    Weights,
)
from splitwatt.engines.bundle.model_name import FP32
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.verify.samples import make_samples, write_manifest
from splitwatt.export.calibrate import fit_tables
from splitwatt.export.compat.macs import macs_of, sized
from splitwatt.export.compat.view import rename
from splitwatt.export.labels import read_labels, with_labels
from splitwatt.export.replacing import replacing
from splitwatt.export.spec import SC2_TASKS
from splitwatt.export.spec import Part as Traced
from splitwatt.export.tracing.photos import SAMPLES, photos
from splitwatt.export.tracing.pieces import (
    Arrays,
    Run,
    inputs_of,
    open_session,
    place,
    ports_of,
    write_piece,
    write_tables,
)

_COUNTED = "it is not known whether the graphs' weights are trained; they count as trained"
_LATENT = "latent"
_SIZES = ("input_size", "valid_size")
_BOXES = ("boxes", "labels", "scores")
_MASKS = ("int32", "int64", "uint8")


@dataclass
class _Graph:
    """One of the graphs: its part and machine, and its runs on the packaged photographs."""

    part: str
    placement: str
    target: Target
    file: str
    model: onnx.ModelProto
    runs: list[Run] = field(default_factory=list)


def make(options: argparse.Namespace) -> tuple[Path, list[PartFit]]:
    """Write the bundle that the flags of `splitwatt bundle` ask for.

    Returns:
        Its folder, and how each graph was changed for its target.

    Raises:
        BundleError: a file that is not an ONNX graph.
        UsageError: tensors of the two graphs that do not match, or outputs that belong to no task.
        ExportError: a graph that does not run on the packaged photographs.
    """
    target = load_target(options.target)
    server_target = load_target(options.server_target or target.server_target_default)
    out = Path(options.bundles, target.name, options.name)
    preprocess = read_preprocess(options.preprocess)
    labels = read_labels(options.labels) if options.labels else None
    first = "encoder" if options.server else "model"
    graphs = [_Graph(first, "board", target, options.board, _load(options.board))]
    if options.server:
        server = _load(options.server)
        graphs.append(_Graph("server", "server", server_target, options.server, server))
    _take_image(graphs[0])
    if options.server:
        _meet(*graphs)
    last = graphs[-1]
    task = _task(last)
    tensors: list[Arrays] = [
        {
            "image": photo.tensor,
            "input_size": np.array(photo.input_size),
            "valid_size": np.array(photo.valid_size),
        }
        for photo in photos(preprocess)
    ]
    notes = ["the graphs' weights are not trained, as stated" if options.untrained else _COUNTED]
    tables = None
    for graph in graphs:
        _run(graph, tensors)
        notes.append(f"{Path(graph.file).name}: SHA-256 {sha256_file(graph.file)}")
        if graph is not last:
            tables = _tables(options, [held[_LATENT] for held in tensors], notes)
            medians = tables.medians.reshape(-1, 1, 1)
            for held in tensors:
                held[_LATENT] = np.rint(held[_LATENT] - medians) + medians
    head = _labelled(task, last.part, tensors, labels, options.labels)
    with replacing(out) as folder:
        parts: list[Part] = []
        fits = []
        for graph in graphs:
            entries, fit = _write(folder, graph)
            parts += entries
            fits.append(fit)
        codec = size = None
        if tables is not None:
            codec = CodecSpec("rangecoder", [write_tables(folder / "tables.npz", tables)], None)
            board = [part for part in parts if part.placement == "board"]
            deployed = sum(part.bytes for part in board) + (folder / "tables.npz").stat().st_size
            size = EncoderSize(4 * sum(part.params for part in board), deployed)
        made = {name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime")}
        made.update(splitwatt=__version__, python=platform.python_version(),
                    at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))  # fmt: skip
        source = ", ".join(Path(graph.file).name for graph in graphs)
        manifest = Manifest(
            model=options.name,
            family="own",
            rate=None,
            assumed=False,
            tasks=[task],
            target=target.name,
            server_target=server_target.name,
            precision=FP32,
            weights=Weights(source, None, not options.untrained, notes),
            preprocess=preprocess,
            published_preprocess={},
            parts=parts,
            compat=fits,
            rounding=[],
            encoder_size_bytes=size,
            codec=codec,
            postprocess={task: head},
            samples=[],
            made=made,
        )
        write_manifest(str(folder), manifest)
        try:
            make_samples(str(folder), [photo.path for photo in photos(preprocess, SAMPLES)])
        except EngineError as error:
            raise ExportError(
                f"{last.file}: {error.message}",
                error.remedy or "correct the graph and export it again",
            )
    return out, fits


def read_preprocess(name: str) -> Preprocess:
    """A task's preprocessing as in sc2bench, or that of a JSON file.

    Raises:
        UsageError: no task and no file of that name.
        BundleError: the file is not of the form of the manifest's key `preprocess`.
    """
    if name in SC2_TASKS:
        return SC2_TASKS[name][1]
    if not Path(name).is_file():
        raise UsageError(f"--preprocess {name} is not a file", f"or give {', '.join(SC2_TASKS)}")
    return read_record(Preprocess, read_json(name, 1 << 16, BundleError), name)


def _labelled(
    task: str,
    part: str,
    tensors: Sequence[Arrays],
    labels: Sequence[str] | None,
    file: str,
) -> Head:
    """The head with the user's class names; numbers without, unless it has as many logits as ImageNet."""
    head = SC2_TASKS[task][2]._replace(part=part)
    if task == "classification":
        return with_labels(task, head, tensors[0]["logits"].shape[-1], labels, file)
    if labels is None:
        return head._replace(labels=None)
    name = "mask" if task == "segmentation" else "labels"
    ids = np.concatenate([held[name].ravel() for held in tensors])
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(labels):
        raise UsageError(
            f"{file} holds {len(labels)} class names and the graph answers with "
            f"the ids {ids.min()} to {ids.max()}",
            "give a name for every id from 0, the background's too",
        )
    return head._replace(labels=list(labels))


def _load(path: str) -> onnx.ModelProto:
    """A graph, with the weights that a second file next to it may hold, as torch.onnx writes them."""
    if not Path(path).is_file():
        raise UsageError(f"there is no file {path}", "give an ONNX graph")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        with tempfile.NamedTemporaryFile(suffix=".onnx") as whole:
            whole.write(model.SerializeToString())
            whole.flush()
            check_graph_file(whole.name)
    except BundleError as error:
        raise BundleError(error.message.replace(whole.name, path), error.remedy)
    except Exception as error:  # protobuf's and onnx's errors have no common base
        raise BundleError(f"{path} is not an ONNX graph: {' '.join(str(error).split())[:160]}")
    return model


def _rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors everywhere in a graph; another tensor that has the new name gets a new one too."""
    changed = {old: new for old, new in names.items() if old != new}
    rename(model.graph, {**{new: f"{new}_own" for new in changed.values()}, **changed})


def _take_image(graph: _Graph) -> None:
    names = [value.name for value in inputs_of(graph.model)]
    images = [name for name in names if name not in _SIZES]
    if len(images) != 1:
        raise UsageError(
            f"{graph.file} has the inputs {', '.join(names)}", "the board's graph takes one image"
        )
    _rename(graph.model, {images[0]: "image"})


def _meet(board: _Graph, server: _Graph) -> None:
    """Name the tensor between both graphs `latent`."""
    made = list(board.model.graph.output)
    taken = [value for value in inputs_of(server.model) if value.name not in _SIZES]
    said = f"{board.file} gives {_said(made)} and {server.file} takes {_said(taken)}"
    if len(made) != 1 or len(taken) != 1:
        raise UsageError(said, "exactly one tensor travels from the board to the server")
    (a,), (b,) = ports_of(made, []), ports_of(taken, [])
    meet = len(a.shape) == len(b.shape) == 4 and all(
        None in (own, due) or own == due for own, due in zip(a.shape, b.shape, strict=True)
    )
    if not meet or a.dtype != "float32" or b.dtype != "float32":
        raise UsageError(
            f"{said}: they do not meet",
            "both must be float32 of the same shape (1, channels, height, width)",
        )
    _rename(board.model, {a.name: _LATENT})
    _rename(server.model, {b.name: _LATENT})


def _said(values: Sequence[onnx.ValueInfoProto]) -> str:
    ports = [f"{p.name} {p.dtype} {list(p.shape)}" for p in ports_of(values, [])]
    return ", ".join(ports) or "nothing"


def _task(last: _Graph) -> str:
    """The task that the last graph's outputs belong to; the outputs get splitwatt's names."""
    model = last.model
    ports = ports_of(model.graph.output, [])
    ranks = {port.name: len(port.shape) for port in ports}
    if ranks == {"boxes": 2, "labels": 1, "scores": 1}:
        return "detection"
    if len(ports) == 1:
        (port,) = ports
        if port.dtype == "float32" and len(port.shape) == 2:
            _rename(model, {port.name: "logits"})
            return "classification"
        if port.dtype in _MASKS and len(port.shape) == 3:
            _rename(model, {port.name: "mask"})
            if port.dtype != "int32":  # argmax of most frameworks gives int64
                rename(model.graph, {"mask": "mask_whole"})
                to = onnx.TensorProto.INT32
                cast = onnx.helper.make_node("Cast", ["mask_whole"], ["mask"], "mask_int32", to=to)
                model.graph.node.append(cast)
                model.graph.output[0].name = "mask"
                model.graph.output[0].type.tensor_type.elem_type = to
            return "segmentation"
    raise UsageError(
        f"{last.file} gives {_said(list(model.graph.output))}, the answer of no task",
        "logits float32 [1, classes]; mask of whole numbers [1, height, width]; or boxes [n, 4], "
        "labels [n] and scores [n]",
    )


def _run(graph: _Graph, tensors: list[Arrays]) -> None:
    """Run a graph on every photograph; its outputs are added to the tensors."""
    try:
        session = open_session(graph.model)
    except ExportError as error:
        raise ExportError(f"{graph.file}: {error.message}", "correct the graph and export it again")
    for held in tensors:
        try:
            feed = {value.name: held[value.name] for value in session.get_inputs()}
            outputs = [value.name for value in session.get_outputs()]
            made = dict(zip(outputs, session.run(outputs, feed), strict=True))
        except KeyError as error:
            raise UsageError(f"{graph.file} takes {error}, which no graph before it gives")
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise ExportError(
                f"{graph.file} does not run on a photograph: {str(error).strip()[:200]}",
                "--preprocess must give images of the size that the graph takes",
            )
        held.update(made)
        graph.runs.append(Run(feed, made))


def _tables(options: argparse.Namespace, latents: Sequence[np.ndarray], notes: list[str]) -> Tables:
    if options.tables is None:
        notes.append("entropy tables fitted to the packaged photographs; 'splitwatt calibrate' fits "
                     "them to yours")  # fmt: skip
        return fit_tables(latents)
    tables = Tables.load(options.tables)
    channels = latents[0].shape[1]
    if tables.count != channels:
        raise UsageError(
            f"{options.tables} holds tables for {tables.count} channels and {options.board} gives "
            f"{channels}",
            "give the tables of this encoder, or leave them out to fit new ones",
        )
    return tables


def _write(folder: Path, graph: _Graph) -> tuple[list[Part], PartFit]:
    """The pieces of a graph on its target, written; their entries in the manifest."""
    inputs, outputs = (
        tuple(ports_of(values, [])) for values in (inputs_of(graph.model), graph.model.graph.output)
    )
    compare = "boxes" if {port.name for port in outputs} == set(_BOXES) else "values"
    part = Traced(graph.part, graph.placement, None, inputs, outputs, dict, [], (), compare)  # type: ignore[arg-type]
    placed = place(graph.model, part, graph.target, graph.runs)
    entries = []
    for piece, feed in zip(placed.pieces, placed.feeds, strict=True):
        view = sized(piece.model, {key: list(array.shape) for key, array in feed.items()})
        macs = sum(macs_of(node, view) or 0 for node in piece.model.graph.node)
        floats = [numpy_helper.to_array(tensor) for tensor in piece.model.graph.initializer]
        params = sum(array.size for array in floats if array.dtype.kind == "f")
        entries.append(write_piece(folder, piece, feed, part, graph.target, params, macs, None))
    return entries, placed.report
