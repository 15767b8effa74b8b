"""Accuracy: what accuracy.json says is in table, figures and page; what it lacks is reported."""

import copy
import csv
import json
from types import SimpleNamespace

import jsonschema
import pandas as pd
import pytest

from splitwatt.device_configs.errors import RunError
from splitwatt.reports.figures.style import coloured, system_look
from splitwatt.reports.figures.tradeoff import rate_distortion
from splitwatt.reports.load.accuracy import NONE, Accuracy, read_accuracy, split_name
from splitwatt.reports.load.model import series_of
from splitwatt.reports.load.runs import load_runs
from splitwatt.reports.metrics.tradeoffs import curves, subsets, systems
from splitwatt.reports.tables.accuracy import accuracy_table
from tests.conftest import ROOT, splitwatt
from tests.reports.accuracy_file import accuracy, write
from tests.reports.synthetic import make_config, write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accuracy")
    run = write_run(folder / "run", make_config(["LC1", "Ours1", "Ours2"], links=1), trained=True)
    write(run / "accuracy.json", accuracy())
    splitwatt("report", run, "--out", folder / "report", "--for", "neurips")
    return folder / "report"


def read(tmp_path, document) -> Accuracy:
    return read_accuracy([], [write(tmp_path / "accuracy.json", document)])


def test_the_file_keeps_to_the_published_schema():
    schema = json.loads((ROOT / "profiler" / "configs" / "accuracy.schema.json").read_text())
    jsonschema.validate(accuracy(), schema)


def test_every_number_is_in_the_table(made):
    rows = pd.read_csv(made / "accuracy.csv").set_index(["model", "task"])
    seen = 0
    for model, bundle in accuracy()["bundles"].items():
        for result in bundle["results"]:
            row = rows.loc[model, result["task"]]
            ((metric, found),) = result["metrics"].items()
            assert row[metric] == found["value"] and row[f"{metric}_low"] == found["low"]
            assert row[f"{metric}_source"] == "measured"
            sent = result["payload_bytes"]
            assert (
                pd.isna(row.payload_mean_kib)
                if sent is None
                else row.payload_mean_kib == (pytest.approx(sent["value"] / 1024))
            )
            seen += 1
    assert seen == len(rows) == 12


def test_published_points_stand_beside_them_as_published(made):
    with open(ROOT / "profiler" / "config" / "published.csv", newline="") as stream:
        stated = [
            r for r in csv.DictReader(stream) if (r["backbone"], r["beta"]) == ("resnet50", "1.28")
        ]
    rows = pd.read_csv(made / "accuracy.csv").set_index(["model", "data_set"])
    for line in stated:
        row = rows.loc["ladon_r50@1.28", line["dataset"]]
        assert row.published_percent == float(line["value"])
        assert row.published_kib == float(line["data_size_kb_mean"])
        assert row.published_percent_source == row.published_kib_source == "published"


def test_each_task_has_its_figures_one_column_wide(made):
    figures = {f["name"]: f for f in json.loads((made / "report.json").read_text())["figures"]}
    for task in ("classification", "detection", "segmentation"):
        for kind in ("rate_distortion", "three_way"):
            figure = figures[f"{kind}_{task}"]
            assert "published" in figure["sources"] and "Error bars: invented" in figure["caption"]
            for file in figure["files"]:
                assert (made / file).stat().st_size > 5000
    assert "## Accuracy" in (made / "report.md").read_text()


def test_curves_are_systems_by_data_size(tmp_path):
    found = {c.label: c for c in curves(read(tmp_path, accuracy()), "classification")}
    ladon = found["Ladon R50"]
    assert [p.rate for p in ladon.points] == ["5.12", "1.28", "0.32"] and not ladon.published
    point = ladon.points[-1]
    assert point.exr.value == pytest.approx(60000 / 1024 * 560_000 / 2**20)
    assert found["JPEG (ResNet-50)"].points[0].encoder_mib.value is None
    assert found["MobileNetV3 Large 1.0"].local
    assert found["Ladon R50 (published)"].published
    assert found["MobileNetV3 Large 1.0 (published)"].points[0].percent.value == 74.0


def test_systems_that_the_papers_set_apart_have_figures_of_their_own(tmp_path):
    document = accuracy()
    of_jpeg = document["bundles"].pop("jpeg@10+resnet50")
    for name in ("resnet50_layer1_eb@1.0e-4", "resnet50_layer4_webp@50", "frankensplit_swin_b@0.032",
                 "entropic_student_ic@0.32", "entropic_student_ic_resnet101_mshp@0.32"):  # fmt: skip
        document["bundles"][name] = of_jpeg
    found = subsets(curves(read(tmp_path, document), "classification"))
    labels = {name: [curve.label for curve in shown] for name, _, shown in found}
    assert [(name, paper) for name, paper, _ in found] == [
        ("", ""), ("placement", "SC2 Fig. 8"), ("codec_placement", "SC2 Fig. 9"),
        ("architectures", "SC2 Fig. 10"), ("frankensplit", "FrankenSplit Figs. 13, 15"),
    ]  # fmt: skip
    assert labels["placement"] == ["Entropic Student", "ResNet-50 (layer1, entropy bottleneck)"]
    assert labels["architectures"] == [
        "Entropic Student",
        "Entropic Student (ResNet-101, MSHP)",
    ]
    assert "Ladon R50 (published)" in labels[""] and "JPEG (ResNet-50)" in labels[""]


def test_curves_have_their_systems_colour_and_differ_within_it(tmp_path):
    """As the bars have it: Ladon is what Ours runs, the local model LC's; BPG and JPEG are no rows."""
    run = write_run(tmp_path / "run", make_config(["LC1", "SC1", "Ours1"], links=1), trained=True)
    document = accuracy()
    bundles = document["bundles"]
    bundles["bpg@30+resnet50"] = bundles["jpeg@10+resnet50"]
    bundles["mnasnet1_3"] = copy.deepcopy(bundles["mobilenet_v3_large"])
    write(run / "accuracy.json", document)
    series = series_of(load_runs([run])[0])
    found = read_accuracy([each.run for each in series])
    names = systems(series, found)
    assert names[:3] == ["LC", "SC", "Ours"]
    assert {"BPG (ResNet-50)", "JPEG (ResNet-50)"} < set(names[3:])
    with coloured(names):
        (axis, *_) = rate_distortion(curves(found, "classification"), series, "Top-1 [%]").axes
        wanted = {name: system_look(name)[0] for name in names}
    looks = {}
    for line, label in zip(*axis.get_legend_handles_labels(), strict=True):
        line = getattr(line, "lines", [line])[0]
        looks[label] = (line.get_color(), line.get_marker(), line._dash_pattern)
    assert len(set(map(str, looks.values()))) == len(looks) >= 6
    own = {"Ladon R50": "Ours", "Ladon R50 (published)": "Ours", "MobileNetV3 Large 1.0": "LC",
           "MNASNet 1.3": "LC", "JPEG (ResNet-50)": "JPEG (ResNet-50)"}  # fmt: skip
    assert {label: looks[label][0] for label in own} == {
        label: wanted[name] for label, name in own.items()
    }


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (("Split1",), ["Local", "JPEG", "Split", "WebP"]),  # as LC, SC and Ours
        ((), ["Local", "SC", "JPEG", "WebP", "Split"]),  # all split ones are under test
    ],
)
def test_the_first_colours_are_those_of_the_roles(method, expected):
    entries = [
        SimpleNamespace(group=name, baseline="" if tested else role, under_test=tested)
        for name, role in (("Local", "LC"), ("JPEG", "SC"), ("WebP", "SC"), ("Split", "SC"))
        for tested in [role == "SC" and (not method or f"{name}1" in method)]
    ]
    series = [SimpleNamespace(entries=entries, run=SimpleNamespace(path="", agreement=None))]
    assert systems(series, NONE) == expected


def test_another_data_set_is_not_compared_with_published_figures(tmp_path):
    document = accuracy()
    for bundle in document["bundles"].values():
        for result in bundle["results"]:
            result["data_set"] = "mine"
    assert not any(c.published for c in curves(read(tmp_path, document), "detection"))


def test_untrained_weights_make_generated_accuracy(tmp_path):
    found = read(tmp_path, accuracy(trained=False))
    assert {r.main.sources for r in found.results} == {("measured", "generated")}


def test_damaged_entries_are_left_out_and_reported(tmp_path):
    document = copy.deepcopy(accuracy())
    results = document["bundles"]["ladon_r50@0.32"]["results"]
    del results[0]["metrics"]
    results[1]["metrics"]["map_50_95_percent"]["value"] = "nan"
    results[2]["task"] = "weather"
    found = read(tmp_path, document)
    assert len(found.problems) == 2 and "ladon_r50@0.32" in found.problems[0]
    (nan,) = (r for r in found.results if r.model == "ladon_r50@0.32")
    assert nan.main.value is None and "no finite number" in nan.main.why
    assert "format 1" in read(tmp_path, {"format": 7}).problems[0]
    for wrong in (5, [5], ["x"], {"a": 1}, [{"task": "detection", "metrics": []}]):
        document["bundles"] = {"ladon_r50@0.32": {"trained": True, "results": wrong}}
        assert len(read(tmp_path, document).problems) == 1


@pytest.mark.parametrize(
    "value, said",
    [(float("nan"), "holds NaN"), (10**400, "which is beyond"), ("\x1b[31m", "control character")],
)
def test_what_no_file_can_hold_is_refused(tmp_path, value, said):
    document = copy.deepcopy(accuracy())
    document["bundles"]["ladon_r50@0.32"]["results"][0]["data_set"] = value
    with pytest.raises(RunError, match=said):
        read(tmp_path, document)


def test_a_rate_may_be_anywhere_in_a_models_name():
    assert split_name("jpeg@50+resnet50") == ("jpeg+resnet50", "50")
    assert split_name("ladon_r50@0.32") == ("ladon_r50", "0.32")
    assert split_name("mobilenet_v2") == ("mobilenet_v2", "")


def test_without_accuracy_the_report_says_so(half):
    assert any(line.startswith("Accuracy: no run has") for line in half.json["missing"])
    assert not half.json["tables"]["accuracy"]["rows"]


def test_results_of_two_backends_are_distinguished(tmp_path):
    document = accuracy()
    results = document["bundles"]["mobilenet_v3_large"]["results"]
    assert "backend" not in [c.key for c in accuracy_table(read(tmp_path, document)).columns]
    results[0].update(backend="cpu", server_backend=None)
    results.append(dict(results[0], backend="tensorrt", server_backend="cuda"))
    table = accuracy_table(read(tmp_path, document))
    found = [r["backend"] for r in table.rows if r["model"] == "mobilenet_v3_large"]
    assert found == ["cpu", "tensorrt + cuda"]
    assert "backend" in [c.key for c in table.columns]
