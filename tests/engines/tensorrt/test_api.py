"""The TensorRT backend uses names that TensorRT has, and moves the right bytes."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from splitwatt.device_configs.errors import EngineError, TargetError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.pipeline import LocalPipeline
from splitwatt.engines.tensorrt import engine as backend
from splitwatt.engines.tensorrt.building import build_part as work
from splitwatt.engines.tensorrt.building.build import left_to_onnxruntime
from splitwatt.engines.tensorrt.building.builder import RefusedError
from splitwatt.engines.tensorrt.log import explain
from splitwatt.engines.verify.verify import verify
from tests.board.tiny import read_document, tiny_bundle, write_document
from tests.conftest import ROOT
from tests.engines.tensorrt.stand_in import DOCUMENT, TAGS, Driver, StandIn

OPTIONS = work.Options()
# Tag -> a target whose bundles such a machine takes.
TARGETS = {"8.2.1": "nano", "8.5.2": "xavier_nx", "v8.6.1": "xavier_nx", "v10.3.0": "orin_nano",
           "v11.1": "orin_nano"}  # fmt: skip
SM = {"nano": (5, 3), "xavier_nx": (7, 2), "orin_nano": (8, 7)}
ADAPTER = ["engine.py", "log.py", "runners.py", "building/builder.py",
           "plugin.py"]  # fmt: skip


def bundle_for(folder, target, split=True):
    path = tiny_bundle(folder, split, photos=1)
    document = read_document(path)
    document["target"] = target
    document["server_target"] = target if split else None
    for part in document["parts"]:
        part["target"] = target
        part["runtime"] = "tensorrt"
    write_document(path, document)
    return Bundle.open(path)


@pytest.fixture
def here(monkeypatch):
    """A machine with the TensorRT of a tag: (stand-in, driver, module)."""

    def make(tag, sm=None, **said):
        stand_in, driver = StandIn(tag, **said), Driver(sm or SM[TARGETS[tag]])
        module = stand_in.module()
        stand_in.room = driver.sizes.__getitem__
        driver.alive = stand_in.alive
        monkeypatch.setattr(backend, "import_tensorrt", lambda: (module, driver))
        return stand_in, driver, module

    return make


@pytest.mark.parametrize("tag", TAGS)
def test_every_name_that_is_used_exists_at_the_tag(tag, here, tmp_path):
    stand_in, driver, module = here(tag)
    bundle = bundle_for(tmp_path / "b", TARGETS[tag])
    for part in bundle.manifest.parts:
        if tag == "8.2.1" and part.name == "detector":  # outputs that depend on values: cut there
            work.place_on_cpu(bundle, part, "after the cut")
        else:
            work.build_part(module, driver, bundle, part, OPTIONS)
    checks = list(verify(bundle, "tensorrt"))
    answers = [check for check in checks if not check.name.startswith("range coder")]
    assert len(answers) == 4 and all(check.passed for check in checks), checks
    assert stand_in.recorder.used <= {k for k, tags in DOCUMENT["names"].items() if tag in tags}
    assert len(stand_in.recorder.used) > 30
    assert driver.live == 0 and driver.pushed == 0, "memory or a context was left"


def test_every_listed_name_is_used_and_exists_somewhere():
    text = "".join((ROOT / "engines" / "tensorrt" / name).read_text() for name in ADAPTER)
    attributes = {
        node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)
    }
    defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    strings = {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)}
    text += (ROOT / "engines" / "tensorrt" / "versions.py").read_text()
    strings |= {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)}
    for key, tags in DOCUMENT["names"].items():
        assert tags, f"{key} is at no tag"
        assert key.split(".", 1)[1] in attributes | defined | strings, f"{key} is not used"


# The adapter's variables and fields that hold TensorRT's objects -> the class of each.
OWNERS = {
    "trt": "module", "builder": "Builder", "network": "INetworkDefinition", "tensor": "ITensor",
    "config": "IBuilderConfig", "parser": "OnnxParser", "profile": "IOptimizationProfile",
    "registry": "IPluginRegistry", "_runtime": "Runtime", "_engine": "ICudaEngine",
    "_context": "IExecutionContext",
}  # fmt: skip


def test_every_attribute_of_an_object_of_tensorrt_is_a_listed_name():
    listed, seen = set(DOCUMENT["names"]), set()
    for name in ADAPTER:
        for node in ast.walk(ast.parse((ROOT / "engines" / "tensorrt" / name).read_text())):
            if isinstance(node, ast.Attribute):
                holder = getattr(node.value, "id", getattr(node.value, "attr", ""))
                if holder in OWNERS:
                    seen.add(f"{OWNERS[holder]}.{node.attr}")
    seen.discard("module.__name__")  # Python's own, of every module
    assert seen <= listed, sorted(seen - listed)
    assert {key.split(".")[0] for key in seen} == set(OWNERS.values())


@pytest.mark.skipif(
    "TENSORRT_SOURCE" not in os.environ,
    reason="TENSORRT_SOURCE names no clone of github.com/NVIDIA/TensorRT",
)
def test_the_names_are_as_tensorrt_s_own_sources_have_them():
    script = Path(__file__).with_name("make_tensorrt_names.py")
    subprocess.run([sys.executable, script, os.environ["TENSORRT_SOURCE"], "--check"], check=True)


@pytest.mark.parametrize("tag", TAGS)
def test_shapes_may_change_between_runs_and_results_are_copies(tag, here, tmp_path):
    _, driver, module = here(tag)
    bundle = bundle_for(tmp_path / "b", TARGETS[tag])
    work.build_part(module, driver, bundle, bundle.part("encoder"), OPTIONS)
    path = bundle.part_path("encoder")
    rng = np.random.RandomState(3)
    with load_engine("tensorrt", path) as engine, load_engine("cpu", path) as due:
        assert engine.device_s is None
        kept = []
        for size in ((416, 320), (192, 416), (416, 416)):
            tensor = rng.randn(1, 3, *size).astype(np.float32)
            kept.append(
                (engine.run({"image": tensor})["latent"], due.run({"image": tensor})["latent"])
            )
        for found, expected in kept:
            assert np.array_equal(found, expected)
        assert engine.device_s == 0.0025
        grown = driver.live
        engine.run({"image": tensor})
        assert driver.live == grown, "an inference allocated memory"
        with pytest.raises(EngineError) as error:
            engine.run({"image": np.zeros((1, 3, 32, 416), np.float32)})
        assert "outside what the engine was built for" in str(error.value)
        assert "--aspect" in str(error.value)
    assert driver.live == 0


def test_int64_that_does_not_fit_is_an_error(here, tmp_path):
    _, driver, module = here("8.2.1")
    bundle = bundle_for(tmp_path / "b", "nano")
    part = bundle.part("segmenter")
    work.build_part(module, driver, bundle, part, OPTIONS)
    with load_engine("tensorrt", bundle.part_path("segmenter")) as engine:
        largest = engine.record.profile["f4"][2]
        feeds = {"f4": np.zeros(largest, np.float32), "input_size": np.array([1 << 40, 2])}
        with pytest.raises(EngineError, match="does not fit int32"):
            engine.run(feeds)


def test_a_build_is_kept_until_something_changes(here, tmp_path):
    stand_in, driver, module = here("v10.3.0")
    bundle = bundle_for(tmp_path / "b", "orin_nano", split=False)
    part = bundle.part("model")
    first = work.build_part(module, driver, bundle, part, OPTIONS)
    assert work.build_part(module, driver, bundle, part, OPTIONS) == first
    assert len(stand_in.built) == 1
    fp16 = work.build_part(module, driver, bundle, part, OPTIONS._replace(precision="fp16"))
    assert fp16 != first and stand_in.built[1] == ["-TF32", "FP16"]
    work.build_part(module, driver, bundle, part, OPTIONS._replace(again=True))
    assert len(stand_in.built) == 3
    engine = os.path.join(os.path.dirname(first), json.loads(Path(first).read_text())["engine"])
    with open(engine, "ab") as stream:
        stream.write(b"x")
    work.build_part(module, driver, bundle, part, OPTIONS)
    assert len(stand_in.built) == 4, "a damaged engine was kept"
    folder = os.listdir(os.path.dirname(first))
    assert "timing-trt10.3.0-sm87.cache" in folder
    assert not [name for name in folder if name.startswith(".")]


def test_the_timing_cache_is_used_again_and_dropped_when_foreign(here, tmp_path):
    _, driver, module = here("8.5.2")
    bundle = bundle_for(tmp_path / "b", "xavier_nx", split=False)
    part = bundle.part("model")
    path = os.path.join(bundle.path, "engines", "timing-trt8.5.2-sm72.cache")
    again = OPTIONS._replace(again=True)
    for due in (b"+", b"++"):
        work.build_part(module, driver, bundle, part, again)
        assert Path(path).read_bytes() == due
    with open(path, "wb") as stream:
        stream.write(b"of another machine")
    work.build_part(module, driver, bundle, part, again)
    assert Path(path).read_bytes() == b"+"


def test_a_refused_part_falls_back_only_when_asked_to_and_is_recorded(here, tmp_path):
    _, driver, module = here("8.2.1", refuse="No importer registered for op: RoiAlign")
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    part, path = bundle.part("model"), bundle.part_path("model")
    with pytest.raises(RefusedError) as error:
        work.build_part(module, driver, bundle, part, OPTIONS)
    assert "--fall-back" in str(error.value)
    with pytest.raises(EngineError, match="was not built"):
        load_engine("tensorrt", path)
    record = work.build_part(module, driver, bundle, part, OPTIONS._replace(fall_back=True))
    assert json.loads(Path(record).read_text())["rule"] == "refused"
    with load_engine("tensorrt", path) as engine:
        assert "refused" in engine.fallback and "knows an operator neither" in engine.fallback


@pytest.mark.parametrize("precision, said", [("fp16", "fp16 and not fp32"), (None, "fp32")])
def test_a_run_is_told_in_which_precision_its_engines_were_built(here, tmp_path, precision, said):
    _, driver, module = here("8.2.1")
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    options = OPTIONS._replace(precision=precision)
    work.build_part(module, driver, bundle, bundle.part("model"), options)
    with LocalPipeline(bundle, "tensorrt") as pipeline:
        assert pipeline.built == ["model: tensorrt 8.2.1, " + said]


def test_a_bundle_that_was_cut_runs_on_both_runtimes(here, cut_bundles):
    """INT64 is INT32 on TensorRT 8.2; what crosses the cut arrives, and the answer is the export's."""
    _, driver, module = here("8.2.1")
    bundle = Bundle.open(str(cut_bundles / "nano" / "ssdlite320_mobilenet_v3_large"))
    try:
        for part in bundle.manifest.parts:
            reason = left_to_onnxruntime(part)
            if reason:
                work.place_on_cpu(bundle, part, reason)
            else:
                work.build_part(module, driver, bundle, part, OPTIONS)
        checks = list(verify(bundle, "tensorrt"))
        assert len(checks) == 2 and all(check.passed for check in checks), checks
        crossing = bundle.part("model.2").inputs
        assert [port.dtype for port in crossing] == ["float32", "float32", "int32"]
        record = json.loads(
            next((Path(bundle.path) / "engines").glob("model.2-*.json")).read_text()
        )
        assert record["rule"] == "placed" and "after the cut" in record["reason"]
    finally:
        shutil.rmtree(Path(bundle.path) / "engines", ignore_errors=True)


def test_what_the_export_placed_after_a_cut_runs_in_onnxruntime_on_every_machine(here, tmp_path):
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    work.place_on_cpu(bundle, bundle.part("model"), "after the cut")
    for tag in TAGS:
        here(tag)
        with load_engine("tensorrt", bundle.part_path("model")) as engine:
            assert engine.fallback == "placed: after the cut"


@pytest.mark.parametrize(
    "tag, sm, words",
    [
        ("v8.6.1", (7, 2), ["for nano (SM 5.3)", "Stand-in", "SM 7.2", "--target", "xavier_nx"]),
        ("8.5.2", (8, 6), ["SM 8.6", "laptop"]),
    ],
)
def test_a_bundle_for_another_board_is_refused(tag, sm, words, here, tmp_path):
    _, driver, module = here(tag, sm)
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    with pytest.raises(TargetError) as error:
        work.build_part(module, driver, bundle, bundle.part("model"), OPTIONS)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_engine_of_another_machine_or_tensorrt_says_so(here, tmp_path):
    _, driver, module = here("8.2.1")
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    path = bundle.part_path("model")
    record = work.build_part(module, driver, bundle, bundle.part("model"), OPTIONS)
    here("8.2.1", (7, 2))
    with pytest.raises(EngineError) as error:
        load_engine("tensorrt", path)
    assert "built for SM 5.3" in str(error.value) and "SM 7.2" in str(error.value)
    here("8.5.2", (5, 3))
    with pytest.raises(EngineError) as error:
        load_engine("tensorrt", path)
    assert "TensorRT 8.2.1" in str(error.value) and "8.5.2" in str(error.value)
    here("8.2.1")
    os.unlink(record.replace(".json", ".engine"))
    with pytest.raises(EngineError, match="is missing"):
        load_engine("tensorrt", path)


def test_an_engine_that_tensorrt_cannot_load_says_why_and_leaves_nothing(here, tmp_path):
    _, driver, module = here("8.5.2")
    bundle = bundle_for(tmp_path / "b", "xavier_nx", split=False)
    record = Path(work.build_part(module, driver, bundle, bundle.part("model"), OPTIONS))
    document = json.loads(record.read_text())
    record.with_suffix(".engine").write_bytes(b"no plan")
    document["engine_sha256"] = hashlib.sha256(b"no plan").hexdigest()
    record.write_text(json.dumps(document))
    with pytest.raises(EngineError, match="is of another TensorRT; run splitwatt build again"):
        load_engine("tensorrt", bundle.part_path("model"))
    assert driver.live == 0 and driver.pushed == 0


@pytest.mark.parametrize(
    "said, why",
    [
        ("Cuda failure: 2", "there is not enough memory"),
        ("Cuda failure: 209\nno kernel image is available", "Cuda failure: 209 no kernel image is available"),
    ],
)  # fmt: skip
def test_the_number_of_an_error_of_cuda_is_read_whole(said, why):
    assert explain([said])[0] == why


def test_running_out_of_memory_is_one_sentence_and_leaves_nothing(here, tmp_path):
    _, driver, module = here(
        "8.2.1", fail="[defaultAllocator.cpp::allocate::29] CUDA out of memory"
    )
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    with pytest.raises(EngineError) as error:
        work.build_part(module, driver, bundle, bundle.part("model"), OPTIONS)
    assert "not enough memory" in str(error.value) and "swap" in str(error.value)
    assert not (tmp_path / "b" / "engines").exists()


@pytest.mark.parametrize(
    "said, falls_back",
    [
        ("10: Could not find any implementation for node {ForeignNode[NonMaxSuppression_9]}.", True),
        ("Node NonMaxSuppression_9 has no runners that implement it", True),
        ("Could not find any implementation for node Conv_1 due to insufficient workspace: "
         "out of memory", False),
        # The words of TensorRT 8.4 and later, and of earlier ones.
        ("4: [optimizer.cpp::computeCosts::3710] Error Code 4: Internal Error (Could not find any "
         "implementation for node {ForeignNode[853...Softmax_136]} due to insufficient workspace. See "
         "verbose log for requested sizes.)", False),
        ("Internal error: could not find any implementation for node Conv_1, try increasing the "
         "workspace size with IBuilder::setMaxWorkspaceSize()", False),
        ("Internal error: Assertion failed", False),
    ],
)  # fmt: skip
def test_a_part_that_the_builder_refuses_falls_back_but_not_for_memory(
    here, tmp_path, said, falls_back
):
    _, driver, module = here("8.5.2", fail=said)
    bundle = bundle_for(tmp_path / "b", "xavier_nx", split=False)
    with pytest.raises(EngineError) as error:
        work.build_part(module, driver, bundle, bundle.part("model"), OPTIONS)
    assert isinstance(error.value, RefusedError) == falls_back
    assert ("--fall-back" in str(error.value)) == falls_back
    options = OPTIONS._replace(fall_back=True)
    if not falls_back:
        with pytest.raises(EngineError):
            work.build_part(module, driver, bundle, bundle.part("model"), options)
        return
    work.build_part(module, driver, bundle, bundle.part("model"), options)
    with load_engine("tensorrt", bundle.part_path("model")) as engine:
        assert engine.fallback.startswith("refused: ") and "no kernel" in engine.fallback


def test_no_room_for_buffers_is_one_sentence(here, tmp_path):
    _, driver, module = here("8.2.1")
    bundle = bundle_for(tmp_path / "b", "nano", split=False)
    work.build_part(module, driver, bundle, bundle.part("model"), OPTIONS)
    driver.limit = 1000
    image = np.zeros((1, 3, 224, 224), np.float32)
    engine = load_engine("tensorrt", bundle.part_path("model"))
    with engine, pytest.raises(EngineError, match="no memory is left for a buffer"):
        engine.run({"image": image})
    assert driver.live == 0 and driver.pushed == 0
