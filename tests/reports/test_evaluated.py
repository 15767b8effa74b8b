"""What `splitwatt evaluate` really wrote, in a report: its figures, marked as they must be."""

import json

import pytest

from tests.conftest import splitwatt
from tests.profiler.test_evaluate import LADON, SEGMENTER, coco, imagenet, voc  # noqa: F401  (fixtures)

pytestmark = pytest.mark.long


def test_a_report_shows_what_evaluate_measured(bundles, imagenet, coco, voc, tmp_path):  # noqa: F811
    config = tmp_path / "two.yaml"
    config.write_text(
        "format: 1\nname: two\nwarmup: 0\ninferences: 2\n"
        f"configurations:\n  LC1: {{local: [{SEGMENTER}]}}\n  Ours1: {{split: [{LADON}]}}\n"
    )
    run = tmp_path / "run"
    splitwatt("profile", "--config", config, "--bundles", bundles.parent, "--out", run)
    for model, data in (
        (LADON, f"imagenet:{imagenet[0]}"),
        (LADON, f"coco:{coco}"),
        (LADON, f"voc:{voc}"),
        (SEGMENTER, f"voc:{voc}"),
    ):
        splitwatt(
            "evaluate", bundles / model, "--data", data, "--preprocess", "paper", "--out", run
        )
    splitwatt("report", run, "--out", tmp_path / "report")
    written = json.loads((run / "accuracy.json").read_text())["bundles"]
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    rows = {(r["model"], r["task"]): r for r in document["tables"]["accuracy"]["rows"]}
    due = {(m, r["task"]): r for m, bundle in written.items() for r in bundle["results"]}
    assert set(rows) == set(due) and len(rows) == 4
    for key, row in rows.items():
        for name, figure in due[key]["metrics"].items():
            assert row[name]["value"] == figure["value"], (key, name)
            # Random weights: whatever was counted, it is no accuracy of the paper's model.
            assert "generated" in row[name]["sources"]
        payload = due[key]["payload_bytes"]
        kib = row["payload_mean_kib"]["value"]
        assert kib == (None if payload is None else payload["value"] / 1024)
        assert (row["legacy_pickled_mean_kib"]["value"] or 0) >= (kib or 0)
    assert {"classification", "detection", "segmentation"} == {task for _, task in rows}
