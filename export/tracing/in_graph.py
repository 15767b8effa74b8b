"""Adds a second graph to a bundle: the encoder with the range coder in it."""

from __future__ import annotations

from pathlib import Path

import onnx

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.targets import Target, load_target
from splitwatt.engines.bundle.manifest import GraphFile, Manifest
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.rangecoder.graph import LATENT, append_encoder
from splitwatt.engines.tensorrt.versions import TYPED, generation
from splitwatt.engines.verify.samples import write_manifest


def packs(target: Target) -> bool:
    """Whether a target's TensorRT takes plugin outputs of computed length (IPluginV3)."""
    version = target.operators["tensorrt"]
    return version is not None and generation(version) == TYPED


def add_coder(folder: Path, manifest: Manifest) -> Manifest:
    """Write the graph with the coder of the part that makes the latent, and name it in the manifest.

    TensorRT builds this graph; every other backend runs the one without the coder.

    Args:
        folder: the bundle, complete.
        manifest: of it.

    Raises:
        UsageError: its codec is not the range coder with one table per channel, or TensorRT does
            not run the part that makes the latent.
    """
    if manifest.codec is None or manifest.codec.kind != "rangecoder":
        raise UsageError(
            f"{manifest.model} has no codec that can be put into a graph",
            "leave --coder out, or take a model with a factorized prior",
        )
    tables = Tables.load(str(folder / manifest.codec.tables[0].file))
    parts = []
    for part in manifest.parts:
        if LATENT in [port.name for port in part.outputs]:
            if part.runtime != "tensorrt":
                raise UsageError(
                    f"TensorRT does not run {manifest.model}'s {part.name} on {part.target}",
                    "leave --coder out",
                )
            model = append_encoder(
                onnx.load(str(folder / part.file)), tables, packs(load_target(part.target))
            )
            file = f"{part.name}.coder.onnx"
            write_atomic(str(folder / file), model.SerializeToString())
            size = (folder / file).stat().st_size
            part = part._replace(with_coder=GraphFile(file, sha256_file(str(folder / file)), size))
        parts.append(part)
    manifest = manifest._replace(parts=parts)
    write_manifest(str(folder), manifest)
    return manifest
