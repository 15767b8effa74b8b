"""What the TensorRT backend decides without TensorRT: generations, keys, ranges, sentences."""

import json
import os
import stat
import sys
import types

import numpy as np
import pytest

from splitwatt.device_configs.errors import EngineError, TargetError
from splitwatt.device_configs.targets import load_target
from splitwatt.engines.backends import load_engine, ort_cuda, ort_tensorrt
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Port, Preprocess, Resize
from splitwatt.engines.tensorrt import plugin, records, shapes, versions
from splitwatt.engines.tensorrt.building import build, running
from splitwatt.engines.tensorrt.building import native as build_native
from splitwatt.engines.tensorrt.building.build_part import place_on_cpu, workspace_mb
from splitwatt.engines.tensorrt.engine import import_package
from splitwatt.engines.tensorrt.log import KEEP, explain, make_logger
from splitwatt.engines.tensorrt.runners import as_dtype, numpy_dtype
from splitwatt.engines.tensorrt.versions import Machine
from tests.board.tiny import DATA, tiny_bundle

NANO = Machine("8.2.1.8", "5.3", "Tegra X1")
PROFILE = {"image": ((1, 3, 192, 192), (1, 3, 320, 416), (1, 3, 416, 416))}


@pytest.mark.parametrize(
    "version, due",
    [("8.2.1.8", "bindings"), ("8.4.3", "bindings"), ("8.5.2.2", "tensors"), ("8.6.1", "tensors"),
     ("9.3.0", "tensors"), ("10.3.0", "typed"), ("11.1.0.3", "typed"), ("10.0.0b6", "typed")],
)  # fmt: skip
def test_the_generation_follows_from_the_version(version, due):
    assert versions.generation(version) == due


@pytest.mark.parametrize("version", ["8.0.1.6", "7.1.3", "8.1.0"])
def test_an_old_tensorrt_is_refused_with_the_jetpack_to_install(version):
    with pytest.raises(EngineError) as error:
        versions.generation(version)
    assert version in str(error.value) and "4.6.1" in str(error.value)
    assert ("4.6.0" in str(error.value)) == (version == "8.0.1.6")


def test_a_version_that_is_none():
    with pytest.raises(EngineError):
        versions.parse_version("unknown")
    assert versions.short_version("10.3") == "10.3.0"


@pytest.mark.parametrize(
    "target, machine, words",
    [
        ("nano", Machine("8.5.2", "7.2", "NX"), ["nano (SM 5.3)", "(NX) has SM 7.2", "xavier_nx"]),
        ("xavier_nx", Machine("8.2.1", "7.2"), ["TensorRT 8.5", "8.2.1", "JetPack 5.1.6"]),
        ("cpu", NANO, ["'cpu'", "no TensorRT", "nano"]),
        ("orin_nano", Machine("8.6.1", "8.7"), ["10.1", "8.6.1"]),
    ],
)  # fmt: skip
def test_the_wrong_board(target, machine, words):
    with pytest.raises(TargetError) as error:
        versions.check_target(load_target(target), machine)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "target, machine",
    [("nano", NANO), ("xavier_nx", Machine("8.5.2", "7.2")), ("server", Machine("10.3", "9.0")),
     ("orin_nano", Machine("10.3.0", "8.7"))],
)  # fmt: skip
def test_the_right_board(target, machine):
    versions.check_target(load_target(target), machine)


def test_precisions():
    nano, xavier = load_target("nano"), load_target("xavier_nx")
    versions.check_precision("fp16", nano)
    with pytest.raises(TargetError) as error:
        versions.check_precision("int8", nano)
    assert "no fast int8" in str(error.value) and "fp16" in str(error.value)
    versions.check_precision("int8", xavier)
    with pytest.raises(TargetError):
        versions.check_precision("fp8", xavier)
    assert versions.flags_for("fp32", "8.2.1", "fp32") == []
    assert versions.flags_for("fp16", "10.3", "fp32") == ["FP16"]
    assert versions.flags_for("int8", "8.5.2", "int8") == ["INT8", "FP16"]
    assert versions.flags_for("fp16", "11.1", "fp16") == []
    assert versions.flags_for("fp16", "8.2.1", "fp16") == ["FP16"]
    for precision, version, exported in (
        ("fp16", "11.1", "fp32"), ("int8", "8.5.2", "fp32"), ("fp32", "8.5.2", "fp16"),
    ):  # fmt: skip
        with pytest.raises(EngineError) as error:
            versions.flags_for(precision, version, exported)
        assert "exported in " + exported in str(error.value)
        assert "--precision " + precision in str(error.value)


def test_the_key_differs_whenever_the_engine_would():
    base = ("0" * 64, NANO, "fp16", "1", PROFILE)
    key = records.cache_key(*base)
    assert len(key) == 16 and key == records.cache_key(*base)
    wider = {"image": (PROFILE["image"][0], PROFILE["image"][1], (1, 3, 512, 512))}
    others = [
        ("1" * 64,) + base[1:],
        base[:1] + (NANO._replace(tensorrt="8.2.3"),) + base[2:],
        base[:1] + (NANO._replace(sm="6.2"),) + base[2:],
        base[:2] + ("fp32",) + base[3:],
        base[:3] + (None, PROFILE),
        base[:4] + (wider,),
    ]
    assert len({records.cache_key(*other) for other in others} | {key}) == len(others) + 1
    # The GPU's name and the version's fourth number change nothing.
    assert records.cache_key(base[0], Machine("8.2.1", "5.3"), *base[2:]) == key
    assert records.stem("encoder", NANO, "fp16", key) == "encoder-trt8.2.1-sm53-fp16-" + key


def record(**changed):
    base = records.Record(
        part="encoder", onnx_sha256="a" * 64, runs_on="tensorrt", rule=None, reason="",
        tensorrt="8.2.1", sm="5.3", precision="fp16", plugin=None, profile=PROFILE, inputs=(),
        outputs=(), engine="e.engine", engine_sha256="0" * 64, build_s=1.5, made_at="2026-01-01",
    )  # fmt: skip
    return base._replace(**changed)


def test_records_survive_their_file(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", photos=1))
    encoder = bundle.part("encoder")
    kept = record(inputs=tuple(encoder.inputs), outputs=tuple(encoder.outputs))
    path = records.write_record(str(tmp_path), "x", kept)
    assert records.read_records(str(tmp_path)) == [kept]
    assert records.read_records(str(tmp_path / "none")) == []
    assert not records.is_whole(path)  # its engine is not there
    for text in ("{", "[]", '{"format": 2}', '{"format": 1, "part": "x"}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(EngineError) as error:
            records.read_records(str(tmp_path))
        assert "x.json" in str(error.value) and "splitwatt build" in str(error.value)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"runs_on": "gpu"}, "runs_on"),
        ({"runs_on": "cpu"}, "rule"),
        ({"rule": "placed"}, "rule"),  # it would serve every GPU
        ({"rule": "because", "runs_on": "cpu"}, "rule"),
        ({"profile": [1]}, "profile"),
        ({"profile": {"image": [[1], [1]]}}, "profile.image"),
        ({"inputs": [{"name": "a", "dtype": "float32", "shape": "xyz"}]}, "inputs"),
        ({"outputs": {"a": 1}}, "outputs"),
        ({"build_s": "x"}, "build_s"),
        ({"precision": "fp64"}, "precision"),
        ({"runtime": "cuda"}, "runtime"),
        ({"more": 1}, "more"),
    ],
)
def test_a_record_that_was_edited_is_refused_by_its_key(tmp_path, change, words):
    path = records.write_record(str(tmp_path), "x", record())
    with open(path) as stream:
        document = dict(json.load(stream), **change)
    with open(path, "w") as stream:
        json.dump(document, stream)
    with pytest.raises(EngineError, match="x.json: .*'%s" % words):
        records.read_records(str(tmp_path))


@pytest.mark.parametrize(
    "words",
    [["--aspect", "nan"], ["--aspect", "0"], ["--workspace-mb", "0"], ["--workspace-mb", "1e3"]],
)
def test_build_refuses_numbers_that_nobody_means(words, capsys):
    from splitwatt.engines.cli import build as command

    with pytest.raises(SystemExit) as stopped:
        command(["--no-engines"] + words)
    assert stopped.value.code == 2 and "must be" in capsys.readouterr().err


def test_the_record_that_fits_is_chosen():
    kept = [
        record(sm="7.2", tensorrt="8.5.2"),
        record(precision="fp32", made_at="2026-01-02"),
        record(made_at="2026-01-03"),
        record(runs_on="cpu", rule="refused", made_at="2026-02-01"),
    ]
    assert records.choose(kept, "b/encoder.onnx", "a" * 64, NANO) is kept[2]
    placed = record(runs_on="cpu", rule="placed", sm="0.0", tensorrt="0.0.0")
    assert records.choose([placed], "b/encoder.onnx", "a" * 64, NANO) is placed
    refused_elsewhere = record(runs_on="cpu", rule="refused", sm="7.2")
    with pytest.raises(EngineError):
        records.choose([refused_elsewhere], "b/encoder.onnx", "a" * 64, NANO)


@pytest.mark.parametrize(
    "kept, words",
    [
        ([], ["was not built", "splitwatt build b"]),
        ([record(onnx_sha256="b" * 64)], ["another file of that name"]),
        ([record(sm="7.2")], ["built for SM 7.2", "(Tegra X1) has SM 5.3"]),
        ([record(tensorrt="8.5.2")], ["TensorRT 8.5.2", "8.2.1"]),
    ],
)
def test_no_record_fits(kept, words):
    with pytest.raises(EngineError) as error:
        records.choose(kept, "b/encoder.onnx", "a" * 64, NANO)
    assert all(word in str(error.value) for word in words), str(error.value)


def preprocess(size, max_size=None, crop=None, multiple=None):
    rule = "exact" if isinstance(size, tuple) else "shorter"
    resize = Resize(rule, size, max_size, "bilinear")
    return Preprocess(resize, crop, multiple, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    "spec, due",
    [
        (preprocess(256, crop=(224, 224)), ((224, 224), (224, 224))),
        (preprocess((300, 300)), ((300, 300), (300, 300))),
        (preprocess(320, 640), ((266, 266), (640, 640))),
        (preprocess(416, 416, multiple=32), ((192, 192), (416, 416))),
        (preprocess(800, 1333, multiple=32), ((576, 576), (1344, 1344))),
        (preprocess(416), ((416, 416), (999, 999))),
    ],
)
def test_the_range_of_images_follows_from_preprocessing(spec, due):
    assert shapes.image_range(spec) == due


def test_every_image_within_the_aspect_ratio_is_within_the_range():
    from splitwatt.engines.pipeline.preprocess import preprocess as run

    rng = np.random.RandomState(4)
    for spec in (preprocess(416, 416, multiple=32), preprocess(320, 640), preprocess(416)):
        low, high = shapes.image_range(spec, 2.0)
        for _ in range(12):
            longer = rng.randint(300, 1200)
            shorter = rng.randint(-(-longer // 2), longer + 1)
            size = (longer, shorter) if rng.rand() < 0.5 else (shorter, longer)
            tensor = run(np.zeros(size + (3,), np.uint8), spec).tensor
            assert all(a <= b <= c for a, b, c in zip(low, tensor.shape[2:], high)), (size, spec)


def test_a_stranger_s_largest_shapes_need_not_have_a_length():
    port = Port("x", "float32", (None, 4))
    assert shapes._up_to(((1, 4), (2, 4), (3, 4)), port, (9, None)) == ((1, 4), (9, 4), (9, 4))
    assert shapes._up_to(((1, 4), (2, 4), (3, 4)), port, ()) == ((), (), ())


def test_profiles_of_later_parts_are_what_onnxruntime_gives(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", photos=1))
    image = shapes.profile_of(bundle, bundle.part("encoder"))["image"]
    assert image == ((1, 3, 192, 192), (1, 3, 320, 416), (1, 3, 416, 416))
    found = shapes.profile_of(bundle, bundle.part("segmenter"))
    assert found["input_size"] == ((192, 192), (320, 416), (416, 416))
    encoder = load_engine("cpu", bundle.part_path("encoder"))
    body = load_engine("cpu", bundle.part_path("body"))
    with encoder, body:
        for index, shape in enumerate(image):
            latent = encoder.run({"image": np.zeros(shape, np.float32)})["latent"]
            assert found["f4"][index] == body.run({"latent": latent})["f4"].shape


def test_types():
    assert numpy_dtype("DataType.HALF", "x") == np.float16
    with pytest.raises(EngineError):
        numpy_dtype("DataType.FP8", "x")
    assert as_dtype(np.array([3], np.int64), np.int32, "x").dtype == np.int32
    with pytest.raises(EngineError):
        as_dtype(np.array([1 << 33]), np.int32, "size")


@pytest.mark.parametrize(
    "message, words",
    [
        ("Requested amount of GPU memory could not be allocated. Out of memory", "memory"),
        ("6: The engine plan file is not compatible with this version of TensorRT, expecting "
         "library version 8.2.1 got 8.0.1, please rebuild. version tag does not match", "another TensorRT"),
        ("6: The engine plan file is generated on an incompatible device, expecting compute 7.2 "
         "got compute 5.3, please rebuild.", "another GPU"),
        ("3: getPluginCreator could not find plugin: SplitRangeEncode version: 1", "plugin"),
        ("In node 3 (parse): No importer registered for op: Foo", "operator"),
    ],
)  # fmt: skip
def test_known_messages_become_sentences(message, words):
    what, remedy = explain(["something else", message])
    assert words in what and remedy


def test_the_log_keeps_what_matters():
    logger = make_logger(types.SimpleNamespace(ILogger=type("ILogger", (), {})))
    logger.log(3, "information")
    logger.log(2, "a warning")
    logger.log(1, "an error: with a colon")
    logger.log(0, "internal")
    assert logger.errors == ["an error: with a colon", "internal"]
    assert explain([]) == ("TensorRT does not say why", "")
    assert len(explain(["x" * 500])[0]) == 200
    for _ in range(100):
        logger.log(1, "again")
    assert len(logger.errors) == KEEP


def test_plugins(tmp_path):
    assert plugin.operators_in(b"..SplitRangeEncode..") == ("SplitRangeEncode",)
    with open(os.path.join(DATA, "tiny_encoder.onnx"), "rb") as stream:
        assert plugin.operators_in(stream.read()) == ()
    both = [("SplitRangeEncode", "1"), ("SplitRangeDecode", "1"), ("Other", "2")]
    assert plugin.registered_version(both, "p.so") == "1"
    with pytest.raises(EngineError, match="does not have the operator SplitRangeDecode"):
        plugin.registered_version(both[:1], "p.so")
    with pytest.raises(EngineError, match="two versions"):
        plugin.registered_version(both + [("SplitRangeEncode", "2")], "p.so")
    plugin.check_version(None, None, "e")
    plugin.check_version("1", "1", "e")
    for found in (None, "2"):
        with pytest.raises(EngineError, match="version 1 of the plugin library"):
            plugin.check_version("1", found, "e")
    with pytest.raises(EngineError) as error:
        plugin.load_plugin(None, None, str(tmp_path / "p.so"))
    # `splitwatt build` alone compiles it only where it sees a GPU, and keeps what looks current.
    assert "p.so is missing" in str(error.value) and "build BUNDLE --cuda" in str(error.value)


def test_a_library_of_another_machine_does_not_load(tmp_path):
    class Trt:
        __version__ = "8.2.1"

    (tmp_path / "p.so").write_bytes(b"no library")
    with pytest.raises(EngineError, match="does not load with TensorRT 8.2.1: .* --cuda --again"):
        plugin.load_plugin(Trt, None, str(tmp_path / "p.so"))


def test_a_package_whose_libraries_do_not_load_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "no_libraries.py").write_text("import ctypes\nctypes.CDLL('libno_such.so.12')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        EngineError, match="'tensorrt' needs the package no_libraries, .*libno_such"
    ):
        import_package("no_libraries", "tensorrt", "install it")


def test_workspaces():
    assert workspace_mb(None, load_target("nano")) == 256
    assert workspace_mb(64, load_target("nano")) == 64


@pytest.mark.parametrize(
    "code, said, words",
    [
        (-9, "", ["killed", "out of memory", "swap"]),
        (137, "", ["out of memory"]),
        (-11, "", ["signal 11"]),
        (1, "warning\nsplitwatt: the disk is full; free some\n", ["the disk is full; free some"]),
        (1, "Traceback\nKeyError: 'x'\n", ["building encoder failed: KeyError: 'x'"]),
        (3, "", ["status 3"]),
    ],
)
def test_how_a_child_ended(code, said, words):
    sentence = str(running.ending("encoder", code, said))
    assert all(word in sentence for word in words), sentence
    assert not sentence.startswith("splitwatt: ")


def test_what_a_dead_build_leaves_is_removed(tmp_path):
    for name in (".encoder-trt8-x.engineab12", ".timing-trt8.cachexy", "encoder-trt8-x.engine",
                 ".body-y"):  # fmt: skip
        (tmp_path / name).write_bytes(b"x")
    assert len(build.remove_partial(str(tmp_path), "encoder")) == 2
    assert sorted(os.listdir(str(tmp_path))) == [".body-y", "encoder-trt8-x.engine"]


def test_lines_for_people():
    assert running.progress(10, None) == "10 s"
    assert running.progress(10, 30) == "10 s, about 20 s left"
    assert running.progress(40, 30) == "40 s"
    assert build.memory_warning(4000, 256) == ""
    assert "add swap" in build.memory_warning(500, 256)


def test_parts_after_a_cut_are_left_to_onnxruntime(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", split=False, photos=1))
    part = bundle.part("model")
    assert build.left_to_onnxruntime(part._replace(runtime="tensorrt")) == ""
    assert "left it to onnxruntime, whole" in build.left_to_onnxruntime(part)
    assert "after the cut" in build.left_to_onnxruntime(part._replace(name="model.2"))
    path = place_on_cpu(bundle, part, "why")
    with open(path) as stream:
        assert json.load(stream)["rule"] == "placed"


def test_a_target_without_tensorrt_needs_no_engines(tmp_path, capfd):
    from splitwatt.engines.cli import build as command

    bundle = tiny_bundle(tmp_path / "b", split=False, photos=1)
    assert command([bundle, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["bundles"][0]["parts"] == []


def test_onnxruntime_s_other_providers_are_refused_where_they_are_not(tmp_path):
    model = os.path.join(DATA, "tiny_model.onnx")
    for backend, module in (("cuda", ort_cuda), ("ort-tensorrt", ort_tensorrt)):
        available = module.ort.get_available_providers()
        if "CUDAExecutionProvider" in available:
            pytest.skip("this onnxruntime has a GPU's providers")
        with pytest.raises(EngineError) as error:
            load_engine(backend, model)
        assert "has no" in str(error.value) and "onnxruntime-gpu" in str(error.value)
    assert not os.path.exists(os.path.join(DATA, "engines"))
    ort_cuda.check_started("CUDAExecutionProvider", ["CUDAExecutionProvider", "CPU"])
    for started in (["CPUExecutionProvider"], []):
        with pytest.raises(EngineError, match="could not start CUDAExecutionProvider"):
            ort_cuda.check_started("CUDAExecutionProvider", started)
    assert ort_tensorrt.options("x")["trt_engine_cache_path"] == "x"


def test_the_backend_says_what_is_not_installed():
    if "tensorrt" in sys.modules:
        pytest.skip("TensorRT is here")
    with pytest.raises(EngineError) as error:
        load_engine("tensorrt", os.path.join(DATA, "tiny_model.onnx"))
    sentence = str(error.value)
    assert "package tensorrt" in sentence and "--system-site-packages" in sentence


def test_a_compiler_that_fails_is_one_sentence(tmp_path, monkeypatch):
    fake = tmp_path / "c++"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(fake))
    said = []
    with pytest.raises(EngineError) as error:
        build_native.compile_native(said.append, folder=str(tmp_path))
    assert "\n" not in str(error.value) and said
    assert os.listdir(str(tmp_path)) == ["c++"]


def test_what_is_compiled_for_a_gpu():
    configure, make = build_native.cmake_commands(
        "cmake", "b", build_native.PLUGIN, "/cuda/bin/nvcc", "5.3"
    )
    assert "-DCMAKE_CUDA_FLAGS=-arch=sm_53" in configure and "-DNVCC=/cuda/bin/nvcc" in configure
    assert "-S" not in configure  # CMake 3.10 does not know it
    assert make[:3] == ["cmake", "--build", "b"]
    assert not any("arch" in word for word in build_native.cmake_commands("c", "b", "x.so", "n")[0])


def test_without_cuda_s_tools_the_rest_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(build_native, "loads", lambda path: True)
    monkeypatch.setattr(build_native, "find_nvcc", lambda: None)
    said = []
    assert len(build_native.compile_native(said.append, cuda=True, folder=str(tmp_path))) == 1
    assert any("nvcc is missing" in line for line in said)


def test_a_program_that_is_missing_or_fails_is_one_sentence():
    for command in (["no-such-program"], [sys.executable, "-c", "raise SystemExit('a\\nb')"]):
        with pytest.raises(EngineError) as error:
            running.run_child(command, "x", print)
        assert "\n" not in str(error.value)
    assert running.run_child([sys.executable, "-c", "print(1)"], "x", print) == "1\n"


def test_a_library_that_does_not_load_is_compiled_again(tmp_path, monkeypatch):
    coder = tmp_path / build_native.CODER
    coder.write_bytes(b"of another machine")

    def build(command, what, tell):
        if "--build" in command:
            assert "_rangecoder" in command
            (tmp_path / command[2] / build_native.CODER).write_bytes(b"of this one")

    monkeypatch.setattr(build_native, "run_child", build)
    monkeypatch.setattr(build_native.shutil, "which", lambda name: "/usr/bin/" + name)
    build_native.compile_native(str, cuda=False, folder=str(tmp_path))
    assert coder.read_bytes() == b"of this one"


def test_a_plugin_older_than_its_sources_is_compiled_again(tmp_path):
    sources = tmp_path / "plugin"
    sources.mkdir()
    (sources / "range_node.cpp").write_text("")
    library = tmp_path / build_native.PLUGIN
    library.write_text("")
    os.utime(str(library), (1000, 1000))
    os.utime(str(sources / "range_node.cpp"), (1000, 1000))
    assert build_native.is_current(str(library), str(tmp_path))
    os.utime(str(sources / "range_node.cpp"), (1001, 1001))
    assert not build_native.is_current(str(library), str(tmp_path))


def test_without_tensorrts_headers_nothing_is_compiled_for_a_gpu(tmp_path, monkeypatch):
    def configure(command, what, tell):
        assert "--build" not in command
        build = [word[2:] for word in command if word.startswith("-B")][0]
        with open(os.path.join(build, "CMakeCache.txt"), "w") as stream:
            stream.write("TENSORRT_INCLUDE_DIR:PATH=TENSORRT_INCLUDE_DIR-NOTFOUND\n")

    monkeypatch.setattr(build_native, "loads", lambda path: True)
    monkeypatch.setattr(build_native, "find_nvcc", lambda: "/cuda/bin/nvcc")
    monkeypatch.setattr(build_native.shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(build_native, "run_child", configure)
    said = []
    build_native.compile_native(said.append, cuda=True, folder=str(tmp_path))
    assert "headers are missing" in said[-1] and not os.listdir(str(tmp_path))


def test_the_warning_knows_the_targets_workspace(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(build, "run_child", lambda *given: ran.append(given[0]) or "x.json")
    monkeypatch.setattr(build, "left_to_onnxruntime", lambda part: "")
    monkeypatch.setattr(build, "_available_mb", lambda: 1000)
    monkeypatch.setattr(build, "load_target", lambda name: load_target("agx_orin"))
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", photos=1), "board")
    most = load_target("agx_orin").workspace_mb
    assert most > 256
    for asked, due in ((None, most), (64, 64)):
        said = []
        list(build.build_engines(bundle, "board", build.Options(None, asked), said.append))
        assert json.loads(ran.pop()[-1])["workspace_mb"] == due
        assert any("warning" in line for line in said) == (due > 300)


def test_the_time_left_is_of_the_parts_before(tmp_path, monkeypatch):
    """The parts before took 10 s per GMAC together."""
    bundle = Bundle.open(tiny_bundle(tmp_path / "b", photos=1), "server")
    parts = [
        part._replace(runtime="tensorrt", gmac=gmac)
        for part, gmac in zip(bundle.manifest.placed("server"), (2.0, 1.0, 4.0))
    ]
    assert len(parts) >= 2
    bundle.manifest = bundle.manifest._replace(parts=parts)
    now, expected = [0.0], []

    def run(command, what, tell, expected_s):
        expected.append(expected_s)
        now[0] += 10 * parts[len(expected) - 1].gmac
        return "x.json"

    monkeypatch.setattr(build, "run_child", run)
    monkeypatch.setattr(build.time, "monotonic", lambda: now[0])
    list(build.build_engines(bundle, "server", build.Options(), lambda line: None))
    assert expected == [None] + [pytest.approx(10 * part.gmac) for part in parts[1:]]


def test_the_last_build_that_was_asked_for_is_the_one_that_runs(tmp_path):
    def record(precision, made_at):
        return records.Record(
            part="encoder", onnx_sha256="0", runs_on="tensorrt", rule=None, reason="",
            tensorrt="8.2.1", sm="5.3", precision=precision, plugin=None, profile=PROFILE,
            inputs=(), outputs=(), engine="e", engine_sha256=None, build_s=None, made_at=made_at,
        )  # fmt: skip

    first = records.write_record(str(tmp_path), "a", record("fp32", "2025-01-01T00:00:00Z"))
    records.write_record(str(tmp_path), "b", record("fp16", "2025-01-02T00:00:00Z"))
    found = Machine("8.2.1", "5.3", "")
    assert records.choose(records.read_records(str(tmp_path)), "e", "0", found).precision == "fp16"
    records.choose_again(first)
    assert records.choose(records.read_records(str(tmp_path)), "e", "0", found).precision == "fp32"


def test_the_cuda_provider_computes_without_tf32_where_it_can_be_told(monkeypatch):
    for version, due in (((1, 10), "CUDAExecutionProvider"),
                         ((1, 18), ("CUDAExecutionProvider", {"use_tf32": "0"}))):  # fmt: skip
        monkeypatch.setattr(ort_cuda, "version", lambda version=version: version)
        assert ort_cuda.cuda_provider() == due


def test_from_tensorrt_10_on_the_registry_loads_the_library(tmp_path, monkeypatch):
    class Creator:
        plugin_version = "1"

        def __init__(self, name):
            self.name = name

    class Registry:
        def __init__(self, known):
            self.plugin_creator_list = [Creator(name) for name in known]
            self.loaded = []

        def load_library(self, path):
            self.loaded.append(path)
            self.plugin_creator_list = [Creator(name) for name in plugin.OPERATORS]

    class Trt:
        init_libnvinfer_plugins = staticmethod(lambda logger, space: True)
        get_plugin_registry = staticmethod(lambda: registry)

    monkeypatch.setattr(plugin.ctypes, "CDLL", lambda path, mode: None)
    path = str(tmp_path / "p.so")
    (tmp_path / "p.so").write_bytes(b"")
    for version, known, loads in (("8.6.1", plugin.OPERATORS, 0), ("10.3.0", (), 1),
                                  ("11.1.0", plugin.OPERATORS, 0)):  # fmt: skip
        registry, Trt.__version__ = Registry(known), version
        assert plugin.load_plugin(Trt, None, path) == "1"
        assert registry.loaded == [path] * loads


def test_a_package_that_does_not_load_says_why_and_names_no_inner_module(tmp_path, monkeypatch):
    """onnxruntime is there, and a library of the system that it needs is not."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(
        "raise ImportError('libgomp.so.1: cannot open', name='onnxruntime.capi.state')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in list(sys.modules):
        if name.split(".")[0] == "onnxruntime" or name.startswith("splitwatt.engines.backends.ort"):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EngineError) as error:
        load_engine("cpu", os.path.join(DATA, "tiny_model.onnx"))
    assert (
        "onnxruntime, which cannot be imported (libgomp.so.1: cannot open)" in error.value.message
    )
    assert "capi" not in error.value.remedy and "pip install" in error.value.remedy
