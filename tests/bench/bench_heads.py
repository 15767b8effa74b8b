"""The server's parts of Ladon under onnxruntime: what is a product, what else, how near to the machine's peak.

int8 is a trial of the bench: bundles keep a server's parts in fp32.
"""

import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.cores import usable_cores
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part
from splitwatt.engines.photos import default_photos
from splitwatt.engines.verify.samples import write_manifest
from splitwatt.export.cli import export
from splitwatt.export.compat.macs import PRODUCTS
from splitwatt.export.tracing.photos import photos
from splitwatt.export.zoo import find
from tests.bench.measure import OUT, publish, side_by_side

MODEL = "ladon_r50@0.32"
SECONDS, PROFILED_RUNS, CALIBRATION = 6.0, 9, 3
# (channels, height, width) of 3x3 convolutions, as many out as in; the fastest counts as the peak.
PEAK_SHAPES = [(256, 20, 26), (256, 80, 104), (512, 28, 28)]
KINDS = ["products", "RoiAlign", "NonMaxSuppression", "other"]
Arrays = dict[str, np.ndarray]


def main() -> None:
    """Time, kinds of nodes and share of the peak of every part; then the same parts in int8."""
    folder = OUT / "bundles"
    if export(
        ["--model", MODEL, "--target", "cpu", "--weights", "random", "--bundles", str(folder)]
    ):
        sys.exit(1)
    bundle = Bundle.open(str(folder / "cpu" / MODEL))
    threads = usable_cores()
    feeds = photograph_feeds(bundle)
    peak = peak_gmacs(threads)
    parts = bundle.manifest.placed("server")
    quantised = OUT / "heads-int8"
    make_int8(bundle, quantised)
    other = Bundle.open(str(quantised))
    rows, figures = [], dict[str, Any](threads=threads, peak_gmac_per_s=peak)
    for part in parts:
        times = part_seconds(bundle, other, part, feeds, threads)
        kinds = kind_seconds(bundle.part_path(part.name), feeds, threads)
        rate = part.gmac / times["fp32"]
        figures[part.name] = {"seconds": times, "fp32_kinds_s": kinds, "gmac": part.gmac}
        rows.append([
            part.name, f"{part.gmac:.2f}", *(f"{1e3 * times[name]:.1f}" for name in times),
            *(f"{1e3 * kinds[kind]:.1f}" for kind in KINDS), f"{rate:.0f}",
            f"{100 * rate / peak:.0f} %", bf16_support(),
        ])  # fmt: skip
    total = {
        name: sum(figures[part.name]["seconds"][name] for part in parts)
        for name in ("fp32", "int8")
    }
    rows.append(["all", "", *(f"{1e3 * value:.1f}" for value in total.values()), *[""] * 7])
    publish(
        "heads",
        f"Ladon's server parts on {threads} threads, peak {peak:.0f} GMAC/s",
        ["part", "GMAC", "fp32 [ms]", "int8 [ms]", *(f"of fp32: {kind} [ms]" for kind in KINDS),
         "GMAC/s", "of the peak", "bf16"],
        rows,
        dict(figures, total_s=total),
    )  # fmt: skip
    agreement(quantised, Path(bundle.path))


def photograph_feeds(bundle: Bundle, at: int = 0) -> Arrays:
    """Every tensor that the parts take, of one packaged photograph; the latent is quantised."""
    photo = photos(find(MODEL)[0].preprocess)[at]
    tensors = {
        "image": photo.tensor,
        "input_size": np.array(photo.input_size, np.int64),
        "valid_size": np.array(photo.valid_size, np.int64),
    }
    for part in bundle.manifest.parts:
        with load_engine("cpu", bundle.part_path(part.name), None) as engine:
            tensors.update(engine.run({name: tensors[name] for name in engine.inputs}))
        if "latent" in tensors:
            tensors["latent"] = np.rint(tensors["latent"])
    return tensors


def peak_gmacs(threads: int) -> float:
    """The most billions of multiply-accumulates in a second that a convolution reaches here."""
    calls, macs = {}, {}
    rng = np.random.default_rng(0)
    for channels, height, width in PEAK_SHAPES:
        weight = rng.normal(size=(channels, channels, 3, 3)).astype(np.float32)
        image = rng.normal(size=(1, channels, height, width)).astype(np.float32)
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
            "peak",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, image.shape)],
            [numpy_helper.from_array(weight, "w")],
        )
        session = session_of(model_of(graph), threads)
        name = f"{channels}x{height}x{width}"
        calls[name] = lambda session=session, image=image: session.run(None, {"x": image})
        macs[name] = 9e-9 * channels**2 * height * width
    times = side_by_side(calls, SECONDS)
    return max(macs[name] / times[name] for name in times)


def part_seconds(
    bundle: Bundle, other: Bundle, part: Part, feeds: Arrays, threads: int
) -> dict[str, float]:
    """Median seconds of a part in fp32 and in int8."""
    given = {port.name: feeds[port.name] for port in part.inputs}
    one = session_of(bundle.part_path(part.name), threads)
    two = session_of(other.part_path(part.name), threads)
    return side_by_side(
        {"fp32": lambda: one.run(None, given), "int8": lambda: two.run(None, given)}, SECONDS
    )


def kind_seconds(path: str, feeds: Arrays, threads: int) -> dict[str, float]:
    """Seconds of a run by kind of node: the sum of the nodes' medians, by onnxruntime's profiler."""
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(path, threads, profile=f"{folder}/nodes")
        given = {port.name: feeds[port.name] for port in session.get_inputs()}
        for _ in range(PROFILED_RUNS):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text())
    took, operators = defaultdict(list), {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            took[event["name"]].append(1e-6 * event["dur"])
            operators[event["name"]] = event["args"]["op_name"].replace("Fused", "")
    kinds = dict.fromkeys(KINDS, 0.0)
    for name, seconds in took.items():
        operator = operators[name]
        kind = "products" if operator in PRODUCTS else operator if operator in KINDS else "other"
        kinds[kind] += statistics.median(seconds) * len(seconds) / PROFILED_RUNS
    return kinds


def make_int8(bundle: Bundle, folder: Path) -> None:
    """The bundle with its server's products in int8 as onnxruntime's own documentation says."""
    from onnxruntime import quantization

    class Photographs(quantization.CalibrationDataReader):  # type: ignore[misc]
        """The packaged photographs' tensors at a part's inputs."""

        def __init__(self, part: Part) -> None:
            self._left: Iterator[Any] = (
                {port.name: feeds[port.name] for port in part.inputs} for feeds in photographs
            )

        def get_next(self) -> Any:
            """The next photograph's tensors, None after the last."""
            return next(self._left, None)

    logging.disable(logging.WARNING)  # advice to clean the graph, which is clean
    photographs = [photograph_feeds(bundle, at) for at in range(CALIBRATION)]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle.path, folder)
    parts = []
    for part in bundle.manifest.parts:
        if part.placement == "server":
            path = folder / part.file
            quantization.quantize_static(
                bundle.part_path(part.name), str(path), Photographs(part),
                op_types_to_quantize=sorted(PRODUCTS), per_channel=True,
            )  # fmt: skip
            part = part._replace(bytes=path.stat().st_size, sha256=sha256_file(str(path)))
        parts.append(part)
    write_manifest(str(folder), bundle.manifest._replace(parts=parts))


def agreement(one: Path, other: Path) -> None:
    """What `splitwatt evaluate --against` says of int8 and fp32 on the packaged photographs."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "splitwatt", "evaluate", str(one), "--against", str(other),
             "--data", f"images:{Path(default_photos()[0]).parent}", "--out", folder],
            check=True,
        )  # fmt: skip


def bf16_support() -> str:
    """Whether onnxruntime's CPU provider multiplies matrices of bfloat16 here."""
    ports = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, [4, 4]) for name in "abc"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    try:
        session_of(model_of(helper.make_graph([node], "bf16", ports[:2], ports[2:])), 1)
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        return "no operators"
    return "has operators"


def model_of(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def session_of(model: Any, threads: int, profile: str = "") -> ort.InferenceSession:
    """A session as the backend `cpu` makes it, with the profiler where `profile` begins a path."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
