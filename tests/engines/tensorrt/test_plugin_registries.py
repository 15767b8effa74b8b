"""The plugin library in real registries of TensorRT, its kernels on a processor.

TensorRT for RTX imports IPluginV3 alone; TensorRT's lean runtime has TensorRT 11's full registry.
Nothing is run: there is no GPU. The range coder inside an encoder is parsed and built.
"""

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
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.tensorrt.shapes import profile_of
from splitwatt.export.tracing import in_graph
from tests.conftest import ROOT
from tests.engines.rangecoder.test_gpu_code import CODER, CUDA, HERE, INCLUDES, LIBRARY, run
from tests.engines.tensorrt.rtx import need_rtx, newest_headers, plugin_library

pytestmark = pytest.mark.skipif(
    newest_headers() is None or not CUDA.is_dir(),
    reason="needs TensorRT 11's and CUDA's public headers",
)
# Loads the library as `splitwatt build` does, then parses and builds a graph for SM 8.6.
BUILD = """
import json, sys
from splitwatt.engines.tensorrt import log, plugin, rtx
from splitwatt.engines.tensorrt.building import builder
trt = rtx.import_rtx()
logger = log.make_logger(trt)
version = plugin.load_plugin(trt, logger, sys.argv[1])
sizes = {"image": ((1, 3, 32, 32), (1, 3, 64, 64), (1, 3, 128, 128))}
if len(sys.argv) > 3:
    sizes = {name: tuple(map(tuple, range)) for name, range in json.loads(sys.argv[3]).items()}
engine, cache = builder.build_engine(trt, logger, sys.argv[2], sizes, [], 1 << 28, None, "8.6")
kinds = {c.name: type(c).__name__ for c in trt.get_plugin_registry().all_creators}
network = trt.Builder(logger).create_network(0)
assert trt.OnnxParser(network, logger).parse_from_file(sys.argv[2])
outputs = {network.get_output(i).name: list(network.get_output(i).shape) for i in range(network.num_outputs)}
print(json.dumps({"version": version, "bytes": len(engine), "kinds": kinds, "outputs": outputs}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return plugin_library(tmp_path_factory.mktemp("plugin"))


@pytest.mark.parametrize("packed", [True, False])
def test_tensorrt_for_rtx_builds_the_encoder_with_the_coder_in_it(packed, library, tmp_path):
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
    onnx.save(in_graph.append_encoder(model, tables, packed), str(path))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(library), str(path)], cwd=str(ROOT),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["version"] == "1" and said["bytes"] > 1000
    assert {"SplitRangeEncode", "SplitRangeDecode"} <= set(said["kinds"])
    # The worst case follows from the image's size, the packed length from the latent's values.
    assert said["outputs"] == {"words": [1, -1], "length": [1]}


def test_ladon_s_encoder_with_the_coder_in_it_is_built_for_every_image(library, bundles, tmp_path):
    """The graph that `export --coder in-graph` writes, at the sizes of the product's own profile."""
    need_rtx()
    bundle = Bundle.open(str(bundles / "ladon_r50@20.48"), "board")
    encoder = bundle.part("encoder")
    tables = Tables.load(bundle.tables_paths()[0])
    path = tmp_path / "encoder.onnx"
    onnx.save(
        in_graph.append_encoder(onnx.load(bundle.part_path("encoder")), tables, True), str(path)
    )
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(library), str(path), json.dumps(profile_of(bundle, encoder))],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # The weights and tables are in the engine.
    assert json.loads(done.stdout.splitlines()[-1])["bytes"] > 0.5 * encoder.bytes


def lean_folder() -> Path:
    """Where the wheel tensorrt-lean-cu12-libs has `libnvinfer_lean.so`."""
    spec = importlib.util.find_spec("tensorrt_lean_libs")
    if spec is None:
        if os.environ.get("SPLITWATT_CI") == "1":
            pytest.fail("the package tensorrt-lean-cu12-libs is not installed")
        pytest.skip("the package tensorrt-lean-cu12-libs is not installed")
    return Path(list(spec.submodule_search_locations)[0])


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """What TensorRT 11.4's own registry has of our operators once it has loaded a library."""
    lean, folder = lean_folder(), tmp_path_factory.mktemp("registry")
    source, binary = folder / "registry.cpp", folder / "registry"
    source.write_text(REGISTRY)
    run("g++", "-std=c++14", "-isystem", newest_headers(), "-isystem", CUDA, source,
        next(lean.glob("libnvinfer_lean.so.*")), "-Wl,-rpath,%s" % lean, "-ldl", "-o", binary)  # fmt: skip
    return lambda library: run(binary, library).splitlines()


def test_tensorrt_11_s_registry_loads_the_library(library, registry):
    v3 = "PLUGIN CREATOR_V3ONE"
    assert registry(library) == ["loaded", f"SplitRangeEncode {v3}", f"SplitRangeDecode {v3}"]


@pytest.mark.parametrize(
    ("offered", "kinds"),
    [
        ("getPluginCreators: v2", None),  # TensorRT 8.5 to 10 ask this function, 11 does not
        ("getCreators: v2", ["V1"]),
        ("getCreators: v2, v3", ["V3ONE"]),
        ("getCreators: v3, v2", ["V1"]),
    ],
)
def test_tensorrt_11_s_registry_takes_the_older_interface_too(offered, kinds, registry, tmp_path):
    """Of two creators of one name and version the registry finds the last, the older interface too.

    TensorRT for RTX imports IPluginV3 alone; so from TensorRT 10 on the library offers that alone, which
    both find. CREATOR_V1 is NVIDIA's name of the interface that makes an IPluginV2.
    """
    function, classes = offered.split(": ")
    creators = ", ".join("&" + name for name in classes.split(", "))
    base = "IPluginCreator" if function == "getPluginCreators" else "IPluginCreatorInterface"
    source, path = tmp_path / "offer.cpp", tmp_path / "offer.so"
    source.write_text(OFFER % {"base": base, "function": function, "creators": creators})
    # The older interface is used on purpose here, with headers that call it deprecated.
    run("g++", "-std=c++14", "-O1", "-Wno-deprecated-declarations", "-DSW_PLUGIN_V2",
        "-DSW_NO_REGISTRATION", "-shared", "-fPIC", "-fvisibility=hidden", "-isystem", newest_headers(),
        "-isystem", CUDA, *INCLUDES, "-I%s" % HERE, HERE / "cuda_fake.cpp", HERE / "cuda_runtime_fake.cpp",
        *sorted((CODER / "plugin").glob("*.cpp")), *LIBRARY, source, "-o", path)  # fmt: skip
    said = registry(path)
    if kinds is None:
        assert said == ["not loaded"]
    else:
        assert said == ["loaded", *(f"SplitRangeEncode PLUGIN CREATOR_{kind}" for kind in kinds)]


OFFER = r"""
#include "plugin_v2.h"
#include "plugin_v3.h"
static splitwatt::RangeCreatorV2 v2(false);
static splitwatt::RangeCreatorV3 v3(false);
extern "C" SW_API void setLoggerFinder(nvinfer1::ILoggerFinder*) {}
extern "C" SW_API nvinfer1::%(base)s* const* %(function)s(int32_t& count) {
  static nvinfer1::%(base)s* const creators[] = {%(creators)s};
  count = sizeof(creators) / sizeof(creators[0]);
  return creators;
}
"""

REGISTRY = r"""
#include <NvInferRuntime.h>
#include <stdio.h>
#include <initializer_list>
#include <string>
extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept;
int main(int, char** arguments) {
  nvinfer1::IPluginRegistry* registry = getPluginRegistry();
  puts(registry && registry->loadLibrary(arguments[1]) ? "loaded" : "not loaded");
  for (const char* name : {"SplitRangeEncode", "SplitRangeDecode"}) {
    nvinfer1::IPluginCreatorInterface* creator = registry->getCreator(name, "1", "");
    if (creator) puts((std::string(name) + " " + creator->getInterfaceInfo().kind).c_str());
  }
  return 0;
}
"""
