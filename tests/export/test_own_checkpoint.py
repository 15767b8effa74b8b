"""A checkpoint of one's own and its sc2bench YAML become a paper's tables: four commands, no Python."""

import json
import shutil

import pytest
import torch
import yaml
from sc2bench.models.registry import load_classification_model

from splitwatt.engines.photos import default_photos
from splitwatt.export.weights.random_weights import seeded
from tests.conftest import splitwatt
from tests.export.test_sc2bench_configs import DATA

pytestmark = pytest.mark.long

CLASSES = ["animals", "buildings", "drinks", "people"]
STUDENT = {
    "key": "splittable_resnet",
    "kwargs": {
        "num_classes": 4,
        "resnet_name": "resnet50",
        "skips_avgpool": False,
        "skips_fc": False,
        "bottleneck_config": {
            "key": "FPBasedResNetBottleneck",
            "kwargs": {"num_bottleneck_channels": 12, "num_target_channels": 256},
        },
    },
}
CONFIG = """
format: 1
name: mine
inferences: 2
links: [{name: slow, kind: simulated, rate_kbit_s: 100}]
configurations: {Mine1: {split: [mine]}}
"""


@pytest.fixture
def given(tmp_path):
    """What the user has: the YAML, the checkpoint that torchdistill saved, labelled photographs."""
    with seeded("own checkpoint"):
        model = load_classification_model(STUDENT, "cpu", False).eval()
    model.update()
    torch.save({"model": model.state_dict(), "classes": CLASSES}, tmp_path / "student.pt")
    (tmp_path / "student.yaml").write_text(
        yaml.safe_dump({"models": {"student_model": STUDENT}}) + DATA
    )
    for index, name in enumerate(CLASSES):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        shutil.copy(default_photos()[index], tmp_path / "photographs" / name)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return tmp_path


def test_four_commands_lead_to_tables_for_a_paper(given):
    bundles, run = given / "bundles", given / "run"
    splitwatt("export", "--sc2bench", given / "student.yaml", "--weights", given / "student.pt",
              "--name", "mine", "--target", "cpu", "--bundles", bundles)  # fmt: skip
    splitwatt("profile", "--config", given / "mine.yaml", "--bundles", bundles, "--out", run)
    splitwatt("evaluate", bundles / "cpu" / "mine", "--data", f"classes:{given / 'photographs'}",
              "--out", run)  # fmt: skip
    splitwatt("report", run, "--out", given / "paper")
    manifest = json.loads((bundles / "cpu" / "mine" / "manifest.json").read_text())
    assert manifest["weights"]["trained"]
    assert manifest["postprocess"]["classification"]["labels"] == CLASSES
    encoder = next(part for part in manifest["parts"] if part["name"] == "encoder")
    assert encoder["outputs"][0]["shape"][1] == 12
    report = json.loads((given / "paper" / "report.json").read_text())["tables"]
    (row,) = report["summary"]["rows"]
    assert row["payload_kib"]["sources"] == ["measured"]
    (row,) = report["accuracy"]["rows"]
    assert (row["model"], row["images"]["value"]) == ("mine", 4)
    latex = given / "paper" / "latex"
    assert "Mine 1" in (latex / "table_summary.tex").read_text()
    assert (latex / "table_accuracy.tex").is_file()
