"""TensorRT's tables against onnx-tensorrt's own pages, and every row against deletion."""

import dataclasses

import pytest

from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.tables import load_table
from tests.export.compat.graphs import one_op
from tests.export.compat.lists import LISTS

NAMES = {
    "FP32": "float32", "FP16": "float16", "INT32": "int32", "INT8": "int8", "BOOL": "bool",
    "INT64": "int64", "UINT8": "uint8", "BF16": "bfloat16",
}  # fmt: skip
# Types that every test graph can be built with; INT4 and FP8 are not among them.
TRIED = ("float32", "float16", "int32", "int8", "uint8", "bool")
# What the importers at the same tags take beyond what the page says: `also` in the tables.
BEYOND = {
    ("8.2", "ConstantOfShape"): "int32 bool", ("8.2", "Clip"): "int32",
    ("8.5", "ConstantOfShape"): "int32 bool", ("8.5", "Clip"): "int32",
    ("8.6", "ConstantOfShape"): "int32 bool", ("8.6", "Clip"): "int32",
    ("8.5", "NonZero"): "int32 int8 bool", ("8.6", "NonZero"): "int32 int8 bool",
    ("10.1", "NonZero"): "int32 int8 bool", ("10.1", "Clip"): "int32",
}  # fmt: skip
# The page allows it, and yet it never computes what ONNX says.
ALWAYS_FOUND = {("8.2", "NonMaxSuppression"): "padded"}


def expectations(version):
    """Operator -> types that it takes, None for an operator that is not supported."""
    expected = {}
    text = LISTS[version].replace("\n    ", " ")
    for line in filter(None, text.splitlines()):
        types, operators = line.split(":")
        for op in operators.split():
            known = {NAMES[t] for t in types.split() if t in NAMES}
            expected[op] = (
                None
                if types == "unsupported"
                else known | set(BEYOND.get((version, op), "").split())
            )
    return expected


def disagreements(version, table, operators):
    """Where a table's verdict is not the page's, over the given operators and all tried types."""
    expected = expectations(version)
    wrong = []
    for op in operators:
        for dtype in TRIED:
            rules = {f.rule for f in check_model(one_op(op, dtype), table)} - {"opset", "edge"}
            if expected[op] is None:
                fine = rules == {"unsupported"}
            elif dtype not in expected[op] and op not in ("NonMaxSuppression",):
                fine = "type" in rules
            else:
                always = ALWAYS_FOUND.get((version, op))
                fine = rules == ({always} if always else set())
            if not fine:
                wrong.append((op, dtype, rules))
    return wrong


@pytest.mark.parametrize("version", LISTS)
def test_verdicts_are_those_of_the_page(version):
    table = load_table("tensorrt", version)
    expected = expectations(version)
    assert len(expected) > 150
    assert set(table.operators) == {op for op, types in expected.items() if types is not None}
    assert table.unsupported == {op for op, types in expected.items() if types is None}
    assert disagreements(version, table, expected) == []


@pytest.mark.parametrize("version", LISTS)
def test_a_deleted_row_is_noticed(version):
    table = load_table("tensorrt", version)
    for op in table.operators:
        rows = {name: row for name, row in table.operators.items() if name != op}
        assert disagreements(version, dataclasses.replace(table, operators=rows), [op]), op
    for op in table.unsupported:
        less = dataclasses.replace(table, unsupported=table.unsupported - {op})
        assert disagreements(version, less, [op]), op


@pytest.mark.parametrize("version", LISTS)
def test_a_deleted_type_is_noticed(version):
    table = load_table("tensorrt", version)
    for op, row in table.operators.items():
        for dtype in (row.types or frozenset()) & frozenset(TRIED):
            if op == "NonMaxSuppression":
                continue  # ONNX leaves it no type but float32
            less = dataclasses.replace(row, types=row.types - {dtype})
            rows = {**table.operators, op: less}
            assert disagreements(version, dataclasses.replace(table, operators=rows), [op]), op
