"""Graphs of one operator, for asking a table or a runtime about it."""

import functools

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper

ELEMENTS = {
    name: int(helper.np_dtype_to_tensor_dtype(np.dtype(name)))
    for name in (
        "float32",
        "float16",
        "float64",
        "int8",
        "uint8",
        "int16",
        "int32",
        "int64",
        "bool",
    )
}
ELEMENTS.update(string=onnx.TensorProto.STRING, bfloat16=onnx.TensorProto.BFLOAT16)
# Operators that ONNX dropped: the last opset that has them.
LAST_OPSET = {"Upsample": 9, "Scatter": 10}
SHAPES = {"NonMaxSuppression": [1, 4, 4]}
ATTRIBUTES = {
    "BitShift": {"direction": "LEFT"},
    "Cast": {"to": 1},
    "DepthToSpace": {"blocksize": 2},
    "SpaceToDepth": {"blocksize": 2},
    "Einsum": {"equation": "abcd,abcd->abcd"},
    "AveragePool": {"kernel_shape": [2, 2]},
    "LpPool": {"kernel_shape": [2, 2]},
    "MaxPool": {"kernel_shape": [2, 2]},
    "MaxRoiPool": {"pooled_shape": [1, 1]},
    "MaxUnpool": {"kernel_shape": [2, 2]},
    "LSTM": {"hidden_size": 2},
    "GRU": {"hidden_size": 2},
    "RNN": {"hidden_size": 2},
    "RandomNormal": {"shape": [2]},
    "RandomUniform": {"shape": [2]},
    "Upsample": {"mode": "nearest"},
}


class Constant:
    """An input that is an initializer."""

    def __init__(self, value, dtype="int64"):
        self.value = np.asarray(value, dtype)


class Input:
    """An input of the graph; `None` for a dimension that is not fixed, or for the whole shape."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = shape, dtype


def graph(op, *inputs, opset=13, outputs=1, made="float32", ir=7, domain="", **attributes):
    """A model of one node: `inputs` are Input, Constant or None; `made` is the outputs' type."""
    given, initializers, names = [], [], []
    for index, item in enumerate(inputs):
        names.append(f"x{index}" if item is not None else "")
        if isinstance(item, Constant):
            initializers.append(numpy_helper.from_array(item.value, f"x{index}"))
        elif item is not None:
            element = ELEMENTS[item.dtype]
            given.append(helper.make_tensor_value_info(f"x{index}", element, item.shape))
    results = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op, names, results, name="node", domain=domain, **attributes)
    types = made if isinstance(made, list) else [made] + ["int64"] * (outputs - 1)
    values = [
        helper.make_tensor_value_info(name, ELEMENTS[dtype], None)
        for name, dtype in zip(results, types, strict=True)
    ]
    body = helper.make_graph([node], "one", given, values, initializers)
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    return helper.make_model(body, opset_imports=imports, ir_version=ir)


def branching(then_shape, else_shape, same_name=False, dtype="float32"):
    """An If whose branches make constants of these shapes; None for a rank that nothing tells."""
    bodies = []
    for name, shape in (("then", then_shape), ("else", else_shape)):
        out = "out" if same_name else f"{name}_out"
        if shape is None:
            node = helper.make_node("Reshape", ["x", "shape"], [out])
        else:
            value = numpy_helper.from_array(np.ones(shape, dtype))
            node = helper.make_node("Constant", [], [out], value=value)
        made = helper.make_tensor_value_info(out, ELEMENTS[dtype], shape)
        bodies.append(helper.make_graph([node], name, [], [made]))
    node = helper.make_node("If", ["flag"], ["y"], then_branch=bodies[0], else_branch=bodies[1])
    given = [
        helper.make_tensor_value_info("flag", ELEMENTS["bool"], []),
        helper.make_tensor_value_info("x", ELEMENTS[dtype], [4]),
        helper.make_tensor_value_info("shape", ELEMENTS["int64"], [None]),
    ]
    made = helper.make_tensor_value_info("y", ELEMENTS[dtype], None)
    return _model(helper.make_graph([node], "one", given, [made]), 13)


def looping(grows=False, dtype="float32"):
    """A Loop that carries one tensor, which stays [2] or becomes [4] in a turn."""
    joined = ["carried", "carried"] if grows else ["carried"]
    body = helper.make_graph(
        [
            helper.make_node("Concat", joined, ["next"], axis=0),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", ELEMENTS["int64"], []),
            helper.make_tensor_value_info("go", ELEMENTS["bool"], []),
            helper.make_tensor_value_info("carried", ELEMENTS[dtype], [2]),
        ],
        [
            helper.make_tensor_value_info("go_on", ELEMENTS["bool"], []),
            helper.make_tensor_value_info("next", ELEMENTS[dtype], [4 if grows else 2]),
        ],
    )
    node = helper.make_node("Loop", ["count", "", "first"], ["y"], body=body)
    given = [
        helper.make_tensor_value_info("count", ELEMENTS["int64"], []),
        helper.make_tensor_value_info("first", ELEMENTS[dtype], [2]),
    ]
    made = helper.make_tensor_value_info("y", ELEMENTS[dtype], None)
    return _model(helper.make_graph([node], "one", given, [made]), 13)


def scanning(dtype="float32"):
    """A Scan that copies."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["row"], ["copy"])],
        "body",
        [helper.make_tensor_value_info("row", ELEMENTS[dtype], [2])],
        [helper.make_tensor_value_info("copy", ELEMENTS[dtype], [2])],
    )
    node = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    given = [helper.make_tensor_value_info("x", ELEMENTS[dtype], [3, 2])]
    made = helper.make_tensor_value_info("y", ELEMENTS[dtype], None)
    return _model(helper.make_graph([node], "one", given, [made]), 13)


def _model(body, opset):
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


@functools.cache
def one_op(op, dtype, opset=13):
    """A graph of `op` on `dtype` in its plainest form, whatever it needs beside that a constant.

    Only its types are right: shapes are made up, and it need not run.
    """
    if op == "If":
        return branching([2], [2], dtype=dtype)
    if op == "Loop":
        return looping(dtype=dtype)
    if op == "Scan":
        return scanning(dtype)
    if op == "Constant":
        return graph(op, made=dtype, value=_tensor([1], dtype))
    if not defs.has(op):
        return graph(op, Input([1, 2, 4, 4], dtype), made=dtype)
    opset = LAST_OPSET.get(op, max(opset, first_opset(op)))
    schema = defs.get_schema(op, opset)
    main = main_variable(schema)
    names, given, initializers = [], [], []
    for index, parameter in enumerate(schema.inputs):
        if parameter.option == defs.OpSchema.FormalParameterOption.Optional:
            break
        chosen = _type(schema, parameter.type_str, main, dtype)
        name = f"x{index}"
        names.append(name)
        if (index == 0 and op != "Range") or chosen in ("string", "sequence", "bfloat16"):
            given.append(_value(name, chosen, SHAPES.get(op, [1, 2, 4, 4])))
        else:
            initializers.append(_tensor(np.ones([1]), chosen, name))
    results = [
        p for p in schema.outputs if p.option != defs.OpSchema.FormalParameterOption.Optional
    ] or schema.outputs[:1]
    made = [
        _value(f"y{i}", _type(schema, p.type_str, main, dtype), None) for i, p in enumerate(results)
    ]
    attributes = dict(ATTRIBUTES.get(op, {}))
    if op == "Cast":
        attributes["to"] = ELEMENTS[dtype]
    if op == "ConstantOfShape":
        attributes["value"] = _tensor([1], dtype)
    outputs = [value.name for value in made]
    node = helper.make_node(op, names, outputs, name="node", **attributes)
    return _model(helper.make_graph([node], "one", given, made, initializers), opset)


@functools.cache
def first_opset(op):
    """The opset that introduced an operator."""
    every = defs.get_all_schemas_with_history()
    return min(s.since_version for s in every if s.name == op and not s.domain)


def main_variable(schema):
    """The type variable that an operator's list of types is about."""
    variables = {c.type_param_str for c in schema.type_constraints}
    needed = [
        p.type_str
        for p in schema.inputs
        if p.option != defs.OpSchema.FormalParameterOption.Optional and p.type_str in variables
    ]
    made = schema.outputs[0].type_str if schema.outputs else None
    if schema.name in ("ConstantOfShape", "Cast", "CastLike", "EyeLike") or made in needed:
        return made
    return needed[0] if needed else made


def _type(schema, type_str, main, dtype):
    if type_str == main:
        return dtype
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    names = {"float": "float32", "double": "float64"}
    choices = [t[7:-1] for t in allowed.get(type_str, [type_str]) if t.startswith("tensor(")]
    choices = [names.get(t, t) for t in choices]
    for wanted in (dtype, "float32", "int64", "int32", "bool", "uint8"):
        if wanted in choices:
            return wanted
    return "sequence"


def _value(name, chosen, shape):
    if chosen == "sequence":
        inner = helper.make_tensor_type_proto(1, None)
        return helper.make_value_info(name, helper.make_sequence_type_proto(inner))
    return helper.make_tensor_value_info(name, ELEMENTS[chosen], shape)


def _tensor(value, dtype, name="value"):
    if dtype == "string":
        return helper.make_tensor(name, ELEMENTS[dtype], [1], [b"a"])
    if dtype == "bfloat16":
        return helper.make_tensor(name, ELEMENTS[dtype], [1], [1.0])
    return numpy_helper.from_array(np.asarray(value).astype(dtype), name)
