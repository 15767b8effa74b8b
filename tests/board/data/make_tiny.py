# board: no
"""Makes the ONNX files beside it: a split and a local model small enough to be kept here.

Run it with the export extra installed: `python tests/board/data/make_tiny.py`. The weights are
seeded; the parts have the names, inputs and outputs of real ones and do what real ones do, in
miniature: strides, data-dependent scores, a resized mask.
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
RNG = np.random.RandomState(7)
CHANNELS, CLASSES, MASK_CLASSES, BOXES = 4, 30, 21, 12


def weight(name, *shape):
    scale = 1.0 / np.sqrt(np.prod(shape[1:]) or 1)
    return numpy_helper.from_array((RNG.randn(*shape) * scale).astype(np.float32), name)


def constant(name, values, dtype):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def port(name, dtype, *shape):
    return helper.make_tensor_value_info(name, getattr(TensorProto, dtype), shape)


def save(name, nodes, inputs, outputs, weights):
    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    model.producer_name = ""
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(HERE, "tiny_%s.onnx" % name))


def image():
    return port("image", "FLOAT", 1, 3, "h", "w")


def feature(name):
    return port(name, "FLOAT", 1, CHANNELS, None, None)


def classifier_nodes(source):
    return [
        helper.make_node("GlobalAveragePool", [source], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "fc"], ["logits"]),
    ]


def main():
    save(
        "encoder",
        [
            helper.make_node("Conv", ["image", "w"], ["conv"], strides=[4, 4], pads=[1, 1, 1, 1]),
            helper.make_node("Mul", ["conv", "gain"], ["latent"]),
        ],
        [image()],
        [feature("latent")],
        [weight("w", CHANNELS, 3, 5, 5), constant("gain", 4.0, np.float32)],
    )
    save(
        "body",
        [
            helper.make_node("Conv", ["latent", "w"], ["conv"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv"], ["f4"]),
        ],
        [feature("latent")],
        [feature("f4")],
        [weight("w", CHANNELS, CHANNELS, 3, 3)],
    )
    save(
        "classifier",
        classifier_nodes("f4"),
        [feature("f4")],
        [port("logits", "FLOAT", 1, CLASSES)],
        [weight("fc", CHANNELS, CLASSES)],
    )
    save(
        "model",
        [helper.make_node("Conv", ["image", "w"], ["conv"], strides=[8, 8])]
        + classifier_nodes("conv"),
        [image()],
        [port("logits", "FLOAT", 1, CLASSES)],
        [weight("w", CHANNELS, 3, 8, 8), weight("fc", CHANNELS, CLASSES)],
    )
    corners = np.sort(RNG.rand(BOXES, 2, 2), axis=1).reshape(BOXES, 4)
    save(
        "detector",
        [
            helper.make_node("GlobalAveragePool", ["f4"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "fc"], ["raw"]),
            helper.make_node("Sigmoid", ["raw"], ["row"]),
            helper.make_node("Reshape", ["row", "vector"], ["scores"]),
            helper.make_node("Cast", ["valid_size"], ["hw"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["hw", "wh_order"], ["whwh"]),
            helper.make_node("Mul", ["corners", "whwh"], ["boxes"]),
            helper.make_node("Identity", ["classes"], ["labels"]),
        ],
        [feature("f4"), port("valid_size", "INT64", 2)],
        [
            port("boxes", "FLOAT", None, 4),
            port("labels", "INT64", None),
            port("scores", "FLOAT", None),
        ],
        [
            weight("fc", CHANNELS, BOXES),
            constant("vector", [-1], np.int64),
            constant("wh_order", [1, 0, 1, 0], np.int64),
            constant("corners", corners, np.float32),
            constant("classes", RNG.randint(1, 91, BOXES), np.int64),
        ],
    )
    save(
        "segmenter",
        [
            helper.make_node("Conv", ["f4", "w"], ["logits"]),
            helper.make_node("Concat", ["one_by_classes", "input_size"], ["sizes"], axis=0),
            helper.make_node(
                "Resize", ["logits", "", "", "sizes"], ["large"], mode="linear",
                coordinate_transformation_mode="half_pixel",
            ),
            helper.make_node("ArgMax", ["large"], ["classes"], axis=1, keepdims=0),
            helper.make_node("Cast", ["classes"], ["mask"], to=TensorProto.INT32),
        ],
        [feature("f4"), port("input_size", "INT64", 2)],
        [port("mask", "INT32", 1, "h", "w")],
        [
            weight("w", MASK_CLASSES, CHANNELS, 1, 1),
            constant("one_by_classes", [1, MASK_CLASSES], np.int64),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
