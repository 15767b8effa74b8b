"""One request -> one bundle: built, given weights, traced, compared with PyTorch, written."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle import manifest as manifest_parts
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import (
    CodecSpec,
    EncoderSize,
    Head,
    Manifest,
    PartFit,
    Weights,
)
from splitwatt.engines.bundle.model_name import FP32
from splitwatt.engines.verify.samples import make_samples, write_manifest
from splitwatt.export.compat.fit import lines_of as fit_lines
from splitwatt.export.labels import read_labels, with_labels
from splitwatt.export.precision.bundle import convert, state_trials
from splitwatt.export.precision.error import lines_of
from splitwatt.export.replacing import replacing
from splitwatt.export.request import IN_GRAPH, Request, made_by
from splitwatt.export.spec import LoadedFile, Network, Part, Photo
from splitwatt.export.tracing.cleanup import keep_outputs
from splitwatt.export.tracing.cost import Uncounted
from splitwatt.export.tracing.in_graph import add_coder
from splitwatt.export.tracing.onnx_export import to_onnx
from splitwatt.export.tracing.parity import Difference, check_batch, check_declared
from splitwatt.export.tracing.photos import photos, samples
from splitwatt.export.tracing.pieces import (
    Run,
    macs_of_pieces,
    open_session,
    parameters,
    params_after,
    place,
    write_piece,
    write_tables,
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
        photographs = samples(request.system.preprocess)
        work = Work(request, folder, photographs)
        for part in work.network.parts():
            report(part.name, 1.0)
            work.add(part)
        report("expected outputs", 2.0)
        write_manifest(str(folder), work.manifest())
        taken = [photo.path for photo in photographs]
        manifest = make_samples(str(folder), taken)
        bundle = Bundle.open(str(folder))
        if request.precision != FP32:
            manifest = convert(bundle, request.precision, taken, request.calibration)
        elif manifest.split and manifest.placed("board"):
            manifest = state_trials(bundle, taken)
        if request.coder == IN_GRAPH and manifest.split:
            manifest = add_coder(folder, manifest)
        lines = [line for fit in work.fits for line in fit_lines(fit)]
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


def _small(photo: Photo, request: Request, network: Network) -> Photo:
    """A small image to trace on; the photograph itself if the model has a fixed size."""
    rule = request.system.preprocess.resize
    if rule.rule == "exact" or network.fixed_size:
        return photo
    multiple = request.system.preprocess.pad_multiple or 1
    height, width = (-(-side // multiple) * multiple for side in _TRACE_SIZE)
    tensor = np.ascontiguousarray(photo.tensor[:, :, :height, :width])
    return Photo(photo.name, photo.path, tensor, (height, width), (height, width))


class Work:
    """One bundle as it is made: its network, and what PyTorch has computed of the photographs.

    Args:
        folder: where the bundle is written.
        photographs: the parts are compared on them; costs are those of the first.
    """

    def __init__(self, request: Request, folder: Path, photographs: Sequence[Photo]) -> None:
        self.request = request
        self.folder = folder
        self.network, self._heads, self._notes = _network(request)
        self._photographs = photographs
        self._views = [self._view(photo) for photo in photographs]
        self._small = self._view(_small(photographs[0], request, self.network))
        self._parts: list[manifest_parts.Part] = []
        self.fits: list[PartFit] = []

    def _view(self, photo: Photo) -> dict[str, torch.Tensor]:
        """A photograph's tensors by name, to which those of the parts are added."""
        tensors = {
            "image": torch.from_numpy(photo.tensor),
            "input_size": torch.tensor(photo.input_size),
            "valid_size": torch.tensor(photo.valid_size),
        }
        self._grow(tensors, tensors)
        return tensors

    def _grow(self, view: dict[str, torch.Tensor], outputs: dict[str, torch.Tensor]) -> None:
        """Add a part's outputs; those that are sent get the values that the codec decodes."""
        view.update(outputs)
        view.update(self.network.coded(outputs, view))

    def add(self, part: Part) -> None:
        """Trace, compare and write one part."""
        request = self.request
        target = request.server_target if part.placement == "server" else request.target
        model = to_onnx(part, self._small, target.opset, target.ir_version)
        self._grow(self._small, part.reference(self._small))
        difference = Difference(part)
        session = open_session(model)
        names = [value.name for value in model.graph.output]
        counters, runs = [], []
        for photo, view in zip(self._photographs, self._views, strict=True):
            with Uncounted() as uncounted, FlopCounterMode(display=False) as counter:
                reference = part.reference(view)
            feed = {port.name: view[port.name].numpy() for port in part.inputs}
            outputs = dict(zip(names, session.run(names, feed), strict=True))
            check_declared(part, {**feed, **outputs})
            difference.add(outputs, reference, "at {}x{}".format(*photo.input_size))
            runs.append(Run(feed, outputs))
            counters.append((counter, uncounted))
            self._grow(view, reference)
        counter, uncounted = counters[0]
        if uncounted.names:
            left_out = ", ".join(sorted(uncounted.names))
            self._notes.append(f"GMAC of {part.name} leave out {left_out}")
        self._notes += difference.notes
        if part.inputs[0].shape[0] is None:
            check_batch(session, part, runs[0].given, difference.tolerance)
        del session
        keep_outputs(model, [port.name for port in part.outputs])
        placed = place(model, part, target, runs)
        sizes = [list(photo.input_size) for photo in self._photographs]
        parity = manifest_parts.Parity(difference.max_abs, difference.tolerance, sizes)
        # The costs of the pieces add up to the part's.
        entries = []
        # torchvision's definition: products of convolutions and matrices, nothing else.
        macs = counter.get_total_flops() // 2
        own_macs, params_left = macs_of_pieces(placed, macs), parameters(part.counted)
        for index in reversed(range(len(placed.pieces))):
            piece, feed, own = placed.pieces[index], placed.feeds[index], own_macs[index]
            params = params_left if index == 0 else params_after(piece, params_left)
            params_left -= params
            entries.append(write_piece(self.folder, piece, feed, part, target, params, own, parity))
        self._parts += entries[::-1]
        self.fits.append(placed.report)

    def _entropy(self) -> tuple[CodecSpec | None, EncoderSize | None]:
        """Write the entropy tables of a split system; returns its codec and its encoder's size."""
        if self.network.codec is None:
            return None, None
        coding = self.network.codec.coding()
        files = [
            write_tables(
                self.folder / ("tables.npz" if index == 1 else f"tables.{index}.npz"), tables
            )
            for index, tables in enumerate(coding.tables, 1)
        ]
        deployed = sum(part.bytes for part in self._parts if part.placement != "server")
        deployed += sum((self.folder / entry.file).stat().st_size for entry in files)
        size = EncoderSize(4 * parameters(self.network.encoder_modules), deployed)
        return CodecSpec(coding.kind, files, coding.quality), size

    def manifest(self) -> Manifest:
        """The manifest, without samples, once all parts were added; writes the entropy tables."""
        request, system = self.request, self.request.system
        codec, size = self._entropy()
        notes = [*self._notes, *system.notes]
        return Manifest(
            model=request.name,
            family=system.family,
            rate=request.rate,
            assumed=request.rate in system.assumed,
            tasks=list(system.tasks),
            target=request.target.name,
            server_target=request.server_target.name,
            precision=FP32,
            weights=Weights(request.source, request.sha256, request.files is not None, notes),
            preprocess=system.preprocess,
            published_preprocess=dict(system.published_preprocess),
            parts=self._parts,
            compat=self.fits,
            rounding=[],
            encoder_size_bytes=size,
            codec=codec,
            postprocess=self._heads,
            samples=[],
            made={"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **made_by()},
        )
