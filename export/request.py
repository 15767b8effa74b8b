"""A request: which model to export, for which machines, with which weights, and to which folder."""

import functools
import hashlib
import importlib.metadata
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from splitwatt.device_configs.errors import BundleError, UsageError
from splitwatt.device_configs.install import install_command
from splitwatt.device_configs.names import check_known
from splitwatt.device_configs.targets import Target, load_target
from splitwatt.device_configs.version import __version__
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import PRECISIONS
from splitwatt.engines.bundle.model_name import FP32, read_name
from splitwatt.engines.photos import default_photos
from splitwatt.export import zoo
from splitwatt.export.labels import read_labels
from splitwatt.export.precision.int8_images import calibration_images
from splitwatt.export.replacing import check_place
from splitwatt.export.spec import SEED, System
from splitwatt.export.weights.files import PLACE, as_downloaded, digest, locate, other_rates

RANDOM = "random"
# Where the range coder runs: outside the encoder's graph, or in it.
OUTSIDE, IN_GRAPH = "outside", "in-graph"
CODERS = (OUTSIDE, IN_GRAPH)
_PACKAGES = ("torch", "torchvision", "timm", "compressai", "sc2bench", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Request:
    """One bundle to make.

    base: the model's name without a precision; name: with it.
    files: role -> checkpoint; None for random weights.
    calibration: a folder of images for int8; the packaged photographs when None.
    coder: `in-graph` puts the range coder into the encoder's graph too, for TensorRT.
    entry: the key of the checkpoint's state_dict; None: the default, see `weights.checkpoints.read`.
    labels: a file of class names; None: the checkpoint's, else the model's own.
    """

    base: str
    system: System
    rate: str | None
    target: Target
    server_target: Target
    files: dict[str, str] | None
    out: Path
    precision: str = FP32
    calibration: str | None = None
    coder: str = OUTSIDE
    entry: str | None = None
    labels: str | None = None

    @property
    def name(self) -> str:
        """What the bundle is called."""
        return str(read_name(self.base)._replace(precision=self.precision))

    @property
    def source(self) -> str:
        """What the manifest calls these weights."""
        if self.files is None:
            return f"{RANDOM}:{SEED}"
        entry = f"[{self.entry}]" if self.entry else ""
        return ", ".join(os.path.basename(path) + entry for path in self.files.values())

    @functools.cached_property
    def sha256(self) -> str | None:
        """The digest of the checkpoint files; None for random weights."""
        return None if self.files is None else digest(self.files.values())

    def kept(self) -> bool:
        """Whether the existing bundle is complete and equal to what this request would make."""
        try:
            manifest = Bundle.open(str(self.out)).manifest
        except BundleError:
            return False
        has_coder = any(part.with_coder is not None for part in manifest.parts)
        labels = [head.labels for head in manifest.postprocess.values()]
        calibrations = [entry.calibration for entry in manifest.rounding]
        return (
            bool(manifest.samples)
            and manifest.model == self.name
            and manifest.target == self.target.name
            and manifest.server_target == self.server_target.name
            and manifest.weights.source == self.source
            and manifest.weights.sha256 == self.sha256
            and has_coder == (self.coder == IN_GRAPH and manifest.split)
            and (self.labels is None or labels == [read_labels(self.labels)])
            and (
                self.precision != "int8" or calibration_images(self.calibration)[1] in calibrations
            )
            and {k: v for k, v in manifest.made.items() if k != "at"} == made_by()
        )

    def loses_trained_weights(self) -> bool:
        """Whether random weights would replace the trained ones of an existing bundle."""
        if self.files is not None or not os.path.isdir(self.out):
            return False
        try:
            return Bundle.open(str(self.out), "board").manifest.weights.trained
        except BundleError:
            return False  # nothing can run it


def split_name(name: str, asked: str | None) -> tuple[str, str]:
    """A model's name without its precision, and the precision: the name's, else `asked`, else fp32.

    Raises:
        UsageError: the two differ, or there is no such precision.
    """
    if asked is not None:
        check_known("precision", asked, PRECISIONS)
    parsed = read_name(name)
    base = str(parsed._replace(precision=FP32))
    if not name.endswith("-" + parsed.precision):
        return base, asked or FP32
    if asked not in (None, parsed.precision):
        raise UsageError(f"the model '{name}' is in {parsed.precision}, not {asked}", "drop one")
    return base, parsed.precision


def prepare(
    name: str,
    target: str,
    server_target: str | None,
    weights: str | None,
    bundles: str,
    out: str | None = None,
    precision: str | None = None,
    calibration: str | None = None,
    coder: str = OUTSIDE,
    entry: str | None = None,
    labels: str | None = None,
) -> Request:
    """Check everything that can be checked before PyTorch is loaded.

    Raises:
        UsageError: an unknown model or target; no weights; a precision that the target has no fast
            path for; a coder in the graph although the target cannot run it; `out` is an existing
            file or folder that is not a bundle.
        CheckpointError: the weights given lack a file.
    """
    base, precision = split_name(name, precision)
    system, rate = zoo.find(base)
    full = zoo.full_name(system, rate)
    board = load_target(target)
    if precision not in board.precisions:
        raise UsageError(
            f"{board.name} has no fast path for {precision}: it would run no faster than in fp32",
            f"use one of: {', '.join(board.precisions)}",
        )
    if coder == IN_GRAPH and not board.operators["tensorrt"]:
        raise UsageError(
            f"{board.name} has no TensorRT, and only TensorRT runs the coder's node",
            "leave --coder out: the coder then runs outside the graph",
        )
    if calibration is not None:
        if precision != "int8":
            raise UsageError("--calibration is for int8", "give --precision int8 too")
        calibration_images(calibration)
    server = load_target(server_target or board.server_target_default)
    files = None
    if weights != RANDOM:
        files = locate(system.checkpoints(rate), weights, full, rate, other_rates(system, rate))
        if files is None:
            raise UsageError(f"{full} needs weights, and none were found", remedies(system, rate))
    if entry is not None and files is None:
        raise UsageError("--weights-entry needs a checkpoint", "give --weights PATH too")
    if labels is not None:
        if len(system.tasks) > 1:
            raise UsageError(f"--labels is for one task and {full} has {len(system.tasks)}")
        read_labels(labels)
    own = (precision, calibration, coder, entry, labels)
    request = Request(full, system, rate, board, server, files, Path(out or bundles), *own)
    if not out:
        request = replace(request, out=Path(bundles, board.name, request.name))
    check_place(request.out)
    return request


def remedies(system: System, rate: str | None) -> str:
    """What to do if no weights were found, in one sentence."""
    random = "give --weights random for untrained weights"
    checkpoints = system.checkpoints(rate)
    if not checkpoints:
        return f"no weights were published for it: {random}"
    first = checkpoints[0]
    if first.package is not None:
        return f"install their package: {install_command('export')}, or {random}"
    put = f"put {os.path.join(PLACE, first.paths[0])} here"
    if not first.archive:
        put = f"put it here as {as_downloaded(first)}, or anywhere and give --weights PATH"
    elif len(checkpoints) > 1:
        put += f" and {len(checkpoints) - 1} more ('splitwatt weights' lists them)"
    if first.url is None:
        return f"its {first.role} was never published: train it and {put}, or {random}"
    return f"download {first.url} and {put}, or {random}"


@functools.cache
def made_by() -> dict[str, str]:
    """The versions of the packages that make bundles, and a digest of this room's and engines' code."""
    made = {"splitwatt": __version__, "python": platform.python_version(), "recipe": _recipe()}
    for package in _PACKAGES:
        try:
            made[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise UsageError(
                f"'splitwatt export' needs the package {package}, which is not installed",
                install_command("export"),
            )
    return made


def _recipe() -> str:
    """A digest of the sources that decide what a bundle contains; with another one it is exported again."""
    room = Path(__file__).resolve().parent
    sources = [path for folder in (room, room.parent / "engines") for path in folder.rglob("*.py")]
    text = hashlib.sha256()
    for path in [*sorted(sources), *map(Path, default_photos())]:
        text.update(path.name.encode() + b"\0" + path.read_bytes())
    return text.hexdigest()[:12]
