"""The plugin's node in an ONNX graph."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from splitwatt.device_configs.errors import BitstreamError, ExportError
from splitwatt.engines.rangecoder import RangeCoder, Tables, graph
from splitwatt.export.tracing import in_graph


@pytest.fixture
def tables():
    cdf = np.array([[0, 900, 50000, 65536]] * 3, np.int32)
    return Tables(cdf, [4] * 3, [-1, 0, 1], np.array([0.5, 0, 0], np.float32))


def make_model():
    node = helper.make_node("Relu", ["image"], ["latent"])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, None, None])
    latent = helper.make_tensor_value_info("latent", TensorProto.FLOAT, [1, 3, None, None])
    return helper.make_model(helper.make_graph([node], "encoder", [image], [latent]))


@pytest.mark.parametrize("packed", [True, False])
def test_the_encoder_takes_the_latents_place(packed, tables):
    model = in_graph.append_encoder(make_model(), tables, packed)
    assert [output.name for output in model.graph.output] == ["words", "length"]
    node = model.graph.node[-1]
    assert node.op_type == "SplitRangeEncode" and list(node.input) == ["latent"]
    fields = {field.name: helper.get_attribute_value(field) for field in node.attribute}
    again = Tables(
        np.reshape(fields["cdf"], (3, -1)),
        np.array(fields["cdf_length"]),
        np.array(fields["offset"]),
        np.array(fields["medians"], np.float32),
    )
    assert again.id == tables.id
    # TensorRT's parser wants a name for each of a plugin's outputs.
    assert len(node.output) == 2 + packed and fields.get("packed") == ([1] if packed else None)
    assert np.array(fields["tables_id"], "<i4").tobytes().hex() == tables.id
    assert onnx.load_from_string(model.SerializeToString()).graph.node[-1].op_type == node.op_type


def test_a_graph_without_a_latent_is_refused(tables):
    with pytest.raises(ExportError, match="features"):
        in_graph.append_encoder(make_model(), tables, False, "features")


def test_words_become_strings(tables):
    latent = np.zeros((1, 3, 40, 90), np.float32)
    string = RangeCoder(tables).encode(latent)[0]
    words = np.zeros((2, (2 * 3 * 40 * 90 + 164) // 4), np.int32)
    words[0].view(np.uint8)[: len(string)] = np.frombuffer(string, np.uint8)
    assert graph.strings_of(words[:1], np.array([len(string)])) == [string]
    with pytest.raises(BitstreamError):
        graph.strings_of(words, np.array([len(string), -1]))
    with pytest.raises(BitstreamError):
        graph.strings_of(words, np.array([len(string), 4 * words.shape[1] + 1]))
