"""The operator table of TensorRT for RTX against its own parser and builder."""

import functools

import onnx
import pytest

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.fit import fit_to
from splitwatt.export.compat.tables import load_table
from tests.engines.tensorrt.rtx import need_rtx
from tests.export.compat.cases import CASES
from tests.export.compat.graphs import one_op

pytestmark = pytest.mark.long

TYPES = ("float32", "float16", "bfloat16", "int32", "int64", "bool")
# Operators whose plainest graph is refused for its made-up shapes, whatever their types are. The
# bundles' parts, which are built too, hold those that models use.
MADE_UP = """
    BatchNormalization Celu Concat ConstantOfShape Conv ConvTranspose DepthToSpace Einsum EyeLike
    GRU GatherElements Gemm GridSample GroupNormalization ImageScaler LRN LSTM Loop MatMul Mean
    MeanVarianceNormalization Mod OneHot Pad ParametricSoftplus RNN Range Reshape Resize ReverseSequence
    ScaledTanh Scan Scatter ScatterElements ScatterND Slice Upsample
"""
# Forms that ONNX itself does not allow, or that are refused for something else than what they test.
OTHERWISE = {"Loop, shape kept", "ReverseSequence, size not fixed"}


@functools.cache
def runtime():
    from splitwatt.engines.tensorrt.rtx import import_rtx

    return import_rtx()


def takes(model) -> bool:
    """Whether the parser takes a model and the builder builds it for SM 8.6."""
    from splitwatt.engines.tensorrt import rtx
    from splitwatt.engines.tensorrt.log import make_logger

    trt = runtime()
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    if not trt.OnnxParser(network, logger).parse(model.SerializeToString()):
        return False
    config = builder.create_builder_config()
    rtx.configure(trt, "8.6", config)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = [side if side > 0 else 4 for side in tensor.shape]
        if tensor.is_shape_tensor:
            values = [2] * (shape[0] if shape else 1)
            profile.set_shape_input(tensor.name, values, values, values)
        else:
            profile.set_shape(tensor.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config) is not None


def test_it_builds_every_operator_and_type_that_the_table_takes():
    need_rtx()
    table = load_table("tensorrt_rtx", "1.7")
    asked, refused = 0, []
    for op, row in table.operators.items():
        for dtype in TYPES:
            model = one_op(op, dtype)
            if op in MADE_UP.split() or dtype not in (row.types or ()) or check_model(model, table):
                continue
            asked += 1
            if not takes(model):
                refused.append((op, dtype))
    assert not refused, refused
    assert asked > 300


@pytest.mark.parametrize("name", CASES)
def test_it_builds_every_restricted_form_that_the_table_takes(name):
    need_rtx()
    model = CASES[name][0]
    if name not in OTHERWISE and not check_model(model, load_table("tensorrt_rtx", "1.7")):
        assert takes(model)


@pytest.mark.parametrize("version", ["8.5", "8.6", "10.1"])
@pytest.mark.parametrize(
    ("name", "part"), [("ssdlite320_mobilenet_v3_large", "model"), ("ladon_r50@20.48", "detector")]
)
def test_it_builds_detectors_as_each_version_gets_them(bundles, name, part, version):
    """Whole, with stand-ins for NonMaxSuppression, NonZero and RoiAlign, which it lacks."""
    need_rtx()
    from tests.engines.tensorrt.rtx_table import build_apart

    bundle = Bundle.open(str(bundles / name))
    model = onnx.load(bundle.part_path(part))
    (piece,) = fit_to(
        model, part, load_table("tensorrt", version), load_table("onnxruntime", "1.10")
    ).pieces
    told = build_apart(str(bundles / name), part, piece.model.SerializeToString())
    assert (told["parsed"], told["built"]) == ("yes", "yes") and int(told["stand_ins"]) > 0


def test_it_refuses_what_the_table_takes_from_tensorrt_s():
    """Every row that the table narrows is one that the runtime refuses, else it would cut for nothing."""
    need_rtx()
    narrow, base = load_table("tensorrt_rtx", "1.7"), load_table("tensorrt", "10.1")
    forms = [model for model, *_ in CASES.values()]
    for op in base.operators:
        if narrow.operators.get(op) == base.operators[op]:
            continue
        plain = [one_op(op, dtype) for dtype in TYPES if dtype in base.operators[op].types]
        own = [m for m in forms if any(node.op_type == op for node in m.graph.node)]
        lost = [m for m in plain + own if check_model(m, narrow) and not check_model(m, base)]
        assert lost and not any(takes(model) for model in lost), op
