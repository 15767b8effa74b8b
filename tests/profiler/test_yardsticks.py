"""Against what we did not write: sc2bench's analyser, the jsonschema package, a power trace."""

import copy
import io
import json
import math

import pytest
import yaml
from PIL import Image

from splitwatt.device_configs.errors import ConfigError
from splitwatt.engines.codecs.hyperprior import frame
from splitwatt.engines.rangecoder.container import INTERLEAVED, SINGLE
from splitwatt.profiler.config.config import find_config, from_document, packaged, schema
from splitwatt.profiler.execute import power
from splitwatt.profiler.records.blocks import Block
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.legacy_size import legacy_bytes, pickled_bytes
from tests.board.engines.rangecoder.reference import wrap
from tests.conftest import ROOT


def test_the_legacy_size_is_sc2benchs():
    torch = pytest.importorskip("torch")
    analysis = pytest.importorskip("sc2bench.analysis")
    analyzer = analysis.FileSizeAnalyzer(unit="B")
    sizes = [
        0,
        1,
        254,
        255,
        256,
        257,
        500,
        4000,
        65000,
        *range(65470, 65550, 3),
        65536,
        70000,
        200000,
    ]
    for size in sizes:
        for shape in ((55, 55), (79, 103), (199, 303), (255, 256), (300, 500)):
            analyzer.clear()
            analyzer.analyze({"strings": [[bytes(size)]], "shape": torch.Size(shape)})
            assert pickled_bytes([size], *shape) == analyzer.file_size_list[0], (size, shape)
    for sizes in ((1, 2), (300, 20), (4000, 300), (65490, 60), (66000, 500), (500, 66000),
                  (40000, 40000), (70000, 70000)):  # fmt: skip
        for shape in ((4, 4), (300, 5)):
            analyzer.clear()
            strings = [[bytes([place]) * size] for place, size in enumerate(sizes)]
            analyzer.analyze({"strings": strings, "shape": torch.Size(shape)})
            assert pickled_bytes(sizes, *shape) == analyzer.file_size_list[0], (sizes, shape)


def test_the_legacy_size_goes_by_what_a_payload_is():
    torch = pytest.importorskip("torch")
    analysis = pytest.importorskip("sc2bench.analysis")
    side, latent = (
        wrap(SINGLE, "00000000", 4, 6, b"side"),
        wrap(INTERLEAVED, "00000000", 16, 24, bytes(900)),
    )
    analyzer = analysis.FileSizeAnalyzer(unit="B")
    analyzer.analyze({"strings": [[latent], [side]], "shape": torch.Size((4, 6))})
    assert legacy_bytes(frame(bytes(4), side, latent)) == analyzer.file_size_list[0]
    pytest.importorskip("torchvision.datasets")  # sc2bench's packages look for it in sys.modules
    codecs = pytest.importorskip("sc2bench.transforms.codec")
    for kind, keys in (("JPEG", {"quality": 50}), ("PNG", {}), ("WEBP", {"quality": 50})):
        codec = codecs.PILImageModule(returns_file_size=True, format=kind, **keys)
        image = Image.effect_noise((64, 48), 60).convert("RGB")
        stream = io.BytesIO()
        image.save(stream, kind, **keys)
        assert legacy_bytes(stream.getvalue()) == codec(image)[1]
    assert legacy_bytes(b"\xd1rubbish") is None  # eight bits a value: torch's own text is in it
    assert legacy_bytes(b"\xc1cut") is None


def test_the_published_schema_is_a_json_schema_that_means_the_same():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    for name in packaged():
        with open(find_config(name), encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
        validator.validate(document)
        from_document(copy.deepcopy(document), name)
        for path, value in _mutations(document):
            ours = _accepts(document, path, value)
            theirs = validator.is_valid(_with(document, path, value))
            assert ours == theirs, (path, value)


def _mutations(document):
    values = [None, True, -1, 0, 1, 2, 1.5, "", "cpu", "x y", [], ["cpu"], ["a", "a"], {}, {"k": 1}]
    for key in [*document, "unknown"]:
        for value in values:
            yield (key,), value
    for key in [*document["links"][0], "unknown"]:
        for value in values:
            yield ("links", 0, key), value
    first = next(id for id, row in document["configurations"].items() if "split" in row)
    for key in ("split", "assumed", "note", "unknown"):
        for value in values:
            yield ("configurations", first, key), value


def _with(document, path, value):
    changed = copy.deepcopy(document)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def _accepts(document, path, value):
    try:
        from_document(_with(document, path, value), "it")
    except ConfigError as error:
        assert "\n" not in str(error)
        # rules that the schema does not hold
        return any(
            words in str(error) for words in ("must have either", "which is not a configuration")
        )
    return True


def test_the_schema_knows_every_key_of_the_packaged_configs():
    text = (ROOT / "profiler" / "configs" / "schema.json").read_text()
    assert json.loads(text)["additionalProperties"] is False


def test_a_blocks_power_is_traced_where_there_is_a_sensor(tmp_path, monkeypatch):
    monkeypatch.setattr(power, "IDLE_S", 0.3)
    (tmp_path / "power").mkdir()
    folder = RunFolder(str(tmp_path))
    for name in ("LC1.cpu.0.csv", "LC1.cpu.0~2.csv"):
        block = Block("LC1.cpu.0", "LC1", "cpu", 0)
        sampling = {"driver": "generated", "hz": 100}
        with power.BlockPower(folder, block, "cpu", sampling=sampling) as traced:
            assert traced.why_not == []
        rows = (tmp_path / "power" / name).read_text().splitlines()
        assert rows[0].split(",")[0] == "t_s" and len(rows) > 10
        watts = [row.split(",")[1] for row in rows[2:]]  # empty where the machine stopped
        assert all(math.isfinite(float(one)) for one in watts if one) and len(set(watts)) > 5
    lines = (tmp_path / "windows.jsonl").read_text().splitlines()
    windows = [json.loads(line) for line in lines]
    assert [row["name"] for row in windows] == ["idle"] * 4  # before and after each
    assert all(row["end_s"] - row["start_s"] >= 0.3 for row in windows)


def test_no_sensor_is_no_error(tmp_path):
    empty = tmp_path / "sys"
    empty.mkdir()
    sampling = {"sysfs": str(empty)}
    block = Block("b", "LC1", "cpu", 0)
    with power.BlockPower(RunFolder(str(tmp_path)), block, "nano", sampling=sampling) as traced:
        pass
    assert traced.why_not
