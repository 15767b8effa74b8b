"""Latency under CPU quotas against what `splitwatt whatif --board-speed` computes from a whole board.

Real models, one thread, board and server on this machine. Needs root and control groups.
"""

import json
import os
import tempfile
from pathlib import Path

from splitwatt.profiler.records.run import read_run
from tests.bench.measure import publish
from tests.conftest import ROOT, splitwatt

QUOTAS = (1.0, 0.5, 0.25, 0.12)
RATE_KBIT_S = 100
CONFIG = """
format: 1
name: boardspeed
warmup: 1
inferences: {inferences}
links:
  - {{name: "100 kbit/s", kind: simulated, rate_kbit_s: 100, bytes: payload}}
configurations:
  LC3: {{local: [mnasnet1_3, ssd300_vgg16, deeplabv3_mobilenet_v3_large]}}
  SC5: {{split: [entropic_student_ic@5.12, entropic_student_od@5.12, entropic_student_ss@5.12]}}
  Ours5: {{split: [ladon_r50@20.48]}}
"""


def main() -> None:
    """Profile under each quota; BENCH_QUICK=1 for fewer inferences, BENCH_BUNDLES for a folder of
    bundles that is there.
    """
    quick = os.environ.get("BENCH_QUICK") == "1"
    bundles = os.environ.get("BENCH_BUNDLES") or str(ROOT / "build" / "bench" / "bundles")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "boardspeed.yaml"
        config.write_text(CONFIG.format(inferences=4 if quick else 10))
        if "BENCH_BUNDLES" not in os.environ:
            splitwatt("export", "--config", config, "--target", "cpu", "--weights", "random",
                      "--bundles", bundles)  # fmt: skip
        runs = {quota: folder / f"quota-{quota:g}" for quota in QUOTAS}
        for quota, run in runs.items():
            splitwatt("profile", "--config", config, "--bundles", bundles, "--threads", "1",
                      "--board-quota", quota, "--out", run)  # fmt: skip
        _publish(runs)


def _publish(runs: dict[float, Path]) -> None:
    got = {quota: read_run(str(run)).document["quota"] for quota, run in runs.items()}
    rows, data = [], []
    for id in ("LC3", "SC5", "Ours5"):
        for quota, run in runs.items():
            measured = _median_s(run, id, 1.0)
            computed = _median_s(runs[1.0], id, quota)
            one = {"config": id, "quota": quota, "measured_s": measured, "whatif_s": computed,
                   "off_by": measured / computed - 1.0, **got[quota]}  # fmt: skip
            data.append(one)
            rows.append([id, f"{quota:g}", f"{one['measured_share']:.3f}", f"{measured:.3f}",
                         f"{computed:.3f}", f"{100 * one['off_by']:+.1f} %"])  # fmt: skip
    columns = [
        "configuration", "quota", "share that busy processes had", f"measured at {RATE_KBIT_S} kbit/s [s]",
        "whatif --board-speed [s]", "off by",
    ]  # fmt: skip
    publish("boardspeed", "A board under a CPU quota, and computed", columns, rows, data)


def _median_s(run: Path, id: str, board_speed: float) -> float:
    done = splitwatt("whatif", run, "--json", "--rate", f"{RATE_KBIT_S}kbit",
                     "--board-speed", board_speed)  # fmt: skip
    known = {c["config"]: c for c in json.loads(done.stdout)["configurations"]}
    return float(known[id]["at"][0]["median_s"])


if __name__ == "__main__":
    main()
