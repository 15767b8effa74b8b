"""NVIDIA's TensorRT for RTX in tests: the real parser and builder, and shape-only V3 plugins.

The plugins stand in for three operators that TensorRT for RTX lacks (RoiAlign: without a GPU). They
compute nothing: with them the rest of a detector goes through the parser and the builder.
"""

import importlib.util
import os
from pathlib import Path

import pytest

from tests.engines.rangecoder import test_gpu_code as gpu

# ONNX's operator -> the plugin that stands in for it.
STAND_INS = {op: "StandIn" + op for op in ("NonMaxSuppression", "NonZero", "RoiAlign")}

_ALIVE = []  # TensorRT keeps plugins by address alone


def need_rtx():
    """Skip where TensorRT for RTX is not installed; in continuous integration that is a failure."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        what = "the package tensorrt-rtx-cu12 is not installed"
        if os.environ.get("SPLITWATT_CI") == "1":
            pytest.fail(what)
        pytest.skip(what)


def plugin_library(folder: Path) -> Path:
    """Compile the range coder's plugin against the newest public headers, its kernels for this processor."""
    path = folder / "_rangecoder_trt.so"
    gpu.run("g++", "-std=c++14", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
            "-fvisibility=hidden", "-ffp-contract=off", "-isystem", newest_headers(), "-isystem", gpu.CUDA,
            *gpu.INCLUDES, "-I%s" % gpu.HERE, gpu.HERE / "cuda_fake.cpp",
            gpu.HERE / "cuda_runtime_fake.cpp", *sorted((gpu.CODER / "plugin").glob("*.cpp")),
            *gpu.LIBRARY, "-o", path)  # fmt: skip
    return path


def newest_headers() -> Path | None:
    """The public headers of TensorRT 11, where they are here."""
    of_11 = [path for path in gpu.VERSIONS if path.name.lstrip("v").split(".")[0] == "11"]
    return of_11[-1] / "include" if of_11 else None


def register_stand_ins(trt):
    """Put the stand-ins into the plugin registry; returns them, which must outlive their use."""
    creators = [_creator(trt, op) for op in STAND_INS]
    for creator in creators:
        assert trt.get_plugin_registry().register_creator(creator, "")
    return creators


def stood_in(model):
    """Rename, in place, the operators of an ONNX model that have a stand-in; how many nodes."""
    from onnx import helper

    nodes = [node for node in model.graph.node if node.op_type in STAND_INS]
    for node in nodes:
        if node.op_type != "RoiAlign":  # the count of what was found is an output of the plugin
            node.output.append(node.output[0] + "_count")
        node.op_type = STAND_INS[node.op_type]
        kept = [a for a in node.attribute if a.name in ("output_height", "output_width")]
        del node.attribute[:]
        node.attribute.extend(kept)
        named = {"plugin_version": "1", "plugin_namespace": ""}
        node.attribute.extend(helper.make_attribute(key, value) for key, value in named.items())
    return len(nodes)


def _shapes(op, fields, inputs, outputs, new):
    """The outputs' shapes, and for the two data-dependent operators the count as an output."""
    if op == "RoiAlign":
        sides = [fields.get("output_height", 1), fields.get("output_width", 1)]
        dims = [inputs[1][0], inputs[0][1], *(new.constant(side) for side in sides)]
        return [dims]
    most = inputs[0][1] if op == "NonMaxSuppression" else inputs[0][0]
    count = new.declare_size_tensor(1, new.constant(1), most)
    three = new.constant(3) if op == "NonMaxSuppression" else new.constant(len(inputs[0]))
    dims = [count, three] if op == "NonMaxSuppression" else [three, count]
    return [dims, []]


def _creator(trt, op):
    dependent = op != "RoiAlign"

    class Plugin(
        trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime
    ):
        def __init__(self, fields):
            for base in Plugin.__bases__:
                base.__init__(self)
            self.fields = fields
            self.num_outputs = 2 if dependent else 1
            self.plugin_name, self.plugin_version = STAND_INS[op], "1"
            self.plugin_namespace = ""
            self.nothing = trt.PluginFieldCollection([])
            _ALIVE.append(self)

        def get_capability_interface(self, kind):
            return self

        def clone(self):
            return Plugin(self.fields)

        def get_output_data_types(self, types):
            return [trt.int64, trt.int64] if dependent else [types[0]]

        def get_output_shapes(self, inputs, shape_inputs, new):
            made = []
            for dims in _shapes(op, self.fields, inputs, self.num_outputs, new):
                shape = trt.DimsExprs(len(dims))
                for index, side in enumerate(dims):
                    shape[index] = side
                made.append(shape)
            return made

        def supports_format_combination(self, position, tensors, inputs):
            return tensors[position].desc.format == trt.TensorFormat.LINEAR

        def configure_plugin(self, inputs, outputs):
            pass

        def on_shape_change(self, inputs, outputs):
            pass

        def attach_to_context(self, context):
            return self.clone()

        def get_fields_to_serialize(self):
            return self.nothing

        def set_tactic(self, tactic):
            pass

        def enqueue(self, *given):
            raise AssertionError("a stand-in computes nothing")

    class Creator(trt.IPluginCreatorV3One):
        def __init__(self):
            trt.IPluginCreatorV3One.__init__(self)
            self.name, self.plugin_version, self.plugin_namespace = STAND_INS[op], "1", ""
            self.field_names = trt.PluginFieldCollection(
                [trt.PluginField(name, b"", trt.PluginFieldType.INT32)
                 for name in ("output_height", "output_width")]
            )  # fmt: skip

        def create_plugin(self, name, fields, phase):
            return Plugin({field.name: int(field.data[0]) for field in fields if len(field.data)})

    return Creator()
