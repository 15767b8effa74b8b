"""The manifest: what it reads it writes back, and each wrong thing is one sentence."""

import copy

import pytest

from splitwatt.device_configs.errors import BundleError, UsageError
from splitwatt.engines.bundle.manifest import Manifest
from splitwatt.engines.bundle.model_name import read_name
from tests.board import tiny


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return tiny.read_document(tiny.tiny_bundle(tmp_path_factory.mktemp("m") / "tiny", photos=1))


def test_a_manifest_reads_and_writes_itself(document):
    manifest = Manifest.from_json(document)
    assert manifest.to_json() == document
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.split and manifest.part("body").placement == "server"
    assert [part.name for part in manifest.placed("board")] == ["encoder"]
    assert manifest.parts[0].inputs[0].shape == (1, 3, None, None)


def test_a_part_that_is_none_names_those_there_are(document):
    with pytest.raises(BundleError) as error:
        Manifest.from_json(document).part("encodr")
    assert "encodr" in str(error.value) and "encoder, body" in str(error.value)


def change(document, path, value):
    document = copy.deepcopy(document)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if value is KeyError:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return document


WRONG = [
    (["format"], 2, ["'format'", "1"]),
    (["format"], KeyError, ["'format' is missing", "1"]),
    (["modle"], "x", ["unknown key 'modle'", "model"]),
    (["model"], KeyError, ["'model' is missing"]),
    (["model"], 3, ["'model' must be text", "3"]),
    (["assumed"], "no", ["'assumed' must be true or false"]),
    (["tasks"], ["classification", "depth"], ["depth"]),
    (["tasks"], ["classification"], ["'postprocess' must have one entry per task"]),
    (["parts", 1, "gmca"], 1.0, ["unknown key 'parts[1].gmca'", "gmac"]),
    (["parts", 1, "placement"], "cloud", ["'parts[1].placement'", "'board' or 'server'"]),
    (["parts", 0, "sha256"], "abc", ["'parts[0].sha256'", "64 hexadecimal"]),
    (["parts", 0, "bytes"], True, ["'parts[0].bytes'", "whole number"]),
    (["parts", 0, "bytes"], 1.5, ["'parts[0].bytes'", "whole number"]),
    (["parts", 0, "gmac"], float("nan"), ["'parts[0].gmac' must be a number"]),
    (["parts", 0, "inputs", 0, "shape"], [1, "h"], ["'parts[0].inputs[0].shape[1]'"]),
    (["parts", 0, "inputs", 0, "dtype"], "float", ["'parts[0].inputs[0].dtype'", "float32"]),
    (
        ["parts", 0, "parity", "sizes"],
        [[1, 2, 3]],
        ["'parts[0].parity.sizes[0]'", "[height, width]"],
    ),
    (["parts", 1, "name"], "encoder", ["same name"]),
    (["parts"], {}, ["'parts' must be a list"]),
    (["preprocess", "resize", "filter"], "bicubic", ["'preprocess.resize.filter'", "bilinear"]),
    (["preprocess", "resize", "size"], [1, 2], ["'preprocess.resize.size'", "whole number"]),
    (["preprocess", "resize", "rule"], "exact", ["'preprocess.resize.size'", "[height, width]"]),
    (["preprocess", "std"], [0.1, 1e-40, 0.1], ["'preprocess.std[1]'", "at least 1e-06"]),
    (["preprocess", "mean"], [0.1, 1e308, 0.1], ["'preprocess.mean[1]'", "at most"]),
    (["preprocess", "mean"], [0.1, 0.2], ["'preprocess.mean'", "at least 3"]),
    (["codec", "kind"], "gzip", ["'codec.kind'", "rangecoder"]),
    (["codec"], None, ["codec"]),
    (["postprocess", "detection", "part"], "detektor", ["'postprocess.detection.part'"]),
    (["postprocess", "detection", "top_k"], 5, ["'postprocess.detection.top_k'", "classification"]),
    (["made"], [], ["'made' must be a mapping"]),
    (["made", "at"], 3, ["'made.at'"]),
]


@pytest.mark.parametrize("path, value, words", WRONG)
def test_a_wrong_manifest_is_one_sentence_with_file_and_key(document, path, value, words):
    with pytest.raises(BundleError) as error:
        Manifest.from_json(change(document, path, value), "here/manifest.json")
    sentence = str(error.value)
    assert all(word in sentence for word in words + ["here/manifest.json"]), sentence
    assert "\n" not in sentence and len(sentence) < 300


@pytest.mark.parametrize("value", [None, [], "manifest", 3])
def test_a_manifest_that_is_no_object(value):
    with pytest.raises(BundleError) as error:
        Manifest.from_json(value, "here.json")
    assert "here.json: the file must be a mapping" in str(error.value)


@pytest.mark.parametrize(
    "name, pieces",
    [
        ("ladon_r50@0.32-fp16", ("ladon_r50", "0.32", "fp16")),
        ("jpeg@50+resnet50", ("jpeg+resnet50", "50", "fp32")),
        ("webp@lossless+swin_b-int8", ("webp+swin_b", "lossless", "int8")),
        ("mobilenet_v2", ("mobilenet_v2", None, "fp32")),
    ],
)
def test_a_models_name_comes_apart_and_together(name, pieces):
    assert read_name(name) == pieces and str(read_name(name)) == name


def test_a_rate_point_behind_a_codecs_model_is_the_codecs():
    assert str(read_name("jpeg+resnet50@50")) == "jpeg@50+resnet50"
    with pytest.raises(UsageError, match="jpeg@50.resnet50@50' has two rate points"):
        read_name("jpeg@50+resnet50@50")
