"""Restricted forms of operators, with the verdict of four TensorRT versions for each.

From onnx-tensorrt's pages and importers. A case is a graph of one operator and, for TensorRT 8.2,
8.5, 8.6 and 10.1, the rules that it must break: "" for none.
"""

import numpy as np
from onnx import helper

from tests.export.compat.graphs import ELEMENTS, Constant, Input, branching, graph, looping

IMAGE = Input([1, 8, 16, 16])
INDEX = Input([1], "int64")


def top_k(k, dtype="float32", **attributes):
    return graph("TopK", Input([1, 5000], dtype), k, outputs=2, made=dtype, **attributes)


def resize(sizes=None, scales=None, opset=13, dtype="float32", **attributes):
    if sizes is None and scales is None:
        sizes = Constant([1, 8, 32, 32])
    inputs = [Input([1, 8, 16, 16], dtype), None, scales, sizes]
    while inputs[-1] is None:
        inputs.pop()
    return graph("Resize", *inputs, opset=opset, made=dtype, **attributes)


def nms(*numbers):
    numbers = numbers or (Constant([100]), Constant([0.5], "float32"), Constant([0.1], "float32"))
    return graph("NonMaxSuppression", Input([1, 50, 4]), Input([1, 3, 50]), *numbers, made="int64")


def recurrent(op, opset=13, **attributes):
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    weights = [Constant(np.ones((ways, gates * 2, n)), "float32") for n in (4, 2)]
    return graph(op, Input([5, 1, 4]), *weights, opset=opset, hidden_size=2, **attributes)


def both_ways(op, first, second):
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
    activations = [first] * count + [second] * count
    return recurrent(op, direction="bidirectional", activations=activations)


def quantise(op, zero):
    x, made = (IMAGE, "int8") if op == "QuantizeLinear" else (Input([4], "int8"), "float32")
    return graph(op, x, Constant(0.1, "float32"), zero, made=made)


def inside(model):
    """The same model with its output cast to float32: no tensor of the first type leaves it."""
    made = helper.make_tensor_value_info("cast", ELEMENTS["float32"], None)
    model.graph.node.append(helper.make_node("Cast", ["y0"], ["cast"], name="last", to=1))
    model.graph.output[0].CopyFrom(made)
    return model


RANK_3 = Input([1, 8, 16])
KERNEL = Constant(np.ones((4, 8, 3, 3)), "float32")
KERNEL_1D = Constant(np.ones((4, 8, 3)), "float32")
DECONV = Constant(np.ones((8, 4, 3, 3)), "float32")
DECONV_1D = Constant(np.ones((8, 4, 3)), "float32")
PER_CHANNEL = Constant(np.ones(8), "float32")
ZERO8 = Constant(0, "int8")

CASES = {
    "TopK, K constant": (top_k(Constant([3])), "", "", "", ""),
    "TopK, K computed": (top_k(INDEX), "initializer", "initializer", "", ""),
    "TopK, K 3839": (top_k(Constant([3839])), "", "", "", ""),
    "TopK, K 3840": (top_k(Constant([3840])), "", "", "", "at_most"),
    "TopK, K 4000": (top_k(Constant([4000])), "at_most", "at_most", "at_most", "at_most"),
    "TopK, smallest": (top_k(Constant([3]), largest=0), "attribute", "", "", ""),
    "TopK, unsorted": (top_k(Constant([3]), sorted=0), "", "", "", "attribute"),
    "TopK, INT32": (top_k(Constant([3]), "int32"), "type", "type", "", ""),
    "TopK, INT64": (top_k(Constant([3]), "int64"), "type", "type", "", ""),
    "Resize, nearest": (resize(mode="nearest"), "", "", "", ""),
    "Resize, linear": (resize(mode="linear"), "", "", "", ""),
    "Resize, cubic": (resize(mode="cubic"), *["attribute"] * 4),
    "Resize, sizes computed": (resize(Input([4], "int64")), "", "", "", ""),
    "Resize, scales computed": (resize(None, Input([4])), "initializer", "", "", ""),
    "Resize, crop": (
        resize(coordinate_transformation_mode="tf_crop_and_resize"), *["attribute"] * 4
    ),
    "Resize, align corners": (resize(coordinate_transformation_mode="align_corners"), "", "", "", ""),
    "Resize, other rounding": (resize(nearest_mode="round_up"), *["attribute"] * 4),
    "Resize, INT32": (resize(dtype="int32"), *["type"] * 4),
    "Resize, antialias": (resize(opset=18, antialias=1), "opset", "opset", "opset", "attribute"),
    "Resize, aspect ratio": (
        resize(opset=18, keep_aspect_ratio_policy="not_larger"), "opset", "opset", "opset", "attribute"
    ),
    "Resize, scales of two axes": (
        resize(None, Constant([2, 2], "float32"), opset=18, axes=[2, 3]),
        "opset", "opset", "opset", "iota_axes",
    ),
    "NonMaxSuppression, constants": (nms(), "padded", "", "", ""),
    "NonMaxSuppression, computed": (nms(INDEX), "initializer padded", "", "", ""),
    "RoiAlign": (
        graph("RoiAlign", IMAGE, Input([5, 4]), Input([5], "int64")), "unsupported", "", "", ""
    ),
    "NonZero, FP32": (graph("NonZero", IMAGE, made="int64"), "unsupported", "", "", ""),
    "NonZero, BOOL": (graph("NonZero", Input([5], "bool"), made="int64"), "unsupported", "", "", ""),
    "Mod": (graph("Mod", IMAGE, IMAGE, fmod=1), "unsupported", "unsupported", "", ""),
    "HardSwish": (graph("HardSwish", IMAGE, opset=14), "opset unlisted", "unsupported", "", ""),
    "Reciprocal": (graph("Reciprocal", IMAGE), "unsupported", "", "", ""),
    "OneHot, depth constant": (
        graph("OneHot", INDEX, Constant(5), Constant([0, 1], "float32")),
        "unsupported", "unsupported", "", "",
    ),
    "OneHot, depth computed": (
        graph("OneHot", INDEX, Input([], "int64"), Constant([0, 1], "float32")),
        "unsupported", "unsupported", "", "initializer",
    ),
    "GridSample": (
        graph("GridSample", IMAGE, Input([1, 4, 4, 2]), opset=16), "opset unlisted", "", "", ""
    ),
    "GridSample, 5D": (
        graph("GridSample", Input([1, 2, 4, 4, 4]), Input([1, 2, 2, 2, 3]), opset=20),
        "opset unlisted", "opset", "opset", "rank",
    ),
    "LayerNormalization": (
        graph("LayerNormalization", IMAGE, Constant(np.ones(16), "float32"), opset=17),
        "opset unlisted", "unsupported", "", "",
    ),
    "LayerNormalization, mean asked for": (
        graph(
            "LayerNormalization", IMAGE, Constant(np.ones(16), "float32"), opset=17, outputs=2,
            made=["float32", "float32"],
        ),
        "opset unlisted", "unsupported", "", "outputs",
    ),
    "Unique": (graph("Unique", Input([5])), *["unsupported"] * 4),
    "SequenceLength": (graph("SequenceLength", IMAGE, made="int64"), *["unsupported"] * 4),
    "Add, UINT8": (
        graph("Add", Input([4], "uint8"), Input([4], "uint8"), made="uint8", opset=14),
        "opset edge type", "type", "type", "type",
    ),
    "Cast of UINT8 input": (graph("Cast", Input([4], "uint8"), to=1), "edge type", "type", "", ""),
    "Cast to UINT8 for an output": (
        graph("Cast", Input([4]), to=2, made="uint8"), "edge type", "type", "", ""
    ),
    "Cast to UINT8 inside": (
        inside(graph("Cast", Input([4]), to=2, made="uint8")), "type", "type", *["at_the_edge"] * 2
    ),
    "CastLike to UINT8 inside": (
        inside(graph("CastLike", Input([4]), Input([4], "uint8"), made="uint8", opset=15)),
        "edge opset type unlisted", "type unlisted", "unlisted", "at_the_edge",
    ),
    "Add, INT64": (graph("Add", INDEX, INDEX, made="int64"), "", "", "", ""),
    "Add, DOUBLE": (
        graph("Add", Input([4], "float64"), Input([4], "float64"), made="float64"), "", "", "", ""
    ),
    "Einsum, plain": (graph("Einsum", Input([2, 3]), Input([3, 4]), equation="ij,jk->ik"), *[""] * 4),
    "Einsum, ellipsis": (
        graph("Einsum", IMAGE, IMAGE, equation="...ij,...jk->...ik"), *["einsum"] * 3, ""
    ),
    "Einsum, diagonal": (graph("Einsum", Input([4, 4]), equation="ii->i"), *["einsum"] * 3, ""),
    "Einsum, broadcast": (
        graph("Einsum", Input([1, 3]), Input([2, 3]), equation="ij,ij->ij"), *["einsum"] * 3, ""
    ),
    "If, shapes that broadcast": (branching([1, 3], [4, 3]), "", "", "", ""),
    "If, other shapes of one rank": (branching([2, 3], [4, 3]), *["branch_shapes"] * 3, ""),
    "If, other ranks that broadcast": (branching([3], [4, 3]), "", "", "", "branch_shapes"),
    "If, unknown ranks": (branching(None, [4]), *["branch_shapes"] * 4),
    "If, one name for both": (branching([3], [3], same_name=True), *["branch_names"] * 4),
    "Loop, shape kept": (looping(), "", "", "", ""),
    "Loop, shape changed": (looping(grows=True), "", "", "", "loop_shapes"),
    "Conv": (graph("Conv", IMAGE, KERNEL), "", "", "", ""),
    "Conv, weights computed": (graph("Conv", IMAGE, Input([4, 8, 3, 3])), "initializer", "", "", ""),
    "Conv, 1D": (graph("Conv", RANK_3, KERNEL_1D), "rank", "", "", ""),
    "ConvTranspose, weights computed": (
        graph("ConvTranspose", IMAGE, Input([8, 4, 3, 3])), "initializer", "", "", ""
    ),
    "ConvTranspose, 1D": (graph("ConvTranspose", RANK_3, DECONV_1D), "rank", "", "", ""),
    "ConvTranspose": (graph("ConvTranspose", IMAGE, DECONV), "", "", "", ""),
    "AveragePool, 1D": (graph("AveragePool", RANK_3, kernel_shape=[2]), *["rank"] * 4),
    "AveragePool, dilated": (
        graph("AveragePool", IMAGE, kernel_shape=[2, 2], dilations=[2, 2], opset=19),
        "opset", "opset", "opset", "all_ones",
    ),
    "MaxPool, 1D": (graph("MaxPool", RANK_3, kernel_shape=[2]), *["rank"] * 4),
    "MaxPool, indices": (graph("MaxPool", IMAGE, kernel_shape=[2, 2], outputs=2), *["outputs"] * 4),
    "MaxPool, dilated": (
        graph("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 2]), "", "", "", "all_ones"
    ),
    "LpPool, dilated": (
        graph("LpPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 2], opset=18),
        "opset", "opset", "opset", "all_ones",
    ),
    "Slice, axes computed": (
        graph("Slice", IMAGE, Constant([0]), Constant([4]), INDEX), *["initializer"] * 4
    ),
    "Slice, ends computed": (graph("Slice", IMAGE, Constant([0]), INDEX, Constant([2])), *[""] * 4),
    "Squeeze, axes computed": (graph("Squeeze", IMAGE, INDEX), *["initializer"] * 4),
    "Unsqueeze, axes computed": (graph("Unsqueeze", IMAGE, INDEX), *["initializer"] * 4),
    "CumSum, axis computed": (graph("CumSum", IMAGE, Input([], "int64")), *["initializer"] * 4),
    "InstanceNormalization, scale computed": (
        graph("InstanceNormalization", IMAGE, Input([8]), PER_CHANNEL),
        "initializer", "initializer", "", "",
    ),
    "InstanceNormalization, rank 2": (
        graph("InstanceNormalization", Input([1, 8]), PER_CHANNEL, PER_CHANNEL), "rank", "rank", "", ""
    ),
    "Range, INT64 computed": (graph("Range", *[Input([], "int64")] * 3, made="int64"), *[""] * 4),
    "Range, FP32 computed": (graph("Range", *[Input([])] * 3), "float_range", "", "", ""),
    "ReverseSequence, size not fixed": (
        graph("ReverseSequence", Input([None, 2]), INDEX), "static", "static", "", ""
    ),
    "EyeLike, size not fixed": (graph("EyeLike", Input([None, 2])), "", "", "", "static"),
    "Hardmax, size not fixed": (
        graph("Hardmax", Input([2, None])), *["unsupported"] * 3, "static"
    ),
    "Hardmax, another size not fixed": (graph("Hardmax", Input([None, 2])), *["unsupported"] * 3, ""),
    "Dropout in training": (
        graph("Dropout", IMAGE, None, Constant(True, "bool")), *["zeros"] * 4
    ),
    "BatchNormalization": (
        graph("BatchNormalization", IMAGE, *[PER_CHANNEL] * 4), "", "", "", ""
    ),
    "BatchNormalization in training": (
        graph("BatchNormalization", IMAGE, *[PER_CHANNEL] * 4, opset=14, training_mode=1),
        "opset", *["attribute"] * 3,
    ),
    "QuantizeLinear, zero point 0": (quantise("QuantizeLinear", ZERO8), "", "", "", ""),
    "QuantizeLinear, zero point 3": (quantise("QuantizeLinear", Constant(3, "int8")), *["zeros"] * 4),
    "DequantizeLinear, zero point 0": (quantise("DequantizeLinear", ZERO8), "", "", "", ""),
    "DequantizeLinear, zero point 3": (
        quantise("DequantizeLinear", Constant(3, "int8")), *["zeros"] * 4
    ),
    "LSTM, one way": (recurrent("LSTM"), "", "", "", ""),
    "LSTM, same both ways": (both_ways("LSTM", "Tanh", "Tanh"), "", "", "", ""),
    "LSTM, coupled gates": (recurrent("LSTM", input_forget=1), "", "", "", "attribute"),
    "LSTM, batch first": (recurrent("LSTM", 14, layout=1), "opset", "", "", "attribute"),
    "ScatterND, adding": (
        graph("ScatterND", IMAGE, Input([1, 4], "int64"), Input([1]), opset=16, reduction="add"),
        "opset", "", "", "attribute",
    ),
    "Pad, axes computed": (
        graph("Pad", IMAGE, Constant([1, 1]), None, INDEX, opset=18),
        "opset", "opset", "opset", "initializer",
    ),
    "Constant, text": (
        graph("Constant", made="string", value_string="a"), *["edge type"] * 3, "edge no_attributes type"
    ),
    "Constant, texts": (
        graph("Constant", made="string", value_strings=["a"]), *["edge type"] * 3, "edge no_attributes type"
    ),
    "DeformConv, uneven padding": (
        graph("DeformConv", IMAGE, KERNEL, IMAGE, opset=19, pads=[0, 0, 1, 1]),
        *["opset unlisted"] * 3, "symmetric_pads",
    ),
    "DeformConv, 3D": (
        graph("DeformConv", Input([1, 8, 4, 4, 4]), KERNEL, IMAGE, opset=19),
        *["opset unlisted"] * 3, "rank",
    ),
    "an operator of someone else's": (graph("Mystery", IMAGE, domain="else.where"), *["unlisted"] * 4),
}  # fmt: skip
for _op in ("LSTM", "GRU", "RNN"):
    CASES[f"{_op}, other activations backwards"] = (
        both_ways(_op, "Tanh", "Relu"), *["same_activations"] * 4
    )  # fmt: skip
for _op in ("RandomNormal", "RandomUniform"):
    _first = "unsupported" if _op == "RandomNormal" else "no_attributes"
    for _name, _given in ((_op, ()), (f"{_op}Like", (IMAGE,))):
        _shape = {} if _given else {"shape": [2]}
        CASES[f"{_name}, seeded"] = (
            graph(_name, *_given, seed=1.0, **_shape), _first, *["no_attributes"] * 3
        )  # fmt: skip
for _op in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"):
    _opset, _old = (13, "") if _op == "Sum" else (18, "opset")
    CASES[f"Reduce{_op}, axes computed"] = (
        graph(f"Reduce{_op}", IMAGE, INDEX, opset=_opset), *[_old] * 3, "initializer"
    )  # fmt: skip
