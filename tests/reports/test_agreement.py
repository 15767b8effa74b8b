"""Agreement of a run's models with another one, as `evaluate --against` wrote it: column, figure, page."""

import json
import re
from types import SimpleNamespace

import pytest

from splitwatt.reports.load.values import exact
from splitwatt.reports.metrics.tradeoffs import Curve, Point
from splitwatt.reports.write.write import make_report
from tests.reports.browser import dom
from tests.reports.synthetic import make_config, sha, write_run

LADON = ("ladon_r50@0.32", "ladon_r50@20.48")
# Model -> percent, bytes.
STATED = {LADON[0]: (80.0, 9000.0), LADON[1]: (60.0, 3000.0), "mnasnet0_5": (70.0, None)}


def entry(model, percent, size, against="mobilenet_v3_large"):
    figure = {"value": percent, "n": 30, "low": percent - 9, "high": percent + 9,
              "interval": "invented"}  # fmt: skip
    return {
        "model": model, "manifest_sha256": sha(model), "trained": True,
        "against": {"model": against, "trained": True}, "folder": "/photographs",
        "data_set": "images", "images": 30, "whole": True, "backend": "cpu",
        "tasks": {"classification": {"agreement": {"top1_percent": figure}}},
        "payload_bytes": None if size is None else {"value": size, "n": 30},
    }  # fmt: skip


@pytest.fixture
def run(tmp_path):
    config = make_config(["LC1", "LC20", "Ours1", "Ours5"], links=1, inferences=6)
    run = write_run(tmp_path / "run", config, trained=True)
    write(run, [entry(model, *stated) for model, stated in STATED.items()])
    return run


def write(run, results):
    (run / "agreement.json").write_text(json.dumps({"format": 1, "results": results}))


def test_agreement_is_a_column_and_the_first_figure(run, tmp_path):
    made = make_report([run], tmp_path / "r")
    rows = {row["config"]: row["agreement_top1_percent"] for row in made.table("summary").rows}
    assert {id: cell.value for id, cell in rows.items()} == {
        "LC 1": None, "LC 20": 70.0, "Ours 1": 80.0, "Ours 5": 60.0
    }  # fmt: skip
    assert (rows["Ours 1"].low, rows["Ours 1"].high, rows["Ours 1"].n) == (71.0, 89.0, 30)
    drawing = made.figures[0]
    assert drawing.name == "agreement_classification" and drawing.sources == "measured"
    assert "with mobilenet_v3_large on 30 images without labels" in drawing.caption
    axis = drawing.draw().axes[0]
    curve = axis.containers[0].lines[0]
    assert curve.get_xdata() == pytest.approx([3000 / 1024, 9000 / 1024])
    assert list(curve.get_ydata()) == [60.0, 80.0]
    assert "with the answers of mobilenet_v3_large on 30 images" in made.table("summary").notes[0]
    text = (tmp_path / "r" / "report.md").read_text()
    assert (
        text.index(f"({drawing.files[0]})") < text.index("| Config. |") < text.index("latency_100")
    )
    assert "80.0 (71.0 to 89.0)" in text
    page = (tmp_path / "r" / "report.html").read_text()
    assert '"agreement":true' in page and "agreement with mobilenet_v3_large on 30 images" in page


def test_a_run_without_it_has_no_such_column(run, tmp_path):
    (run / "agreement.json").unlink()
    made = make_report([run], tmp_path / "r")
    assert "agreement_top1_percent" not in made.table("summary").rows[0]
    assert made.figures[0].name.startswith("latency")


def test_what_most_models_were_compared_with_is_shown(run, tmp_path):
    few = entry(LADON[0], 10.0, 1.0, against="mobilenet_v2")
    write(run, [few, *(entry(model, *stated) for model, stated in STATED.items())])
    rows = make_report([run], tmp_path / "r").table("summary").rows
    assert [row["agreement_top1_percent"].value for row in rows] == [None, 70.0, 80.0, 60.0]


def test_an_entry_of_another_bundle_or_a_damaged_one_is_left_out_with_a_sentence(run, tmp_path):
    other = {**entry(LADON[0], 99.0, 1.0), "manifest_sha256": sha("another export")}
    write(run, [other, entry(LADON[1], 60.0, 3000.0), {"model": LADON[0]}, entry("unknown", 1, 1)])
    made = make_report([run], tmp_path / "r")
    rows = [row["agreement_top1_percent"].value for row in made.table("summary").rows]
    assert rows == [None, None, None, 60.0]
    said = [line for line in made.shortfalls if line.startswith("Agreement")]
    assert len(said) == 2 and "another bundle than the run's" in said[0] and "damaged" in said[1]


@pytest.mark.parametrize("text", ["", "[1]", '{"results": {}}', '{"results": [7, null, "a"]}'])
def test_a_damaged_file_costs_the_column_alone(run, tmp_path, text):
    (run / "agreement.json").write_text(text)
    made = make_report([run], tmp_path / "r")
    assert "agreement_top1_percent" not in made.table("summary").rows[0]
    assert any("greement" in line for line in made.shortfalls) == (
        text not in ("[1]", '{"results": {}}')
    )


def test_answers_of_random_weights_are_marked(run, tmp_path):
    write(run, [{**entry(LADON[0], 80.0, 9000.0), "trained": False}])
    made = make_report([run], tmp_path / "r")
    cells = [row["agreement_top1_percent"] for row in made.table("summary").rows]
    assert "generated" in next(cell for cell in cells if cell.value is not None).sources
    assert "mean nothing" in made.figures[0].caption


def test_a_codec_s_curve_has_the_colour_of_its_configurations():
    """`jpeg@10+efficientnet_lite0` is a point of the group JPEG."""
    model = "jpeg@10+efficientnet_lite0"
    point = Point(model, exact(60.0), exact(3.0), exact(0.0))
    curve = Curve("jpeg+efficientnet_lite0", "JPEG (EfficientNet-Lite0)", (point,), False, False)
    entry = SimpleNamespace(split=True, models=[model], group="JPEG")
    assert curve.group([SimpleNamespace(entries=[entry])]) == "JPEG"


def test_every_interval_lies_inside_the_chart_of_the_page(run, tmp_path):
    make_report([run], tmp_path / "r")
    chart = re.search(
        r'<[^>]*id="tradeoff-chart".*?</svg>', dom(tmp_path / "r" / "report.html"), re.S
    )
    upright = re.findall(r'x1="([^"]+)" x2="\1" y1="([^"]+)" y2="([^"]+)"', chart.group())
    ends = [float(end) for _, *both in upright for end in both]
    assert len(ends) > 6 and min(ends) >= 7.99 and max(ends) <= 290.01  # the axis is at 290
