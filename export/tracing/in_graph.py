"""Adds a second graph to a bundle: the encoder with the range coder in it, as the TensorRT plugin's node.

The graph's output `latent` is replaced by two: `words` (INT32 [N, M]) and `length` (INT32 [N]). Only
TensorRT with the plugin can run it; the bundle's other graph, without the coder, runs anywhere.
"""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from splitwatt.device_configs.errors import ExportError, UsageError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.targets import Target, load_target
from splitwatt.engines.bundle.manifest import GraphFile, Manifest
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.rangecoder.graph import ENCODER_NODE, LATENT, LENGTH, WORDS, WORDS_COUNT
from splitwatt.engines.tensorrt.versions import TYPED, generation
from splitwatt.engines.verify.samples import write_manifest


def packs(target: Target) -> bool:
    """Whether a target's TensorRT takes plugin outputs of computed length (IPluginV3)."""
    version = target.operators["tensorrt"]
    return version is not None and generation(version) == TYPED


def node_attributes(tables: Tables) -> dict[str, Any]:
    """The attributes of either node: the plugin's fields."""
    return {
        "plugin_version": "1",
        "plugin_namespace": "",
        "cdf": tables.cdf.ravel().tolist(),
        "cdf_length": tables.cdf_length.tolist(),
        "offset": tables.offset.tolist(),
        "medians": tables.medians.tolist(),
        "tables_id": [int.from_bytes(bytes.fromhex(tables.id), "little", signed=True)],
    }


def append_encoder(
    model: onnx.ModelProto, tables: Tables, packed: bool, latent: str = "latent"
) -> onnx.ModelProto:
    """Put the encoder behind the output `latent` of an ONNX model, in place.

    Args:
        model: its output `latent` is float32 [N, C, H, W].
        tables: the tables, one per channel.
        packed: true: M is the longest string's length (TensorRT 10 and later, TensorRT for RTX);
            false: M is the worst case, which works with every version.

    Returns:
        The model, its output `latent` replaced by `words` and `length`.

    Raises:
        ExportError: the model has no such output.
    """
    outputs = list(model.graph.output)
    if latent not in [output.name for output in outputs]:
        raise ExportError("the graph has no output '%s'" % latent, "name the latent's output")
    attributes = node_attributes(tables)
    made = [WORDS, LENGTH]
    if packed:
        attributes["packed"] = [1]
        made.append(WORDS_COUNT)
    node = helper.make_node(ENCODER_NODE, [latent], made, name="range_encode", **attributes)
    model.graph.node.append(node)
    kept = [output for output in outputs if output.name != latent]
    shapes = {WORDS: ["batch", "words"], LENGTH: ["batch"]}
    kept += [
        helper.make_tensor_value_info(name, TensorProto.INT32, shape)
        for name, shape in shapes.items()
    ]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


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
