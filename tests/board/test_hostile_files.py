"""Files from strangers: thousands of changed ones, and every one that ever failed, give our errors only.

The corpus lies in `hostile/`, a file a case, named `KIND-what.ext`. `python -m tests.fuzz` makes 100,000.
"""

import io
import json
import os
import random
import tempfile
import time

import numpy as np
import pytest
from PIL import Image

from splitwatt.device_configs import targets
from splitwatt.device_configs.errors import ConfigError, SplitwattError
from splitwatt.device_configs.input.schema import check
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.device_configs.input.strict_yaml import parse_yaml
from splitwatt.engines.bundle.arrays import load_arrays, save_arrays
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.graph_file import check_graph_file
from splitwatt.engines.bundle.manifest import Manifest, Port
from splitwatt.engines.pipeline.answer import pack, unpack
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.tensorrt import records
from splitwatt.engines.tensorrt.versions import Machine
from splitwatt.profiler.deploy.policy import read_policy
from splitwatt.profiler.records.coco import read_coco
from tests.board import damaged_files, tiny

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "hostile")
TARGET = os.path.join(os.path.dirname(os.path.abspath(targets.__file__)), "nano.yaml")
SLOW_S = 5.0


def read_manifest(data, folder):
    """A bundle is opened with the manifest, and what it names is read."""
    with open(os.path.join(folder, "manifest.json"), "wb") as stream:
        stream.write(data)
    bundle = Bundle.open(folder)
    for sample in bundle.samples():
        load_arrays(sample.expected)


def through_file(read):
    def run(data, folder):
        path = os.path.join(folder, "changed")
        with open(path, "wb") as stream:
            stream.write(data)
        read(path)

    return run


def read_as_policy(data, folder):
    """policy.yaml next to its bundle."""
    path = os.path.join(folder, "policy.yaml")
    with open(path, "wb") as stream:
        stream.write(data)
    read_policy(path)


def read_as_record(data, folder):
    """The record of an engine, and the choice of one."""
    engines = os.path.join(folder, records.FOLDER)
    os.makedirs(engines, exist_ok=True)
    with open(os.path.join(engines, "part.json"), "wb") as stream:
        stream.write(data)
    chosen = records.choose(
        records.read_records(engines), "part.onnx", RECORD.onnx_sha256, HERE_RUNS
    )
    records.engine_path(engines, chosen)


READERS = {
    "manifest": read_manifest,
    "json": lambda data, folder: Manifest.from_json(parse_json(data, "m.json")),
    "arrays": through_file(load_arrays),
    "tables": through_file(Tables.load),
    "graph": through_file(check_graph_file),
    "yaml": lambda data, folder: targets.parse_target(parse_yaml(data, "t.yaml"), "nano.yaml"),
    "image": lambda data, folder: decode_image(data),
    "answer": lambda data, folder: unpack(data),
    "policy": read_as_policy,
    "engine": read_as_record,
    "boxes": through_file(read_coco),
}
HERE_RUNS = Machine("8.2.1", "5.3", "GPU")
RECORD = records.Record(
    "part", "0" * 64, "tensorrt", None, "", "8.2", "5.3", "fp32", None,
    {"image": ((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8))}, (Port("image", "float32", (1, 3, 8, 8)),),
    (Port("logits", "float32", (1, 30)),), "part.engine", "0" * 64, 1.5, "2026-01-01T00:00:00Z",
)  # fmt: skip
POLICY = """format: 1
deadline_ms: 500
quality_of: top-1
made_from: [a]
points:
  - {config: Ours1, bundle: ., quality: 75.1, board_s: 0.08, server_s: 0.05, wire_bytes: 60000}
  - {config: LC1, bundle: ., backend: cpu, joules: 1.5}
"""
BOXES = {
    "images": [{"id": n, "file_name": "%d.jpg" % n, "width": 8, "height": 8} for n in (1, 2)],
    "annotations": [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 5, 5], "iscrowd": 0, "area": 25.0}
        for n in (1, 2)
    ],
    "categories": [{"id": 1, "name": "person"}],
}


class Originals:
    """Sound files, and how each kind of them is changed."""

    def __init__(self, folder):
        self.folder = folder
        self.document = tiny.read_document(folder)
        tables = tiny.tables()
        self.arrays = {
            name: getattr(tables, name) for name in ("cdf", "cdf_length", "offset", "medians")
        }
        with open(TARGET, encoding="utf-8") as stream:
            self.target = stream.read()
        with open(os.path.join(folder, "encoder.onnx"), "rb") as stream:
            self.graph = stream.read()
        made = records.write_record(os.path.join(folder, records.FOLDER), "part", RECORD)
        with open(made, encoding="utf-8") as stream:
            self.engine = json.load(stream)
        self.images = []
        pixels = np.arange(24 * 16 * 3, dtype=np.uint8).reshape(24, 16, 3)
        for kind, mode in (("PNG", "RGB"), ("PNG", "P"), ("JPEG", "RGB"), ("TIFF", "RGB"), ("TIFF", "I;16"),
                           ("GIF", "P"), ("WEBP", "RGB"), ("BMP", "RGB"), ("PPM", "RGB")):  # fmt: skip
            image = Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else (
                Image.fromarray(pixels).convert(mode))  # fmt: skip
            stream = io.BytesIO()
            image.save(stream, kind)
            self.images.append(stream.getvalue())
        labels, scores = np.arange(3, dtype=np.int32), np.linspace(0, 1, 3, dtype=np.float32)
        self.answer = pack(
            {
                "classification": {"labels": labels, "scores": scores},
                "detection": {
                    "labels": labels,
                    "scores": scores,
                    "boxes": np.zeros((3, 4), np.float32),
                },
                "segmentation": {"mask": np.arange(64, dtype=np.uint8).reshape(8, 8)},
            }
        )

    def changed(self, kind, source):
        if kind in ("manifest", "json"):
            return damaged_files.of_json(source, self.document)
        if kind in ("arrays", "tables"):
            if source.random() < 0.2:
                return damaged_files.of_bytes(source, save_arrays(self.arrays))
            return damaged_files.of_arrays(source, self.arrays)
        if kind in ("yaml", "policy"):
            return damaged_files.of_yaml(source, self.target if kind == "yaml" else POLICY)
        if kind in ("engine", "boxes"):
            return damaged_files.of_json(source, self.engine if kind == "engine" else BOXES)
        sound = {"graph": self.graph, "answer": self.answer}.get(kind) or source.choice(self.images)
        return damaged_files.of_bytes(source, sound)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return Originals(tiny.tiny_bundle(tmp_path_factory.mktemp("h") / "tiny", photos=1))


def attempt(kind, data, folder):
    """Whether a file was refused; fails with where to find it when that took long or went wrong."""
    start = time.process_time()  # of the processor: other work does not count
    refused = False
    try:
        READERS[kind](data, folder)
    except SplitwattError as error:
        refused = True
        assert "\n" not in str(error), error
    except Exception as error:
        path = os.path.join(tempfile.gettempdir(), "%s-failed.bin" % kind)
        with open(path, "wb") as stream:
            stream.write(data)
        raise AssertionError("%s: %s: %s" % (path, type(error).__name__, error))
    assert time.process_time() - start < SLOW_S, kind
    return refused


# kind -> how many; a second or so each
COUNTS = {
    "manifest": 200, "json": 2000, "arrays": 1500, "tables": 500, "graph": 1500, "yaml": 60,
    "image": 1500, "answer": 2000, "policy": 100, "engine": 300, "boxes": 500,
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(COUNTS))
def test_changed_files_are_read_or_refused(originals, kind):
    source = random.Random("%s 1" % kind)
    count = COUNTS[kind]
    refused = sum(
        attempt(kind, originals.changed(kind, source), originals.folder) for _ in range(count)
    )
    assert refused > count / 20


CASES = sorted(os.listdir(CORPUS))


@pytest.mark.parametrize("name", CASES)
def test_the_corpus_is_refused(originals, name):
    with open(os.path.join(CORPUS, name), "rb") as stream:
        data = stream.read()
    assert attempt(name.split("-")[0], data, originals.folder)


def test_the_corpus_has_every_kind():
    assert {name.split("-")[0] for name in CASES} == set(READERS) - {"json"}


def test_no_more_is_unpacked_than_the_manifest_states(originals):
    """A megabyte of zeros that unpacks to a gigabyte is refused by its directory."""
    path = os.path.join(originals.folder, "bomb.npz")
    np.savez_compressed(path, cdf=np.zeros(100 << 20, np.uint8))
    with pytest.raises(SplitwattError, match="unpacks to more than 67108864 bytes"):
        load_arrays(path)
    np.savez_compressed(path, cdf=np.zeros(1 << 20, np.uint8))
    with pytest.raises(SplitwattError, match="unpacks to more than 1000 bytes"):
        load_arrays(path, 1000)
    document = json.loads(json.dumps(originals.document))
    assert document["codec"]["tables"][0].get("unpacked_bytes") is None
    assert load_arrays(path)["cdf"].sum() == 0
    os.unlink(path)


@pytest.mark.parametrize(
    "kind", ["tensor", "attribute", "subgraph", "function", "sparse", "training"]
)
@pytest.mark.parametrize("location", [b"weights.bin", b"../secret.bin", b"/etc/passwd"])
def test_external_data_is_refused_wherever_a_tensor_may_be(tmp_path, kind, location):
    field = damaged_files.field
    entry = field(13, field(1, b"location") + field(2, location))
    for tensor in (field(8, b"w") + entry + field(14, 1), entry, field(14, 1)):
        graph = {
            "tensor": field(7, field(5, tensor)),
            "attribute": field(7, field(1, field(5, field(5, tensor)))),
            "subgraph": field(7, field(1, field(5, field(11, field(5, tensor))))),
            "function": field(25, field(7, field(5, field(10, tensor)))),
            "sparse": field(7, field(15, field(1, tensor))),
            "training": field(20, field(2, field(5, tensor))),
        }[kind]
        path = tmp_path / "g.onnx"
        path.write_bytes(field(1, 8) + graph)
        with pytest.raises(SplitwattError, match="in another file, which no hash covers"):
            check_graph_file(str(path))


def test_a_bundle_with_external_data_does_not_open(originals, tmp_path):
    folder = tiny.tiny_bundle(tmp_path / "external", photos=1)
    document = tiny.read_document(folder)
    path = os.path.join(folder, document["parts"][0]["file"])
    with open(path, "ab") as stream:
        stream.write(damaged_files.field(7, damaged_files.field(5, damaged_files.field(14, 1))))
    with open(path, "rb") as stream:
        data = stream.read()
    document["parts"][0].update(sha256=tiny.digest(data), bytes=len(data))
    tiny.write_document(folder, document)
    for placement in (None, "board"):
        with pytest.raises(SplitwattError, match="no hash covers"):
            Bundle.open(folder, placement)
    with pytest.raises(SplitwattError, match="no hash covers"):
        Bundle.open(folder, "server").part_path("encoder")


def test_the_found_yaml_cases_are_errors_of_the_config():
    for name in CASES:
        if name.startswith("yaml-"):
            with open(os.path.join(CORPUS, name), "rb") as stream, pytest.raises(ConfigError):
                targets.parse_target(parse_yaml(stream.read(), name), "nano.yaml")


def test_a_key_that_comes_twice_among_many_is_refused_at_once():
    """Each key was once compared with every other: 200,000 took minutes."""
    start = time.process_time()
    text = "{%s}" % ",".join('"%d":0' % (number % 199999) for number in range(200000))
    with pytest.raises(SplitwattError, match='has the key "0" twice'):
        parse_json(text, "m.json")
    with pytest.raises(ConfigError, match="holds 'a0' twice"):
        names = ["a%d" % (number % 29999) for number in range(30000)]
        check(names, {"type": "array", "uniqueItems": True, "items": {"type": "string"}}, "c.yaml")
    assert time.process_time() - start < 30
