"""A run folder with a file of every kind: those that `run`, `profile --boards` and `evaluate` add, too."""

import hashlib
import json
import shutil
from pathlib import Path

from splitwatt.profiler.records.blocks import Carried, Chosen
from tests.conftest import ROOT
from tests.reports.accuracy_file import accuracy

SHA256 = "0" * 64
_ABOUT = {
    "model": "tiny@1", "manifest_sha256": SHA256, "backend": "cpu", "data_set": "x",
    "against": {"model": "tiny_local", "manifest_sha256": SHA256, "trained": False, "backend": "cpu"},
    "folder": "x",
}  # fmt: skip


def newer_run(run: Path) -> Path:
    """Copies the old run there and adds the files."""
    shutil.copytree(ROOT / "tests" / "data" / "old_run", run)
    document = json.loads((run / "run.json").read_text())
    document["deployed"] = {
        "source": "frames", "deadline_s": 0.5, "quality_of": "top-1", "counts": {"answered": 4},
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(document))
    with open(run / "timeline.jsonl", "w") as stream:
        for number in range(4):
            row = Chosen("Ours1", "Ours1.cpu.0", number, number, 1.0 + number, 0.3, "Ours1", "best",
                         0.2, 100.0, 78.0, False, number, 0)  # fmt: skip
            stream.write(json.dumps(row._asdict()) + "\n")
    with open(run / "boards.jsonl", "w") as stream:
        for boards in (1, 2, 4):
            row = Carried("Ours1", "Ours1.cpu.0", boards, 5.0, "poisson", 0.5, 1, 20.0, 100 * boards, 0,
                          boards, 0.001, 0.02, 0.1, 0.3, 0.001, 0.03, 1, 0)  # fmt: skip
            stream.write(json.dumps(row._asdict()) + "\n")
    (run / "accuracy.json").write_text(json.dumps(accuracy()))
    (run / "evaluation").mkdir()
    lines = [{"format": 2, **_ABOUT}]
    for number in range(3):
        lines.append({"name": f"{number}.jpg", "payload_bytes": 10, "against_payload_bytes": None,
                      "classification": {"labels": [1], "truth": 1}})  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "evaluation" / "a.jsonl").write_text(text)
    figure = {"value": 100.0, "n": 3, "low": 40.0, "high": 100.0, "interval": "Wilson"}
    result = {
        **_ABOUT, "trained": False, "images": 3, "whole": True, "server_backend": None, "server": None,
        "records": {"file": "evaluation/a.jsonl", "sha256": hashlib.sha256(text.encode()).hexdigest()},
        "payload_bytes": figure, "against_payload_bytes": None,
        "tasks": {"classification": {"agreement": {"top1_percent": figure}, "differences": {}}},
    }  # fmt: skip
    (run / "agreement.json").write_text(json.dumps({"format": 1, "results": [result]}))
    return run
