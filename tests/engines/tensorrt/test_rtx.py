"""`splitwatt build --backend tensorrt-rtx`, with NVIDIA's own parser and builder and without a GPU."""

import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
import pytest

from splitwatt.device_configs import targets
from splitwatt.device_configs.errors import EngineError, TargetError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.backends import load_engine
from splitwatt.engines.tensorrt import records, rtx, versions
from splitwatt.engines.tensorrt.building.build import build_bundle
from splitwatt.engines.tensorrt.building.build_part import Options
from splitwatt.export import zoo
from tests.board.tiny import COMMAND, read_document, tiny_bundle, write_document
from tests.conftest import ROOT, splitwatt
from tests.engines.tensorrt import rtx_table
from tests.engines.tensorrt.rtx import need_rtx, newest_headers

pytestmark = pytest.mark.long


def bundle_for_rtx(folder, target="laptop", server_target="server_rtx3090"):
    path = tiny_bundle(folder, photos=1)
    document = read_document(path)
    document["target"], document["server_target"] = target, server_target
    for part in document["parts"]:
        part["target"] = target if part["placement"] == "board" else server_target
        part["runtime"] = "tensorrt"
    write_document(path, document)
    return str(path)


def build(*arguments):
    return subprocess.run(
        [*COMMAND, "build", *arguments, "--backend", "tensorrt-rtx"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def records_of(path):
    files = sorted((Path(path) / "engines").glob("*.json"))
    return {document["part"]: document for document in (json.loads(f.read_text()) for f in files)}


def test_both_ends_are_built_for_their_own_gpus_without_one(tmp_path):
    need_rtx()
    path = bundle_for_rtx(tmp_path / "b")
    done = build(path, "--fall-back", "--json")
    assert done.returncode == 0, done.stderr
    made = records_of(path)
    parts = json.loads(done.stdout)["bundles"][0]["parts"]
    assert sorted(part["part"] for part in parts) == sorted(made)
    assert {record["runtime"] for record in made.values()} == {"tensorrt-rtx"}
    encoder = made["encoder"]
    assert (encoder["runs_on"], encoder["sm"], encoder["precision"]) == ("tensorrt", "8.6", "fp32")
    assert encoder["tensorrt"].startswith("1.") and encoder["build_s"] > 0
    engine = Path(path) / "engines" / encoder["engine"]
    assert engine.stat().st_size > 1000
    assert not list(engine.parent.glob("timing*"))
    # A file whose hash is not the recorded one is built again, a whole one is kept.
    before = engine.read_bytes()
    engine.write_bytes(before + b"x")
    assert build(path, "--fall-back").returncode == 0
    assert (
        records_of(path)["encoder"]["engine_sha256"] != "" and engine.read_bytes() != before + b"x"
    )


def test_a_jetson_is_refused_in_one_sentence(tmp_path):
    path = bundle_for_rtx(tmp_path / "b", "nano", "nano")
    done = build(path)
    assert done.returncode == 1 and not (Path(path) / "engines").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert (
        "TensorRT for RTX does not support the target 'nano'" in last
        and "Traceback" not in done.stderr
    )
    assert "on that machine run splitwatt build, without --backend" in last
    with pytest.raises(TargetError, match="does not support the target 'nano'"):
        here = versions.Machine("1.7.1", "5.3", "", versions.RTX)
        versions.check_target(targets.load_target("nano"), here)


def test_a_gpu_that_it_does_not_list_is_refused_in_one_sentence(tmp_path):
    """SM 9.0, of the H100 and H200, is no RTX GPU."""
    need_rtx()
    text = (ROOT / "device_configs" / "server_rtx3090.yaml").read_text()
    for old, new in (
        ("name: server_rtx3090", "name: server_h200"),
        ('{value: "8.6"', '{value: "9.0"'),
    ):
        text = text.replace(old, new, 1)
    target = tmp_path / "server_h200.yaml"
    target.write_text(text)
    path = bundle_for_rtx(tmp_path / "b", server_target="server_h200")
    done = build(path, "--target", str(target), "--placement", "server")
    assert done.returncode == 1 and not (Path(path) / "engines").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert "TensorRT for RTX builds nothing for server_h200 (SM 9.0)" in last
    assert "run splitwatt build, without --backend" in last
    assert last.endswith("SM 7.5, SM 8.0, SM 8.6, SM 8.9, SM 12.0, SM 12.1")


def test_both_ends_may_have_a_target_of_one_s_own(tmp_path, monkeypatch):
    """Each part is built in a process of its own, which learns of the target's file."""
    need_rtx()
    monkeypatch.setattr(targets, "_FILES", {})
    text = (ROOT / "device_configs" / "server_rtx3090.yaml").read_text()
    for name, sm in (("my_laptop", "8.9"), ("my_server", "12.0")):
        file = tmp_path / (name + ".yaml")
        own = text.replace("name: server_rtx3090", "name: " + name, 1)
        file.write_text(own.replace('{value: "8.6"', '{value: "%s"' % sm, 1))
        targets.load_target(str(file))
    path = bundle_for_rtx(tmp_path / "b", "my_laptop", "my_server")
    build_bundle(path, lambda line: None, Options(runtime=versions.RTX, fall_back=True))
    made = {name: record["sm"] for name, record in records_of(path).items()}
    assert made.pop("encoder") == "8.9" and set(made.values()) == {"12.0"}


def test_an_unknown_operator_is_one_sentence_although_the_wheel_lacks_a_link(tmp_path):
    """NVIDIA's parser ends the process there, unless both names of its library are found."""
    need_rtx()
    path = bundle_for_rtx(tmp_path / "b")
    model = onnx.load(str(Path(path) / "encoder.onnx"))
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, str(Path(path) / "encoder.onnx"))
    document = read_document(path)
    part = next(part for part in document["parts"] if part["name"] == "encoder")
    file = Path(path) / part["file"]
    part.update(sha256=sha256_file(str(file)), bytes=file.stat().st_size)
    write_document(path, document)
    done = build(path, "--placement", "board")
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "refuses" in last and "knows an operator neither itself nor from a plugin" in last


def test_an_engine_whose_hash_is_not_recorded_is_not_loaded(tmp_path):
    need_rtx()
    path = bundle_for_rtx(tmp_path / "b")
    assert build(path, "--placement", "board").returncode == 0
    (record,) = records.read_records(str(Path(path) / "engines"))
    engine = Path(path) / "engines" / record.engine
    engine.write_bytes(engine.read_bytes() + b"x")
    with pytest.raises(EngineError, match=r"damaged: .*build it again: splitwatt build"):
        records.engine_path(str(engine.parent), record)


def test_export_builds_a_detector_cut_at_what_the_runtime_lacks(tmp_path):
    """No part falls back: the export cut before NonMaxSuppression."""
    need_rtx()
    done = splitwatt("export", "--model", "ssdlite320_mobilenet_v3_large", "--target", "laptop", "--weights",
                     "random", "--bundles", tmp_path, "--build", "--json")  # fmt: skip
    assert (
        "NonMaxSuppression (unsupported): TensorRT for RTX 1.7 does not support it" in done.stderr
    )
    made = json.loads(done.stdout)
    records = [json.loads(Path(part["record"]).read_text()) for part in made["engines"]]
    assert [record["part"] for record in records] == ["model", "model.2"]
    assert [(record["runs_on"], record["rule"]) for record in records] == [
        ("tensorrt", None), ("cpu", "placed")
    ]  # fmt: skip


def test_export_refuses_to_build_for_a_jetson_before_it_starts(tmp_path):
    need_rtx()
    done = splitwatt("export", "--model", "ssd300_vgg16", "--target", "nano", "--weights", "random",
                     "--bundles", tmp_path, "--build", check=False)  # fmt: skip
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert "TensorRT for RTX does not serve nano or server" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_backend_that_lacks_a_package_is_the_one_that_was_asked_for(monkeypatch, tmp_path):
    need_rtx()
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(EngineError, match="'tensorrt-rtx' needs the package pycuda"):
        load_engine("tensorrt-rtx", str(tmp_path / "encoder.onnx"))


def test_engines_of_one_runtime_are_not_loaded_by_the_other(tmp_path):
    onnx = tmp_path / "encoder.onnx"
    made = versions.Machine("1.7.1", "8.6", "", versions.RTX)
    record = records.Record(
        "encoder", "0" * 64, "tensorrt", None, "", "1.7.1", "8.6", "fp32", None, {}, (), (),
        "e.engine", "0" * 64, 1.0, records.now(), versions.RTX,
    )  # fmt: skip
    assert records.choose([record], str(onnx), "0" * 64, made) is record
    for here, words in [
        (versions.Machine("10.3.0", "8.6"), ["built with TensorRT for RTX, not with TensorRT"]),
        (made._replace(sm="8.9"), ["built for SM 8.6", "--backend tensorrt-rtx"]),
        (made._replace(tensorrt="1.8.0"), ["with TensorRT for RTX 1.7.1", "has 1.8.0"]),
        # A Nano that got the laptop's engine.
        (
            versions.Machine("8.2.1", "5.3"),
            ["TensorRT for RTX, not with TensorRT", "splitwatt build"],
        ),
    ]:
        with pytest.raises(EngineError) as error:
            records.choose([record], str(onnx), "0" * 64, here)
        assert all(word in str(error.value) for word in words), str(error.value)
    old = records.Record._make(record[:-1] + ("tensorrt",))
    machine = versions.Machine("1.7.1", "8.6")
    assert records.choose([old], str(onnx), "0" * 64, machine) is old


def test_its_names_exist():
    """Those that the adapter shares with TensorRT 11 and those of its own."""
    need_rtx()
    from splitwatt.engines.tensorrt.rtx import import_rtx
    from tests.engines.tensorrt.stand_in import DOCUMENT

    trt = import_rtx()
    # Methods that Python overrides are no attributes of the binding's class.
    overridden = ("ILogger", "IOutputAllocator")
    for key, tags in DOCUMENT["names"].items():
        owner, name = key.split(".", 1)
        holder = trt if owner == "module" else getattr(trt, owner)
        if "v11.1" in tags and owner not in overridden:
            assert hasattr(holder, name), key
    text = (Path(versions.__file__).parent / "rtx.py").read_text()
    used = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "config"
    }
    assert used and all(hasattr(trt.IBuilderConfig, name) for name in used)


@pytest.mark.parametrize(
    ("model", "precisions", "built", "in_graph"),
    [
        # A detector in fp16 and int8, on 8.2 in fp16 alone: its graph differs by the version.
        ("ssdlite320_mobilenet_v3_large", ("fp16", "int8"), 7, 0),
        # Encoder, body, classifier; the encoder with and without the coder in three precisions,
        # which packs its words from TensorRT 10 on.
        ("entropic_student_ic@5.12", ("fp32", "fp16", "int8"), 30, 11),
        # The detector, cut or whole, among four other parts.
        ("ladon_r50@20.48", ("fp32",), 26, 4),
    ],
)
def test_every_part_is_parsed_and_built_for_every_table(
    bundles, model, precisions, built, in_graph
):
    """A part of the tables in docs/compatibility.md, which `python -m tests.engines.tensorrt.rtx_table` makes whole.

    Stand-ins take the place of the three operators that TensorRT for RTX lacks.
    """
    need_rtx()
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.tensorrt.rtx_table", str(bundles / model),
         "--precisions", ",".join(precisions), "--again"],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = set(done.stdout.splitlines())
    assert f"| {model} | " + " | ".join(["100.0 %"] * 4) + " |" in lines, done.stdout
    rows = [line for line in lines if " | yes | yes | " in line]
    # Without TensorRT's public headers there is no plugin for the encoder.
    without = 0 if newest_headers() else in_graph
    assert len(rows) == built - without, done.stdout


@pytest.mark.parametrize("model", ["mobilenet_v2", "cr_bq_ic@1", "frankensplit_resnet50@0.015"])
def test_the_page_has_the_graphs_of_a_model_as_they_are_now(model):
    """They are parsed and built here, whatever the page says of them."""
    need_rtx()
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.tensorrt.rtx_table", model, "--again"],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    built = {line.strip("| ").split(" | ")[-1] for line in done.stdout.splitlines()
             if " | yes | yes | " in line}  # fmt: skip
    by_model, _ = rtx_table.read_page()
    # Without TensorRT's public headers there is no plugin for the encoder.
    page = {row.graph for row in by_model[model]
            if newest_headers() or "in-graph" not in row.precision}  # fmt: skip
    assert built == page


def test_the_page_s_table_is_of_graphs_that_were_built():
    """Each line of it; every model of the zoo has lines, and every target with TensorRT a column."""
    by_model, shares = rtx_table.read_page()
    assert set(by_model) == set(shares)
    exported = {name for name, system in zoo.systems().items() if not system.unavailable}
    # libbpg is in no package index.
    assert {zoo.find(name)[0].name for name in by_model} == exported - {"bpg+resnet50"}
    rows = [row for same in by_model.values() for row in same]
    assert {(row.parsed, row.built) for row in rows} == {("yes", "yes")}
    for row in rows:
        verdicts = (
            dict(zip(rtx_table.VERSIONS, row.taken.split(", "))) if row.taken != "yes" else {}
        )
        for group in row.group.split("; "):
            assert verdicts.get(group.split(" ")[0], "yes") == "yes", row
    placed = {name for names in rtx_table.groups().values() for name in names}
    assert {"nano", "xavier_nx", "orin_nano", "laptop", "server"} <= placed
    text = rtx_table.PAGE.read_text()
    assert all(f"`{name}`" in text for name in placed)


def test_a_graph_s_hash_is_not_of_its_weights(bundles):
    """Rates of a model share their graphs where only weights differ."""
    model = onnx.load(str(bundles / "mobilenet_v3_large" / "model.onnx"))
    before = rtx_table.structure(model)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.raw_data = bytes(len(weights.raw_data))
    assert rtx_table.structure(model) == before
    weights.dims[0] += 1
    assert rtx_table.structure(model) != before


def test_a_temporary_folder_that_cannot_be_written_is_one_sentence(monkeypatch):
    need_rtx()
    monkeypatch.setattr(rtx, "_links", [])
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(EngineError, match="set TMPDIR"):
        rtx.import_rtx()
