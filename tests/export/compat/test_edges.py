"""What may cross a network's edge, what is cast silently, and the opsets that are read, by version."""

import dataclasses

import pytest

from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.tables import load_table
from tests.export.compat.graphs import Constant, Input, graph

EVERY = ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
# From onnx-tensorrt's importers: what becomes a network input, and what is turned into it.
ACCEPTED = {
    "8.2": "float32 float16 float64 int8 int32 int64 bool",
    "8.5": "float32 float16 float64 int8 uint8 int32 int64 bool",
    "8.6": "float32 float16 float64 int8 uint8 int32 int64 bool",
    "10.1": "float32 float16 float64 int8 uint8 int32 int64 bool",
}
CASTS = {
    "8.2": {"int64": "int32", "float64": "float32"},
    "8.5": {"int64": "int32", "float64": "float32"},
    "8.6": {"int64": "int32", "float64": "float32"},
    "10.1": {"float64": "float32"},
}
OPSETS = {"8.2": (7, 13), "8.5": (7, 17), "8.6": (7, 17), "10.1": (9, 20)}
# Of 10's types that NumPy lacks.
BEYOND_NUMPY = {"10.1": {"bfloat16", "int4", "float8e4m3fn"}}


def crosses(table, dtype):
    """Whether a tensor of this type may be a network's input."""
    model = graph("Identity", Input([4], dtype), made=dtype)
    return "edge" not in {finding.rule for finding in check_model(model, table)}


@pytest.mark.parametrize("version", ACCEPTED)
def test_what_crosses_the_edge(version):
    table = load_table("tensorrt", version)
    assert {dtype for dtype in EVERY if crosses(table, dtype)} == set(ACCEPTED[version].split())
    assert dict(table.casts) == CASTS[version]
    inside = {table.cast(dtype) for dtype in ACCEPTED[version].split()}
    assert table.tensors == inside | BEYOND_NUMPY.get(version, set())


@pytest.mark.parametrize("version", ACCEPTED)
def test_a_deleted_type_or_cast_of_the_edge_is_noticed(version):
    table = load_table("tensorrt", version)
    accepted = set(ACCEPTED[version].split())
    for dtype in table.tensors - BEYOND_NUMPY.get(version, set()):
        less = dataclasses.replace(table, tensors=table.tensors - {dtype})
        assert {d for d in EVERY if crosses(less, d)} < accepted, dtype
    for dtype in table.casts:
        casts = {name: to for name, to in table.casts.items() if name != dtype}
        less = dataclasses.replace(table, casts=casts)
        assert {d for d in EVERY if crosses(less, d)} < accepted, dtype


@pytest.mark.parametrize("version", OPSETS)
def test_the_opsets_that_a_parser_reads(version):
    table = load_table("tensorrt", version)
    lowest, highest = OPSETS[version]
    read = [
        opset
        for opset in range(6, 22)
        if not check_model(
            graph("Add", Input([2]), Constant([1, 2], "float32"), opset=opset), table
        )
    ]
    assert read == list(range(max(7, lowest), highest + 1))
