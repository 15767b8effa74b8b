"""Latency under CPU quotas against what `splitwatt whatif --board-speed` computes from a whole board.

Real models, one thread, board and server on this machine; every quota in turn, round after round.
Needs root and control groups. BENCH_BUNDLES names a folder of bundles that is there.
"""

import os
import statistics
import tempfile
from pathlib import Path

from splitwatt.profiler.analyse.rates import case_of
from splitwatt.profiler.analyse.times import local_s
from splitwatt.profiler.links.link import PAYLOAD
from splitwatt.profiler.records.run import read_run
from splitwatt.profiler.records.sample import Sample
from splitwatt.profiler.records.samples import Samples
from tests.bench.measure import publish
from tests.conftest import ROOT, splitwatt

QUOTAS = (1.0, 0.5, 0.25, 0.12)
RATE_KBIT_S = 100
CONFIG = """
format: 1
name: boardspeed
warmup: 1
inferences: {inferences}
payload: published
links:
  - {{name: "100 kbit/s", kind: simulated, rate_kbit_s: 100, bytes: payload}}
configurations:
  LC3: {{local: [mnasnet1_3, ssd300_vgg16, deeplabv3_mobilenet_v3_large]}}
  SC5: {{split: [entropic_student_ic@5.12, entropic_student_od@5.12, entropic_student_ss@5.12]}}
  Ours5: {{split: [ladon_r50@20.48]}}
"""
IDS = ("LC3", "SC5", "Ours5")


def main() -> None:
    """BENCH_QUICK=1 for one round of fewer inferences."""
    quick = os.environ.get("BENCH_QUICK") == "1"
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "boardspeed.yaml"
        config.write_text(CONFIG.format(inferences=2 if quick else 4))
        bundles = exported(config)
        taken: dict[float, list[Path]] = {quota: [] for quota in QUOTAS}
        for turn in range(1 if quick else 2):
            for quota, runs in taken.items():
                runs.append(Path(name) / f"quota-{quota:g}-{turn}")
                profiled(config, bundles, runs[-1], "--board-quota", quota)
        _publish({(id, quota): samples(runs, id) for id in IDS for quota, runs in taken.items()})


def exported(config: Path) -> str:
    """The folder that has the bundles of a config's models."""
    bundles = os.environ.get("BENCH_BUNDLES")
    if bundles is None:
        bundles = str(ROOT / "build" / "bench" / "bundles")
        splitwatt("export", "--config", config, "--target", "cpu", "--weights", "random",
                  "--bundles", bundles)  # fmt: skip
    return bundles


def profiled(config: Path, bundles: str, run: Path, *more: object) -> None:
    """Profile with one thread on the board."""
    splitwatt("profile", "--config", config, "--bundles", bundles, "--threads", "1",
              "--out", run, *more)  # fmt: skip


def samples(runs: list[Path], id: str) -> list[Sample]:
    """A configuration's samples that count, of several runs."""
    return [s for run in runs for s in read_run(str(run)).measured(id, "cpu")]


def share_had(taken: list[Sample]) -> float:
    """Processor time that the board's one thread had, per time of its stages."""
    return sum(s.processor_s or 0.0 for s in taken) / sum(local_s(s) or 0.0 for s in taken)


def median_s(id: str, taken: list[Sample], board_speed: float = 1.0) -> float:
    """What `splitwatt whatif --board-speed` prints of these samples, at 100 kbit/s."""
    return case_of(id, "cpu", Samples.of(taken), PAYLOAD).median_s(RATE_KBIT_S, 1.0, board_speed)


def _publish(taken: dict[tuple[str, float], list[Sample]]) -> None:
    rows, data = [], []
    for (id, quota), own in taken.items():
        whole = taken[id, 1.0]
        had, of = share_had(own), share_had(whole)
        one = {
            "config": id, "quota": quota, "share": had, "measured_s": median_s(id, own),
            "processor_s": statistics.median(s.processor_s or 0.0 for s in own),
            "at_quota_s": median_s(id, whole, quota), "at_share_s": median_s(id, whole, had / of),
        }  # fmt: skip
        data.append(one)
        rows.append([
            id, f"{quota:g}", f"{had:.3f}", f"{1e3 * one['processor_s']:.1f}",
            *(f"{one[key]:.3f}" for key in ("measured_s", "at_quota_s")), _off(one, "at_quota_s"),
            f"{one['at_share_s']:.3f}", _off(one, "at_share_s"),
        ])  # fmt: skip
    columns = [
        "configuration", "quota", "share had in the samples", "processor time of the board [ms]",
        f"measured at {RATE_KBIT_S} kbit/s [s]", "whatif --board-speed QUOTA [s]", "off by",
        "whatif --board-speed SHARE HAD [s]", "off by",
    ]  # fmt: skip
    publish("boardspeed", "A board under a CPU quota, and computed", columns, rows, data)


def _off(one: dict[str, float], key: str) -> str:
    return f"{100 * (one['measured_s'] / one[key] - 1.0):+.1f} %"


if __name__ == "__main__":
    main()
