"""A bundle opens whole or says which file is wrong."""

import json
import os
import shutil

import numpy as np
import pytest

from splitwatt.device_configs.errors import BundleError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle.arrays import load_arrays, save_arrays
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.codecs import codec_of
from splitwatt.engines.labels import labels
from tests.board import tiny


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny.tiny_bundle(tmp_path_factory.mktemp("b") / "tiny", photos=1)


@pytest.fixture
def folder(original, tmp_path):
    copy = str(tmp_path / "copy")
    shutil.copytree(original, copy)
    return copy


def refused(folder, *words, **kwargs):
    with pytest.raises(BundleError) as error:
        Bundle.open(folder, **kwargs)
    sentence = str(error.value)
    assert all(word in sentence for word in words), sentence
    assert "\n" not in sentence


def test_a_sound_bundle_opens(folder):
    bundle = Bundle.open(folder)
    assert bundle.manifest.model == "tiny@1"
    assert os.path.isfile(bundle.part_path("body"))
    assert bundle.manifest_sha256 == sha256_file(os.path.join(folder, "manifest.json"))
    sample = bundle.samples()[0]
    assert sample.name == "temple.png" and os.path.isfile(sample.photo)
    assert "classification.labels" in load_arrays(sample.expected)


def test_nothing_there(tmp_path):
    refused(str(tmp_path), "no bundle", "splitwatt export")
    refused(str(tmp_path / "nowhere"), "no bundle")


@pytest.mark.parametrize(
    "file", ["encoder.onnx", "tables.npz", "samples/temple.png", "samples/temple.npz"]
)
def test_a_tampered_truncated_or_missing_file(folder, file):
    path = os.path.join(folder, file)
    with open(path, "rb") as stream:
        data = bytearray(stream.read())
    data[len(data) // 2] ^= 1
    with open(path, "wb") as stream:
        stream.write(data)
    refused(folder, os.path.basename(file), "SHA-256")
    with open(path, "wb") as stream:
        stream.write(data[:-1])
    refused(folder, os.path.basename(file))
    os.unlink(path)
    refused(folder, os.path.basename(file), "missing")


def test_a_board_does_not_need_the_server_s_parts(folder):
    for part in ("body", "classifier", "detector", "segmenter"):
        os.unlink(os.path.join(folder, part + ".onnx"))
    assert Bundle.open(folder, "board").manifest.split
    refused(folder, "body.onnx", "missing")
    refused(folder, "body.onnx", "missing", placement="server")


@pytest.mark.parametrize("name", ["../encoder.onnx", "/etc/passwd", "a/../../x", ".", "out.onnx"])
def test_a_path_that_leaves_the_folder(folder, name, tmp_path):
    os.symlink(os.path.join(folder, "..", "x.onnx"), os.path.join(folder, "out.onnx"))
    document = tiny.read_document(folder)
    document["parts"][0]["file"] = name
    tiny.write_document(folder, document)
    refused(folder, "manifest.json", "inside")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100000, b'{"format": 1}', b'"text"']
)
def test_a_manifest_that_is_none(folder, content):
    with open(os.path.join(folder, "manifest.json"), "wb") as stream:
        stream.write(content)
    refused(folder, "manifest.json")


def test_a_manifest_of_a_gigabyte_is_not_read(folder):
    with open(os.path.join(folder, "manifest.json"), "wb") as stream:
        stream.truncate(1 << 30)
    refused(folder, "larger than")


def no_engine(name):
    raise AssertionError("no engine of %s is asked for" % name)


def test_tables_of_another_codec(folder):
    document = tiny.read_document(folder)
    document["codec"]["tables"][0]["id"] = "00000000"
    tiny.write_document(folder, document)
    with pytest.raises(BundleError) as error:
        codec_of(Bundle.open(folder), no_engine)
    assert "00000000" in str(error.value)


def test_a_local_model_has_no_codec(tmp_path):
    bundle = Bundle.open(tiny.tiny_bundle(tmp_path / "local", split=False, photos=1))
    with pytest.raises(BundleError):
        codec_of(bundle, no_engine)


def test_arrays_of_python_objects_are_refused(tmp_path):
    path = str(tmp_path / "x.npz")
    np.savez(path, a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(BundleError):
        load_arrays(path)
    with open(path, "wb") as stream:
        stream.write(json.dumps([1]).encode())
    with pytest.raises(BundleError):
        load_arrays(path)


def test_the_same_arrays_give_the_same_bytes():
    arrays = {"a": np.arange(5), "b": np.zeros((2, 2), np.float32)}
    assert save_arrays(arrays) == save_arrays(arrays)


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "a\\b", "..", "x" * 121, "\x1b[31m"])
@pytest.mark.parametrize("key", ["model", "target", "server_target", "part"])
def test_a_name_that_leads_elsewhere_is_refused(folder, name, key):
    """Folders and records are called so: calibrate once wrote to where a model's name led."""
    document = tiny.read_document(folder)
    holder = document["parts"][0] if key == "part" else document
    holder["name" if key == "part" else key] = name
    tiny.write_document(folder, document)
    refused(folder, key if key != "part" else "parts[0].name", "without slashes")


@pytest.mark.parametrize("name", ["../labels/imagenet1k", "/tmp/x", "nothing", "imagenet1k.txt"])
def test_a_label_set_that_is_not_ours_is_not_opened(name):
    with pytest.raises(BundleError, match="there is no label set"):
        labels(name)
