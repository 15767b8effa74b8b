"""A bundle of ONNX graphs that somebody already has: one for the board, and one for the server if split.

Needs no PyTorch. The graphs are taken as they are, but for the names of their tensors, which become those
that splitwatt knows (`image`, `latent`, `logits`, `mask`).
"""

from __future__ import annotations

import importlib.metadata
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from splitwatt.device_configs.errors import BundleError, ExportError, UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.device_configs.targets import Target
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
    TablesFile,
    Weights,
)
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.rangecoder.tables import TOTAL
from splitwatt.engines.verify.samples import make_samples, write_manifest
from splitwatt.export.compat.macs import macs_of, sized
from splitwatt.export.labels import with_labels
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
)

_COUNTED = "it is not known whether the graphs' weights are trained; they count as trained"
_LATENT = "latent"
_SIZES = ("input_size", "valid_size")
_BOXES = ("boxes", "labels", "scores")
_MASKS = ("int32", "int64", "uint8")
# How many more symbols a table has than were seen on the packaged photographs, on each side.
_MARGIN = 4


@dataclass(frozen=True)
class Graphs:
    """The files of a bundle; `server` and `tables` are None for a local model.

    trained: if False, reports mark every byte and answer as those of untrained weights.
    """

    name: str
    board: str
    server: str | None
    tables: str | None
    preprocess: Preprocess
    labels: Sequence[str] | None
    labels_file: str
    trained: bool


def make(graphs: Graphs, target: Target, server_target: Target, out: Path) -> Manifest:
    """Write the bundle.

    Raises:
        BundleError: a file that is no ONNX graph.
        UsageError: tensors of the two graphs that do not match, or outputs that belong to no task.
        ExportError: a graph that does not run on the packaged photographs.
    """
    board = _load(graphs.board)
    server = None if graphs.server is None else _load(graphs.server)
    names = [value.name for value in inputs_of(board)]
    images = [name for name in names if name not in _SIZES]
    if len(images) != 1:
        raise UsageError(
            f"{graphs.board} has the inputs {', '.join(names)}", "the board's graph takes one image"
        )
    _rename(board, {images[0]: "image"})
    if server is not None:
        _meet(graphs, board, server)
    last = board if server is None else server
    task = _task(last, graphs.server or graphs.board)
    tensors: list[Arrays] = [
        {
            "image": photo.tensor,
            "input_size": np.array(photo.input_size),
            "valid_size": np.array(photo.valid_size),
        }
        for photo in photos(graphs.preprocess)
    ]
    runs = _run(board, tensors, graphs.board)
    tables = None
    notes = [f"{Path(graphs.board).name}: SHA-256 {sha256_file(graphs.board)}"]
    notes.append(_COUNTED if graphs.trained else "the graphs' weights are not trained, as stated")
    if server is not None:
        latents = [held[_LATENT] for held in tensors]
        tables = _tables(graphs, latents, notes)
        for held in tensors:
            medians = tables.medians.reshape(-1, 1, 1)
            held[_LATENT] = np.rint(held[_LATENT] - medians) + medians
        server_runs = _run(server, tensors, str(graphs.server))
    head = SC2_TASKS[task][2]._replace(part="model" if server is None else "server")
    heads = {task: _labelled(task, head, tensors, graphs)}
    with replacing(out) as folder:
        parts, fits = _write(
            folder, "model" if server is None else "encoder", board, runs, target, "board"
        )
        size = codec = None
        if server is not None and tables is not None:
            more, fit = _write(folder, "server", server, server_runs, server_target, "server")
            file = str(folder / "tables.npz")
            tables.save(file)
            entry = TablesFile("tables.npz", sha256_file(file), tables.id)
            codec = CodecSpec("rangecoder", [entry], None)
            deployed = sum(part.bytes for part in parts) + Path(file).stat().st_size
            size = EncoderSize(4 * sum(part.params for part in parts), deployed)
            parts, fits = parts + more, fits + fit
            notes.append(
                f"{Path(str(graphs.server)).name}: SHA-256 {sha256_file(str(graphs.server))}"
            )
        manifest = _manifest(graphs, target, server_target, parts, fits, codec, size,
                             heads, notes)  # fmt: skip
        write_manifest(str(folder), manifest)
        paths = {photo.name: photo.path for photo in photos(graphs.preprocess, SAMPLES)}
        return make_samples(str(folder), list(paths.values()))


def read_preprocess(name: str) -> Preprocess:
    """A task's preprocessing as in sc2bench, or that of a JSON file.

    Raises:
        UsageError: no task and no file of that name.
        BundleError: the file is not of the form of the manifest's key `preprocess`.
    """
    if name in SC2_TASKS:
        return SC2_TASKS[name][1]
    if not Path(name).is_file():
        raise UsageError(f"--preprocess {name} is no file", f"or give {', '.join(SC2_TASKS)}")
    return read_record(Preprocess, read_json(name, 1 << 16, BundleError), name)


def _labelled(task: str, head: Head, tensors: Sequence[Arrays], graphs: Graphs) -> Head:
    """The head with the user's class names; numbers without, unless it has as many logits as ImageNet.

    Raises:
        UsageError: fewer or more names than logits, or an answer on a photograph has no name.
    """
    if task == "classification":
        classes = tensors[0]["logits"].shape[-1]
        return with_labels(task, head, classes, graphs.labels, graphs.labels_file)
    if graphs.labels is None:
        return head._replace(labels=None)
    ids = np.concatenate(
        [held["mask" if task == "segmentation" else "labels"].ravel() for held in tensors]
    )
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(graphs.labels):
        raise UsageError(
            f"{graphs.labels_file} holds {len(graphs.labels)} class names and the graph answers with "
            f"the ids {ids.min()} to {ids.max()}",
            "give a name for every id from 0, the background's too",
        )
    return head._replace(labels=list(graphs.labels))


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
        raise BundleError(f"{path} is no ONNX graph: {' '.join(str(error).split())[:160]}")
    return model


def _rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors everywhere in a graph; another tensor that has the new name gets a new one too."""
    changed = {old: new for old, new in names.items() if old != new}
    _rename_in(model.graph, {**{new: f"{new}_own" for new in changed.values()}, **changed})


def _rename_in(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for named in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        named.name = names.get(named.name, named.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename_in(inner, names)


def _meet(graphs: Graphs, board: onnx.ModelProto, server: onnx.ModelProto) -> None:
    """Name the tensor between both graphs `latent`.

    Raises:
        UsageError: more than one tensor, or another type or shape; the error has both sides.
    """
    made = list(board.graph.output)
    taken = [value for value in inputs_of(server) if value.name not in _SIZES]
    if len(made) != 1 or len(taken) != 1:
        raise UsageError(
            f"{graphs.board} gives {_said(made)} and {graphs.server} takes {_said(taken)}",
            "exactly one tensor travels from the board to the server",
        )
    (a,), (b,) = ports_of(made, []), ports_of(taken, [])
    meet = len(a.shape) == len(b.shape) == 4 and all(
        None in (own, due) or own == due for own, due in zip(a.shape, b.shape, strict=True)
    )
    if not meet or a.dtype != "float32" or b.dtype != "float32":
        raise UsageError(
            f"{graphs.board} gives {_said(made)} and {graphs.server} takes {_said(taken)}: they do not "
            "meet",
            "both must be float32 of the same shape (1, channels, height, width)",
        )
    _rename(board, {a.name: _LATENT})
    _rename(server, {b.name: _LATENT})


def _said(values: Sequence[onnx.ValueInfoProto]) -> str:
    return (
        ", ".join(f"{p.name} {p.dtype} {list(p.shape)}" for p in ports_of(values, [])) or "nothing"
    )


def _task(model: onnx.ModelProto, file: str) -> str:
    """The task that the last graph's outputs belong to; the outputs get splitwatt's names.

    Raises:
        UsageError: the outputs belong to no task.
    """
    ports = ports_of(model.graph.output, [])
    if {port.name for port in ports} == set(_BOXES):
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
            if port.dtype != "int32":
                _as_int32(model.graph)
            return "segmentation"
    raise UsageError(
        f"{file} gives {_said(list(model.graph.output))}, the answer of no task",
        "logits float32 [1, classes]; mask of whole numbers [1, height, width]; or boxes [n, 4], "
        "labels [n] and scores [n]",
    )


def _as_int32(graph: onnx.GraphProto) -> None:
    """The mask as int32: argmax of most frameworks gives int64."""
    for node in graph.node:
        node.output[:] = ["mask_own" if name == "mask" else name for name in node.output]
        node.input[:] = ["mask_own" if name == "mask" else name for name in node.input]
    graph.node.append(
        onnx.helper.make_node(
            "Cast", ["mask_own"], ["mask"], "mask_int32", to=onnx.TensorProto.INT32
        )
    )
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT32


def _run(model: onnx.ModelProto, tensors: list[Arrays], file: str) -> list[Run]:
    """Run a graph on every photograph; its outputs are added to the tensors."""
    session = open_session(model)
    runs = []
    for held in tensors:
        try:
            feed = {value.name: held[value.name] for value in session.get_inputs()}
            outputs = [value.name for value in session.get_outputs()]
            made = dict(zip(outputs, session.run(outputs, feed), strict=True))
        except KeyError as error:
            raise UsageError(f"{file} takes {error}, which no graph before it gives")
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise ExportError(
                f"{file} does not run on a photograph: {str(error).strip()[:200]}",
                "--preprocess must give images of the size that the graph takes",
            )
        held.update(made)
        runs.append(Run(feed, made))
    return runs


def _tables(graphs: Graphs, latents: Sequence[np.ndarray], notes: list[str]) -> Tables:
    channels = latents[0].shape[1]
    if graphs.tables is None:
        notes.append("entropy tables fitted to the packaged photographs; 'splitwatt calibrate' fits "
                     "them to yours")  # fmt: skip
        return fit_tables(latents)
    tables = Tables.load(graphs.tables)
    if tables.count != channels:
        raise UsageError(
            f"{graphs.tables} holds tables for {tables.count} channels and {graphs.board} gives "
            f"{channels}",
            "give the tables of this encoder, or leave them out to fit new ones",
        )
    return tables


def fit_tables(latents: Sequence[np.ndarray]) -> Tables:
    """A table for each channel, fitted to the rounded values of latents (1, C, H, W).

    Raises:
        ExportError: values too far apart for tables of 16 bits.
    """
    rows, offsets = [], []
    for channel in range(latents[0].shape[1]):
        symbols = np.concatenate([np.rint(x[0, channel]).ravel() for x in latents])
        if not np.isfinite(symbols).all() or np.abs(symbols).max() > 4096:
            raise ExportError(
                f"channel {channel} of the latent reaches {np.abs(symbols).max():.3g}",
                "scale the encoder's output: whole numbers up to 4096 can be coded",
            )
        low = int(symbols.min()) - _MARGIN
        counts = np.bincount((symbols - low).astype(np.int64)).astype(np.float64)
        counts = np.concatenate([counts, np.zeros(_MARGIN)]) + 0.5
        # Every symbol, and the escape after them, keeps one part; the rest is shared.
        share = np.append(counts, 0.5) / (counts.sum() + 0.5)
        width = 1 + np.floor(share * (TOTAL - len(share))).astype(np.int64)
        width[int(width.argmax())] += TOTAL - int(width.sum())
        rows.append(np.concatenate([[0], np.cumsum(width)]))
        offsets.append(low)
    lengths = np.array([len(row) for row in rows])
    cdf = np.zeros((len(rows), int(lengths.max())), np.int32)
    for own, row in zip(cdf, rows, strict=True):
        own[: len(row)] = row
    return Tables(cdf, lengths, np.array(offsets))


def _write(
    folder: Path, name: str, model: onnx.ModelProto, runs: list[Run], target: Target, placement: str
) -> tuple[list[Part], list[PartFit]]:
    """The pieces of a graph on its target, written; their entries in the manifest."""
    ports = (ports_of(inputs_of(model), []), ports_of(model.graph.output, []))
    compare = "boxes" if {port.name for port in ports[1]} == set(_BOXES) else "values"
    part = Traced(name, placement, None, tuple(ports[0]), tuple(ports[1]), dict, [], (), compare)  # type: ignore[arg-type]
    placed = place(model, part, target, runs)
    entries = []
    for piece, feed in zip(placed.pieces, placed.feeds, strict=True):
        view = sized(piece.model, {key: list(array.shape) for key, array in feed.items()})
        macs = sum(macs_of(node, view) or 0 for node in piece.model.graph.node)
        params = _params(piece.model)
        entries.append(write_piece(folder, piece, feed, part, target, params, macs, None))
    return entries, [placed.report]


def _params(model: onnx.ModelProto) -> int:
    floats = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return sum(array.size for array in floats if array.dtype.kind == "f")


def _manifest(
    graphs: Graphs,
    target: Target,
    server_target: Target,
    parts: list[Part],
    fits: list[PartFit],
    codec: CodecSpec | None,
    size: EncoderSize | None,
    heads: dict[str, Head],
    notes: list[str],
) -> Manifest:
    files = [Path(file).name for file in (graphs.board, graphs.server) if file]
    made = {"splitwatt": __version__, "python": platform.python_version()}
    made.update({name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime")})
    return Manifest(
        model=graphs.name,
        family="own",
        rate=None,
        assumed=False,
        tasks=list(heads),
        target=target.name,
        server_target=server_target.name,
        precision="fp32",
        weights=Weights(", ".join(files), None, graphs.trained, notes),
        preprocess=graphs.preprocess,
        published_preprocess={},
        parts=parts,
        compat=fits,
        rounding=[],
        encoder_size_bytes=size,
        codec=codec,
        postprocess=heads,
        samples=[],
        made={"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **made},
    )
