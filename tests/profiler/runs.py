"""Run folders made by hand, line by line, for what reads runs."""

import json
from pathlib import Path

from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.execute.plan import plan_blocks
from splitwatt.profiler.records.sample import Sample

CONFIG = {
    "format": 1,
    "name": "made",
    "warmup": 1,
    "inferences": 8,
    "links": [{"kind": "simulated", "preset": "100kbit"}],
    "configurations": {
        "LC1": {"local": ["local"]},
        "SC1": {"split": ["large@1"]},
        "Ours1": {"split": ["small@1"]},
    },
}


def made_run(folder: Path, times: dict, config: dict | None = None, more: dict | None = None):
    """A run whose configurations took `times`: id -> (total_s, server_s, payload bytes or None)."""
    document = config or CONFIG
    parsed = from_document(json.loads(json.dumps(document)), "made")
    blocks = [dict(spec._asdict()) for spec in plan_blocks(parsed)]
    about = {
        "format": 1, "id": "made-1", "name": "made", "config": parsed.to_json(), "resumed": [],
        "started_wall": "2026-11-21T00:00:00Z", "finished_wall": "2026-11-21T00:01:00Z",
        "started_monotonic_s": 0.0, "targets": {"board": "cpu", "server": "cpu"},
        "same_machine": True, "bundles_folder": str(folder / "bundles"),
        "bundles": {name: {"model": name, "trained": True} for name in parsed.models()},
        "images_folder": str(folder), "images": [{"file": "a.jpg"}, {"file": "b.jpg"}],
        "blocks": blocks, "versions": {}, "board_state": {}, "server": None, "power": None,
    }  # fmt: skip
    about.update(more or {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(about))
    lines, at = [], 0.0
    for block in blocks:
        for k in range(-parsed.warmup, parsed.inferences):
            total_s, server_s, payload = times[block["config"]]
            total_s += 0.001 * (k % 3)
            lines.append(_line(block, k, at, total_s, server_s, payload))
            at += total_s + 0.01
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def _line(block: dict, k: int, at: float, total_s: float, server_s: float, payload: int | None):
    line = dict.fromkeys(Sample._fields)
    stages = {"decode": 0.001, "all.encoder": total_s - 0.001}
    if payload is not None:
        stages = {
            "decode": 0.001, "all.encoder": total_s - server_s - 0.003,
            "all.server.body": server_s, "all.network": 0.002,
        }  # fmt: skip
        line.update(payload_bytes=payload, wire_up_bytes=payload + 300, wire_down_bytes=900)
    line.update(
        config=block["config"], block=block["id"], repeat=block["repeat"], backend="cpu",
        image=("a.jpg", "b.jpg")[k % 2], inference=k if k >= 0 else k + 1, warmup=k < 0,
        status="ok", total_s=total_s, stages=stages, started_monotonic_s=at, requests=[],
    )  # fmt: skip
    if payload is not None:
        line["requests"] = [
            {
                "model": "small@1", "payload_bytes": payload, "wire_up_bytes": payload + 300,
                "wire_down_bytes": 900, "legacy_pickled_bytes": None, "attempts": 1,
            }
        ]  # fmt: skip
    return line
