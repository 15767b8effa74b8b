"""onnxruntime's tables against ONNX's list of operators, and against installed runtimes."""

import base64
import dataclasses
import json
import subprocess
from pathlib import Path

import onnxruntime
import pytest
from onnx import ModelProto, defs, helper

from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.tables import load_table
from tests.export.compat.graphs import Constant, Input, first_opset, graph, one_op

pytestmark = pytest.mark.long

VERSIONS = ("1.10", "1.16")
# What ONNX defines at the highest opset and the runtime has no CPU kernel for.
LACKING = {"1.10": set(), "1.16": {"DeformConv"}}
# What 1.10 lacks on a CPU of the types below, at every opset: from its own refusals.
REFUSED_1_10 = {
    "Clip": "int32", "Celu": "float64", "AveragePool": "float64", "Conv": "float64 int8",
    "GridSample": None, "NonMaxSuppression": None, "LeakyRelu": "float64", "Relu": "int64",
    "ArgMax": "int64", "Resize": "float64", "Erf": "float64", "Round": "int32",
}  # fmt: skip
NEEDS_MORE = {"StringNormalizer", "Optional", "SequenceInsert", "SequenceMap"}

SURVEY = """
import base64, json, sys
import onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level, options.intra_op_num_threads = 4, 1
refused = []
for key, model in json.load(open(sys.argv[1])):
    try:
        onnxruntime.InferenceSession(
            base64.b64decode(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        refused.append([key, str(error)])
print(json.dumps({"version": onnxruntime.__version__, "refused": refused}))
"""


def operators_at(opset):
    every = defs.get_all_schemas_with_history()
    names = {s.name for s in every if s.domain == "" and s.since_version <= opset}
    return {n for n in names if not defs.get_schema(n, opset).deprecated}


def expected_rows(version, table):
    return operators_at(table.opset[1]) - LACKING[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_operator_of_onnx_has_a_row(version):
    table = load_table("onnxruntime", version)
    assert set(table.operators) == expected_rows(version, table)
    assert table.unsupported == LACKING[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_deleted_row_is_noticed(version):
    table = load_table("onnxruntime", version)
    for op in table.operators:
        rows = {name: row for name, row in table.operators.items() if name != op}
        mutant = dataclasses.replace(table, operators=rows)
        assert set(mutant.operators) != expected_rows(version, table)
        row = table.operators[op]
        dtype = "float32" if row.types is None else min(row.types - {"string"}, default="string")
        model = one_op(op, dtype)
        assert "unlisted" in {finding.rule for finding in check_model(model, mutant)}, op
        assert "unlisted" not in {finding.rule for finding in check_model(model, table)}, op
    for op in table.unsupported:
        less = dataclasses.replace(table, unsupported=table.unsupported - {op})
        assert "unlisted" in {finding.rule for finding in check_model(one_op(op, "float32"), less)}


def survey_models(table):
    """A model of each row and type that a graph of one operator can be built for."""
    for op, row in table.operators.items():
        if row.types is None or op in NEEDS_MORE:
            continue
        for dtype in sorted(row.types):
            yield f"{op} {dtype}", _without_shapes(one_op(op, dtype, max(13, first_opset(op))))


def _without_shapes(made):
    """The types alone: the shapes of these graphs are made up."""
    model = ModelProto()
    model.CopyFrom(made)
    values = list(model.graph.input)
    for tensor in model.graph.initializer:
        values.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, None))
    for value in values:
        value.type.tensor_type.ClearField("shape")
    del model.graph.input[:]
    del model.graph.initializer[:]
    model.graph.input.extend(values)
    return model


@pytest.mark.parametrize("version", VERSIONS)
def test_the_installed_runtime_takes_every_type_of_the_table(version):
    """A newer runtime drops no kernel: what it refuses was never taken."""
    refused = []
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    for key, model in survey_models(load_table("onnxruntime", version)):
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
            refused.append(key)
        except Exception as error:
            print(key, error)  # attributes are made up: it has a kernel, and that refused them
    assert refused == []


def test_what_1_10_lacks():
    table = load_table("onnxruntime", "1.10")
    for op, types in REFUSED_1_10.items():
        if op == "GridSample":
            assert op not in table.operators  # opset 16
            continue
        for dtype in (types or "").split():
            rules = {finding.rule for finding in check_model(one_op(op, dtype), table)}
            assert "type" in rules, (op, dtype)


def test_ceilings_of_opset_and_ir():
    add = [Input([2]), Constant([1, 2], "float32")]
    table = load_table("onnxruntime", "1.10")
    for opset, ir, rules in ((15, 8, []), (16, 8, ["opset"]), (13, 9, ["ir"])):
        assert [f.rule for f in check_model(graph("Add", *add, opset=opset, ir=ir), table)] == rules
    model = graph("Add", *add, opset=15)
    assert [f.rule for f in check_model(model, table, opset_limit=13, ir_limit=6)] == [
        "opset",
        "ir",
    ]


def test_a_board_s_own_runtime_agrees_with_the_table(board_python, tmp_path):
    script = "import onnxruntime; print(onnxruntime.__version__)"
    installed = _run([board_python, "-c", script]).strip()
    version = "1.10" if installed.startswith("1.10.") else "1.16"
    models = survey_models(load_table("onnxruntime", version))
    document = [[k, base64.b64encode(m.SerializeToString()).decode()] for k, m in models]
    path = tmp_path / "models.json"
    path.write_text(json.dumps(document))
    answer = json.loads(_run([board_python, "-c", SURVEY, path]).splitlines()[-1])
    refused = [key for key, error in answer["refused"] if "NOT_IMPLEMENTED" in error]
    assert len(document) > 600 and refused == []


def _run(command: list[str | Path]) -> str:
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    ).stdout
