"""Synthetic power traces for synthetic runs: constant loads of a Nano's rails, invented."""

import json
from pathlib import Path

SHARE = {"POM_5V_IN": 1.0, "POM_5V_GPU": 0.3, "POM_5V_CPU": 0.45}
IDLE_W = 1.25
IDLE_S = 2.0
HZ = 37.0


def rail(label: str) -> dict:
    part_of = None if label == "POM_5V_IN" else "POM_5V_IN"
    return {"label": label, "driver": "ina3221_iio", "kind": "average", "path": "synthetic",
            "period_s": 0.054, "part_of": part_of, "energon": None, "measures": "a test",
            "absurd_above_w": 40.0}  # fmt: skip


def busy_watts(config: str) -> float:
    """What the board uses while it runs a configuration: LC more than what waits for a server."""
    return 7.0 if config.startswith("LC") else 3.5


def add_power(run: Path, provenance: str = "measured", short: tuple = ()) -> None:
    """Add windows and traces to a synthetic run: a block's time is that of its samples, at the
    least two seconds; blocks of a configuration in `short` last a tenth of a second.
    """
    totals: dict = {}
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        if not line["warmup"]:
            key = (line["block"], line["config"], line["backend"])
            totals.setdefault(key, []).append(line["total_s"] or 0.0)
    (run / "power").mkdir(exist_ok=True)
    at, starts, windows = 1000.0, {}, []
    for (block, config, backend), times in totals.items():
        lasts = 0.1 if config in short else max(2.0, sum(times))
        begin, end = at + IDLE_S + 0.5, at + IDLE_S + 0.5 + lasts
        starts[block] = begin
        of_block = {"config": config, "backend": backend, "block": block}
        for name, a, b in (("idle", at, at + IDLE_S), ("inferences", begin, end),
                           ("idle", end + 0.5, end + 0.5 + IDLE_S)):  # fmt: skip
            windows.append({"name": name, **of_block, "start_s": a, "end_s": b})
        _trace(run / "power" / block, at - 0.2, end + IDLE_S + 0.7, begin - 0.2, end + 0.2, config,
               provenance)  # fmt: skip
        at = end + 10
    for line in lines:
        line["started_monotonic_s"] = starts[line["block"]] + 0.01
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "windows.jsonl").write_text("".join(json.dumps(w) + "\n" for w in windows))


def _trace(path: Path, first, last, busy_from, busy_to, config, provenance) -> None:
    about = {"format": 1, "rails": [rail(label) for label in SHARE], "total": ["POM_5V_IN"],
             "provenance": provenance, "events": []}  # fmt: skip
    Path(f"{path}.json").write_text(json.dumps(about))
    with open(f"{path}.csv", "w") as stream:
        stream.write("t_s," + ",".join(SHARE) + "\n")
        for i in range(int((last - first) * HZ) + 2):
            at = first + i / HZ
            watts = busy_watts(config) if busy_from <= at <= busy_to else IDLE_W
            watts += 0.02 * (i % 7)
            cells = ",".join(f"{watts * share:.6f}" for share in SHARE.values())
            stream.write(f"{at:.6f},{cells}\n")


STAGE_S = 10.0
STAGE_W = {"ic.preprocess": 3.0, "ic.model": 9.0, "all.encoder": 6.0, "all.server": 1.5}
SERVER_W = 120.0
SERVER_IDLE_W = 40.0
OFFSET_S = 5000.0


def add_stages(run: Path, config: str, stages: tuple, at: float = 50000.0) -> None:
    """Add a stage block with power of STAGE_W, and the server's trace on its own clock."""
    block = f"{config}.cpu.stages"
    own = {"config": config, "backend": "cpu", "block": block}
    rows, windows, loads = [], [], []
    windows.append({"name": "idle", **own, "start_s": at, "end_s": at + IDLE_S})
    begin = at + IDLE_S + 1
    for stage in stages:
        watts = STAGE_W[stage]
        loads.append((begin - 0.5, begin + STAGE_S + 0.5, watts))
        rows.append({**own, "stage": stage, "start_s": begin, "end_s": begin + STAGE_S,
                     "repetitions": 200, "images": 4, "status": "ok", "reason": None})  # fmt: skip
        begin += STAGE_S + 2
    end = begin + 1
    for ending, scale, idle, offset in (("", 1.0, IDLE_W, 0.0),
                                        (".server", None, SERVER_IDLE_W, OFFSET_S)):  # fmt: skip
        about = {"format": 1, "rails": [rail("POM_5V_IN")], "total": ["POM_5V_IN"],
                 "provenance": "measured", "events": []}  # fmt: skip
        about["rails"][0]["absurd_above_w"] = 500.0
        if offset:
            about["clock"] = [{"at_s": at, "offset_s": offset + 0.01, "round_trip_s": 0.03},
                              {"at_s": end, "offset_s": offset - 0.01, "round_trip_s": 0.03}]  # fmt: skip
        path = run / "power" / (block + ending)
        Path(f"{path}.json").write_text(json.dumps(about))
        with open(f"{path}.csv", "w") as stream:
            stream.write("t_s,POM_5V_IN\n")
            for i in range(int((end - at + 1) * HZ)):
                now = at - 0.5 + i / HZ
                busy = [w for a, b, w in loads if a <= now <= b]
                watts = busy[0] if busy else idle
                if scale is None:
                    watts = SERVER_W if busy else idle
                stream.write(f"{now + offset:.6f},{watts!r}\n")
    for name, records in (("stages.jsonl", rows), ("windows.jsonl", windows)):
        with open(run / name, "a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)
