"""A bundle in another precision, made from the one in fp32, and the error of rounding.

The precision applies to the board's parts that TensorRT runs. Other parts stay in fp32: those after a
cut run on the board's processor, a codec's own parts must give the same values on both ends, and a
server may build its parts in any precision.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx

from splitwatt.device_configs.errors import ExportError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.targets import load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Manifest, Part
from splitwatt.engines.bundle.model_name import FP32
from splitwatt.engines.verify.samples import write_manifest
from splitwatt.export.compat.fit import tables_of
from splitwatt.export.compat.tables import Table
from splitwatt.export.precision.error import Board, measure
from splitwatt.export.precision.graph import to_fp16, to_int8, to_tf32
from splitwatt.export.precision.int8_images import calibration_images

# Precisions in which engines of fp32 graphs may be built or run anyway.
TRIALS = ("tf32", "fp16")


def convert(
    bundle: Bundle, precision: str, photos: Sequence[str], calibration: str | None
) -> Manifest:
    """Put a bundle's board parts in another precision, in its own folder.

    Args:
        bundle: the bundle in fp32.
        photos: paths, to measure the error on.
        calibration: a folder of images for int8; the packaged photographs when None.

    Returns:
        The manifest as written; its samples are still those of fp32.

    Raises:
        ExportError: nothing to convert, or a graph that does not fit or overflows in it.
    """
    images, named = calibration_images(calibration) if precision == "int8" else ([], None)
    parts = [part for part in bundle.manifest.placed("board") if part.runtime == "tensorrt"]
    if not parts:
        raise ExportError(
            f"no part of {bundle.manifest.model} runs on {bundle.manifest.target}'s TensorRT",
            "export it in fp32",
        )
    graphs = {}
    for part in parts:
        model = onnx.load(bundle.part_path(part.name))
        tables = _tables(part)
        if precision == "int8":
            with Board(bundle) as board:
                graphs[part.name] = to_int8(
                    model, (board.run(image, False).fed[part.name] for image in images), tables
                )
        else:
            graphs[part.name] = to_fp16(model, tables)
    with _variant(bundle, graphs, precision) as other:
        rounding = measure(bundle, other, precision, photos, named)
        manifest = other.manifest._replace(
            precision=precision, samples=bundle.manifest.samples, rounding=[rounding]
        )
        for part in parts:
            path = Path(bundle.path) / part.file
            write_atomic(str(path), Path(other.part_path(part.name)).read_bytes())
    size = manifest.encoder_size_bytes
    if size is not None:
        less = sum(p.bytes for p in bundle.manifest.parts) - sum(p.bytes for p in manifest.parts)
        manifest = manifest._replace(
            encoder_size_bytes=size._replace(deployed=size.deployed - less)
        )
    write_manifest(bundle.path, manifest)
    return manifest


def state_trials(bundle: Bundle, photos: Sequence[str]) -> Manifest:
    """Write into the manifest of a split model in fp32 how far rounding would move its latent.

    Returns:
        The manifest, with an entry of `rounding` per precision of `TRIALS`.
    """
    entries = []
    for precision in TRIALS:
        graphs = {}
        for part in bundle.manifest.placed("board"):
            model = onnx.load(bundle.part_path(part.name))
            rounded = to_tf32(model) if precision == "tf32" else to_fp16(model, _tables(part))
            graphs[part.name] = rounded
        with _variant(bundle, graphs, FP32) as other:
            entries.append(measure(bundle, other, precision, photos, deployed=False))
    manifest = bundle.manifest._replace(rounding=entries)
    write_manifest(bundle.path, manifest)
    return manifest


def _tables(part: Part) -> list[Table]:
    return [table for table in tables_of(load_target(part.target)) if table is not None]


@contextlib.contextmanager
def _variant(
    bundle: Bundle, graphs: Mapping[str, onnx.ModelProto], precision: str
) -> Iterator[Bundle]:
    """A bundle with other graphs for some parts and no samples, as long as the `with` lasts."""
    with tempfile.TemporaryDirectory(prefix="splitwatt-precision-") as folder:
        root = Path(folder)
        parts = []
        for part in bundle.manifest.parts:
            if part.name in graphs:
                data = graphs[part.name].SerializeToString()
                write_atomic(str(root / part.file), data)
                part = part._replace(
                    precision=precision, sha256=sha256_file(str(root / part.file)), bytes=len(data)
                )
            elif part.placement != "server":
                shutil.copyfile(bundle.part_path(part.name), root / part.file)
            parts.append(part)
        for tables in bundle.manifest.codec.tables if bundle.manifest.codec else []:
            write_atomic(str(root / tables.file), (Path(bundle.path) / tables.file).read_bytes())
        write_manifest(folder, bundle.manifest._replace(parts=parts, samples=[]))
        yield Bundle.open(folder, "board")
