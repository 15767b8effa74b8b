"""The range coder inside an ONNX graph, as the TensorRT plugin's node.

The output `latent` is replaced by two: `words` (INT32 [N, M]) and `length` (INT32 [N]). Only TensorRT
with the plugin can run such a graph; the bundle's other graph, without the coder, runs anywhere.
"""

from typing import Any, Dict, List

import numpy as np

from splitwatt.device_configs.errors import BitstreamError, ExportError
from splitwatt.engines.rangecoder.tables import Tables

# The operators, as graphs and the TensorRT plugin name them.
ENCODER_NODE, DECODER_NODE = "SplitRangeEncode", "SplitRangeDecode"
# The output that the encoder's node replaces, and the node's own outputs.
LATENT = "latent"
WORDS, LENGTH = "words", "length"
# A third output of a packing node, inside the graph: the number of words in a row of `words`.
WORDS_COUNT = "words_count"


def node_attributes(tables: Tables) -> Dict[str, Any]:
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


def append_encoder(model: Any, tables: Tables, packed: bool, latent: str = "latent") -> Any:
    """Put the encoder behind the output `latent` of an ONNX model, in place.

    Args:
        model: an onnx.ModelProto whose output `latent` is float32 [N, C, H, W].
        tables: the tables, one per channel.
        packed: true: M is the longest string's length (TensorRT 10 and later, TensorRT for RTX);
            false: M is the worst case, which works with every version.

    Returns:
        The model, its output `latent` replaced by `words` and `length`.

    Raises:
        ExportError: the model has no such output.
    """
    from onnx import TensorProto, helper

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


def strings_of(words: np.ndarray, length: np.ndarray) -> List[bytes]:
    """The strings in the node's two outputs.

    Args:
        words: int32 (N, M), little-endian words.
        length: int32 (N,), the bytes of each string; -1 for a latent that could not be coded.

    Raises:
        BitstreamError: a latent could not be coded, or a length is impossible.
    """
    strings = []
    for row, size in zip(words, length.tolist()):
        if size < 0:
            raise BitstreamError(
                "the latent holds NaN, infinity or too many symbols outside its tables",
                "look at the encoder and its input, or fit the tables to your images",
            )
        if size > 4 * len(row):
            raise BitstreamError(
                "the engine states %d bytes and returned %d" % (size, 4 * len(row)),
                "build the engines again with splitwatt build",
            )
        strings.append(row.astype("<i4", copy=False).tobytes()[:size])
    return strings
