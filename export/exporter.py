"""One request -> one bundle: built, given weights, traced, compared with PyTorch, written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from splitwatt.device_configs.files import sha256_file
from splitwatt.device_configs.targets import Target
from splitwatt.engines.bundle import manifest as manifest_parts
from splitwatt.engines.bundle.arrays import unpacked_bytes
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.declare import read_record
from splitwatt.engines.bundle.manifest import (
    CodecSpec,
    EncoderSize,
    Head,
    Manifest,
    PartFit,
    TablesFile,
    Weights,
)
from splitwatt.engines.bundle.model_name import FP32
from splitwatt.engines.verify.samples import make_samples, write_manifest
from splitwatt.export.compat import Report as Fit
from splitwatt.export.labels import read_labels, with_labels
from splitwatt.export.precision.bundle import convert, state_trials
from splitwatt.export.precision.error import lines_of
from splitwatt.export.replacing import replacing
from splitwatt.export.request import IN_GRAPH, Request, made_by
from splitwatt.export.spec import LoadedFile, Network, Part, Photo
from splitwatt.export.tracing.cleanup import keep_outputs
from splitwatt.export.tracing.in_graph import add_coder
from splitwatt.export.tracing.onnx_export import to_onnx
from splitwatt.export.tracing.parity import Difference, check_batch, check_declared
from splitwatt.export.tracing.photos import photos, samples
from splitwatt.export.tracing.pieces import (
    Placed,
    Run,
    macs_of_pieces,
    open_session,
    parameters,
    params_after,
    place,
    write_piece,
)
from splitwatt.export.weights.checkpoints import read
from splitwatt.export.weights.random_weights import seeded

Report = Callable[[str, float], None]
# Graphs are traced on a small image; the comparison proves that they are right at every size.
_TRACE_SIZE = (96, 128)


def export(request: Request, report: Report) -> tuple[Manifest, list[str]]:
    """Make the bundle of a request; `request.out` then has the whole bundle; after an error it is unchanged.

    Args:
        report: called at the start of each step with its name and weight.

    Returns:
        The manifest, and lines to print on how parts were changed for their targets.

    Raises:
        CheckpointError: weights that do not fit.
        ExportError: a graph that computes something else than PyTorch.
    """
    with replacing(request.out) as folder, torch.no_grad():
        report("weights", 2.0)
        network, heads, notes = _network(request)
        views = [_View(photo, network) for photo in samples(request.system.preprocess)]
        trace = _View(_small(samples(request.system.preprocess)[0], request, network), network)
        parts: list[manifest_parts.Part] = []
        fits: list[Fit] = []
        for part in network.parts():
            report(part.name, 1.0)
            entries, fit = _part(part, request, folder, trace, views, network, notes)
            parts += entries
            fits.append(fit)
        report("expected outputs", 2.0)
        codec, size = _entropy(network, folder, parts)
        manifest = _manifest(request, parts, fits, codec, size, heads, notes)
        write_manifest(str(folder), manifest)
        taken = [photo.path for photo in samples(request.system.preprocess)]
        make_samples(str(folder), taken)
        manifest = _state_rounding(request, folder, taken)
        if request.coder == IN_GRAPH and manifest.split:
            manifest = add_coder(folder, manifest)
        lines = [line for fit in fits for line in fit.lines()]
        return manifest, lines + [line for entry in manifest.rounding for line in lines_of(entry)]


def _network(request: Request) -> tuple[Network, dict[str, Head], list[str]]:
    states = {role: read(path, request.entry) for role, path in (request.files or {}).items()}
    with seeded(request.base):
        network = request.system.build(request.rate)
        if request.files is None:
            network.fit_random(photos(request.system.preprocess), request.base)
            notes = [
                "random weights, seeded and fitted to the packaged photographs: bytes, answers and "
                "accuracy mean nothing"
            ]
    if request.files is not None:
        notes = [f"{path}: SHA-256 {sha256_file(path)}" for path in request.files.values()]
        notes = [note.split("/")[-1] for note in notes]
        notes += [note for state in states.values() for note in state.notes]
        notes += network.load(states)
    # A network has parts, and so a number of classes, only once it has its weights and tables.
    return network, _heads(request, network, states), notes


def _heads(request: Request, network: Network, states: Mapping[str, LoadedFile]) -> dict[str, Head]:
    """The system's heads with their class names: the user's, else the checkpoint's, else its own."""
    heads = {}
    for task, head in request.system.postprocess.items():
        given, source = (read_labels(request.labels) if request.labels else None), request.labels
        named = [states[task]] if task in states else list(states.values())
        state = next((state for state in named if state.labels), None)
        if given is None and state is not None and state.labels:
            given, source = list(state.labels), state.path
        heads[task] = with_labels(task, head, network.classes(task), given, source or "")
    return heads


class _View:
    """One photograph's tensors by name, growing part by part as PyTorch computes them."""

    def __init__(self, photo: Photo, network: Network) -> None:
        self.photo = photo
        self.tensors = {
            "image": torch.from_numpy(photo.tensor),
            "input_size": torch.tensor(photo.input_size),
            "valid_size": torch.tensor(photo.valid_size),
        }
        self.tensors.update(network.coded(self.tensors, self.tensors))

    @property
    def where(self) -> str:
        """The image's size, for error texts."""
        return "at {}x{}".format(*self.photo.input_size)

    def grow(self, outputs: dict[str, torch.Tensor], network: Network) -> None:
        """Add a part's outputs; those that are sent get the values that the codec decodes."""
        self.tensors.update(outputs)
        self.tensors.update(network.coded(outputs, self.tensors))


def _small(photo: Photo, request: Request, network: Network) -> Photo:
    """A small image to trace on; the photograph itself if the model has a fixed size."""
    rule = request.system.preprocess.resize
    if rule.rule == "exact" or network.fixed_size:
        return photo
    multiple = request.system.preprocess.pad_multiple or 1
    height, width = (-(-side // multiple) * multiple for side in _TRACE_SIZE)
    tensor = np.ascontiguousarray(photo.tensor[:, :, :height, :width])
    return Photo(photo.name, photo.path, tensor, (height, width), (height, width))


def _part(
    part: Part,
    request: Request,
    folder: Path,
    trace: _View,
    views: list[_View],
    network: Network,
    notes: list[str],
) -> tuple[list[manifest_parts.Part], Fit]:
    """Trace, compare and write one part; returns its pieces and a report of the changes."""
    target = request.server_target if part.placement == "server" else request.target
    model = to_onnx(part, trace.tensors, target.opset, target.ir_version)
    trace.grow(part.reference(trace.tensors), network)
    difference = Difference(part)
    session = open_session(model)
    inputs = [port.name for port in part.inputs]
    macs = 0
    runs = []
    for view in views:
        with FlopCounterMode(display=False) as counter:
            reference = part.reference(view.tensors)
        names = [value.name for value in model.graph.output]
        feed = {name: view.tensors[name].numpy() for name in inputs}
        outputs = dict(zip(names, session.run(names, feed), strict=True))
        check_declared(part, {**feed, **outputs})
        difference.add(outputs, reference, view.where)
        runs.append(Run(feed, outputs))
        view.grow(reference, network)
        if view is views[0]:
            # torchvision's definition: products of convolutions and matrices, nothing else.
            macs = counter.get_total_flops() // 2
    notes += difference.notes
    if part.inputs[0].shape[0] is None:
        check_batch(session, part, runs[0].given, difference.tolerance)
    del session
    keep_outputs(model, [port.name for port in part.outputs])
    placed = place(model, part, target, runs)
    parity = manifest_parts.Parity(
        difference.max_abs, difference.tolerance, [list(view.photo.input_size) for view in views]
    )
    entries = _entries(placed, part, target, folder, macs, parity)
    return entries, placed.report


def _entries(
    placed: Placed,
    part: Part,
    target: Target,
    folder: Path,
    macs: int,
    parity: manifest_parts.Parity,
) -> list[manifest_parts.Part]:
    """Write a part's pieces; returns their manifest entries, whose costs add up to the part's."""
    entries = []
    own_macs, params_left = macs_of_pieces(placed, macs), parameters(part.counted)
    for index in reversed(range(len(placed.pieces))):
        piece, feed, own = placed.pieces[index], placed.feeds[index], own_macs[index]
        params = params_left if index == 0 else params_after(piece, params_left)
        params_left -= params
        entries.append(write_piece(folder, piece, feed, part, target, params, own, parity))
    return entries[::-1]


def _entropy(
    network: Network, folder: Path, parts: list[manifest_parts.Part]
) -> tuple[CodecSpec | None, EncoderSize | None]:
    """Write the entropy tables of a split system; returns its codec and its encoder's size."""
    if network.codec is None:
        return None, None
    coding = network.codec.coding()
    deployed = sum(part.bytes for part in parts if part.placement != "server")
    files = []
    for index, tables in enumerate(coding.tables, 1):
        file = "tables.npz" if index == 1 else f"tables.{index}.npz"
        path = folder / file
        tables.save(str(path))
        deployed += path.stat().st_size
        files.append(TablesFile(file, sha256_file(str(path)), tables.id, unpacked_bytes(str(path))))
    size = EncoderSize(4 * parameters(network.encoder_modules), deployed)
    return CodecSpec(coding.kind, files, coding.quality), size


def _state_rounding(request: Request, folder: Path, photos: list[str]) -> Manifest:
    """Convert the bundle to the requested precision, and record the rounding error."""
    bundle = Bundle.open(str(folder))
    if request.precision != FP32:
        return convert(bundle, request.precision, photos, request.calibration)
    if bundle.manifest.split and bundle.manifest.placed("board"):
        return state_trials(bundle, photos)
    return bundle.manifest


def _manifest(
    request: Request,
    parts: list[manifest_parts.Part],
    fits: list[Fit],
    codec: CodecSpec | None,
    size: EncoderSize | None,
    heads: dict[str, Head],
    notes: list[str],
) -> Manifest:
    system = request.system
    return Manifest(
        model=request.name,
        family=system.family,
        rate=request.rate,
        assumed=request.rate in system.assumed,
        tasks=list(system.tasks),
        target=request.target.name,
        server_target=request.server_target.name,
        precision="fp32",
        weights=Weights(
            request.source, request.sha256, request.files is not None, [*notes, *system.notes]
        ),
        preprocess=system.preprocess,
        published_preprocess=dict(system.published_preprocess),
        parts=parts,
        compat=[read_record(PartFit, fit.to_json(), "compat") for fit in fits],
        rounding=[],
        encoder_size_bytes=size,
        codec=codec,
        postprocess=heads,
        samples=[],
        made={"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **made_by()},
    )
