"""The plugin library in real registries of TensorRT, its kernels on a processor.

TensorRT for RTX imports IPluginV3 alone; TensorRT's lean runtime has TensorRT 11's full registry.
Nothing is run: there is no GPU. The range coder inside an encoder is parsed and built.
"""

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.rangecoder import Tables, graph
from splitwatt.engines.tensorrt.shapes import profile_of
from tests.conftest import ROOT
from tests.engines.rangecoder.test_gpu_code import (
    CODER,
    CUDA,
    HERE,
    INCLUDES,
    LIBRARY,
    VERSIONS,
    run,
)
from tests.engines.tensorrt.rtx import need_rtx

NEWEST = [path for path in VERSIONS if path.name.lstrip("v").split(".")[0] == "11"]
pytestmark = pytest.mark.skipif(not NEWEST or not CUDA.is_dir(), reason="needs TensorRT 11's and "
                                "CUDA's public headers")  # fmt: skip
# Loads the library as `splitwatt build` does, then parses and builds a graph for SM 8.6.
BUILD = """
import functools, json, sys
from splitwatt.engines.tensorrt import log, plugin, rtx
from splitwatt.engines.tensorrt.building import builder
trt = rtx.import_rtx()
said = log.Log()
logger = builder.make_logger(trt, said)
version = plugin.load_plugin(trt, logger, sys.argv[1])
sizes = {"image": ((1, 3, 32, 32), (1, 3, 64, 64), (1, 3, 128, 128))}
if len(sys.argv) > 3:
    sizes = {name: tuple(map(tuple, range)) for name, range in json.loads(sys.argv[3]).items()}
configure = functools.partial(rtx.configure, trt, "8.6")
recipe = builder.Recipe(sys.argv[2], sizes, [], 1 << 28, None, configure)
engine, cache = builder.build_engine(trt, logger, said, recipe)
kinds = {c.name: type(c).__name__ for c in trt.get_plugin_registry().all_creators}
print(json.dumps({"version": version, "bytes": len(engine), "kinds": kinds}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "_rangecoder_trt.so"
    run("g++", "-std=c++14", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations",
        "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-isystem",
        NEWEST[-1] / "include", "-isystem", CUDA, *INCLUDES, "-I%s" % HERE, HERE / "cuda_fake.cpp",
        HERE / "cuda_runtime_fake.cpp", *sorted((CODER / "plugin").glob("*.cpp")), *LIBRARY,
        "-o", path)  # fmt: skip
    return path


def test_tensorrt_for_rtx_builds_the_encoder_with_the_coder_in_it(library, tmp_path):
    need_rtx()
    cdf = np.array([[0, 900, 50000, 65536]] * 4, np.int32)
    tables = Tables(cdf, [4] * 4, [-1, 0, 1, 0], np.array([0.5, 0, 0, 0], np.float32))
    weight = np.ones((4, 3, 3, 3), np.float32)
    node = helper.make_node("Conv", ["image", "w"], ["latent"], pads=[1, 1, 1, 1])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    latent = helper.make_tensor_value_info("latent", TensorProto.FLOAT, [1, 4, "h", "w"])
    body = helper.make_graph([node], "encoder", [image], [latent],
                             [onnx.numpy_helper.from_array(weight, "w")])  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    path = tmp_path / "encoder.onnx"
    onnx.save(graph.append_encoder(model, tables), str(path))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(library), str(path)], cwd=str(ROOT),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["version"] == "1" and said["bytes"] > 1000
    assert {"SplitRangeEncode", "SplitRangeDecode"} <= set(said["kinds"])


def test_ladon_s_encoder_with_the_coder_in_it_is_built_for_every_image(library, bundles, tmp_path):
    """The graph that `export --coder in-graph` writes, at the sizes of the product's own profile."""
    need_rtx()
    bundle = Bundle.open(str(bundles / "ladon_r50@20.48"), "board")
    encoder = bundle.part("encoder")
    tables = Tables.load(bundle.tables_paths()[0])
    path = tmp_path / "encoder.onnx"
    onnx.save(graph.append_encoder(onnx.load(bundle.part_path("encoder")), tables), str(path))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(library), str(path), json.dumps(profile_of(bundle, encoder))],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # The weights and tables are in the engine.
    assert json.loads(done.stdout.splitlines()[-1])["bytes"] > 0.5 * encoder.bytes


def test_the_library_offers_both_interfaces(library):
    loaded = ctypes.CDLL(str(library))
    for name in ("getCreators", "getPluginCreators"):
        count = ctypes.c_int32()
        function = getattr(loaded, name)
        function.restype = ctypes.POINTER(ctypes.c_void_p)
        creators = function(ctypes.byref(count))
        assert count.value == 2 and creators[0] and creators[1]


def test_the_lean_runtime_s_registry_loads_the_library(library):
    """`libnvinfer_lean.so` of the wheel tensorrt-lean-cu12-libs, by its C function getPluginRegistry."""
    spec = importlib.util.find_spec("tensorrt_lean_libs")
    if spec is None:
        if os.environ.get("SPLITWATT_CI") == "1":
            pytest.fail("the package tensorrt-lean-cu12-libs is not installed")
        pytest.skip("the package tensorrt-lean-cu12-libs is not installed")
    source = library.parent / "registry.cpp"
    source.write_text(REGISTRY)
    folder = Path(list(spec.submodule_search_locations)[0])
    lean = next(folder.glob("libnvinfer_lean.so.*"))
    binary = library.parent / "registry"
    run("g++", "-std=c++14", "-isystem", NEWEST[-1] / "include", "-isystem", CUDA, source, lean,
        "-Wl,-rpath,%s" % folder, "-ldl", "-Wno-deprecated-declarations", "-o", binary)  # fmt: skip
    said = run(binary, library).split()
    assert sorted(said) == ["SplitRangeDecode", "SplitRangeEncode"]


REGISTRY = r"""
#include <NvInferRuntime.h>
#include <stdio.h>
#include <initializer_list>
extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept;
int main(int, char** arguments) {
  nvinfer1::IPluginRegistry* registry = getPluginRegistry();
  if (!registry || !registry->loadLibrary(arguments[1])) return 1;
  for (const char* name : {"SplitRangeEncode", "SplitRangeDecode"}) {
    if (registry->getCreator(name, "1", "")) printf("%s\n", name);
  }
  return 0;
}
"""
