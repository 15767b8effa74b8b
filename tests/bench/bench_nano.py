"""Ladon's headline on a stand-in of a Jetson Nano's processor: a CPU quota from a published latency.

The latency is that of MobileNet v2 (224 x 224, batch 1, fp32 weights) on a Jetson Nano's four Cortex-A57
cores, gpu_device -1: ncnn's benchmark/README.md, by Q-engineering, commit 71f377e9e of 2022-01-17. The
quota is the same network's processor time in onnxruntime here, one thread, over that latency. Needs root and
control groups. BENCH_BUNDLES names a folder of bundles that is there.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from splitwatt.profiler.analyse.rates import case_of
from splitwatt.profiler.links.link import PAYLOAD
from splitwatt.profiler.records.samples import Samples
from tests.bench.bench_boardspeed import CONFIG, IDS, exported, profiled, samples, share_had
from tests.bench.measure import publish

# Threads -> average ms of ncnn's mobilenet_v2.
PUBLISHED_MS = {4: 33.83, 1: 93.99}
RATES = {"100 kbit/s": 100.0, "LoRa 37.5 kbit/s": 37.5}
MODEL = "mobilenet_v2"


def main() -> None:
    """Measure the network, profile under the quota, publish both; BENCH_QUICK=1 for fewer inferences."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "nano.yaml"
        quick = os.environ.get("BENCH_QUICK") == "1"
        config.write_text(CONFIG.format(inferences=2 if quick else 6))
        whole = Path(name) / "all.yaml"
        whole.write_text(config.read_text() + f"  LC99: {{local: [{MODEL}]}}\n")
        bundles = exported(whole)
        here_ms = processor_ms(Path(bundles) / "cpu" / MODEL / "model.onnx")
        quota = here_ms / PUBLISHED_MS[4]
        run = Path(name) / "run"
        profiled(config, bundles, run, "--board-quota", f"{quota:.4f}")
        _publish(run, here_ms, quota)


def processor_ms(graph: Path) -> float:
    """Median processor time of one inference, one thread, in ms."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    feed, times = {session.get_inputs()[0].name: image}, []
    for _ in range(60):
        start = time.process_time()
        session.run(None, feed)
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times[10:])


def _publish(run: Path, here_ms: float, quota: float) -> None:
    cases = {id: case_of(id, "cpu", Samples.of(samples([run], id)), PAYLOAD) for id in IDS}
    had = share_had([sample for id in IDS for sample in samples([run], id)])
    rows, data = [], []
    for link, rate in RATES.items():
        seconds = {id: case.median_s(rate) for id, case in cases.items()}
        saved = {id: 100 * (1 - seconds["Ours5"] / seconds[id]) for id in ("LC3", "SC5")}
        data.append({"link": link, "seconds": seconds, "saved_percent": saved, "share_had": had,
                     "quota": quota, "mobilenet_v2_ms": here_ms, "published_ms": PUBLISHED_MS})  # fmt: skip
        rows.append([
            link, f"{quota:.3f}", f"{had:.3f}", *(f"{seconds[id]:.2f}" for id in IDS),
            f"{saved['LC3']:.1f} %", f"{saved['SC5']:.1f} %",
        ])  # fmt: skip
    columns = ["link", "quota", "share had", *(f"{id} [s]" for id in IDS),
               "Ours5 saves of LC3", "Ours5 saves of SC5"]  # fmt: skip
    title = f"A stand-in of a Jetson Nano: MobileNet v2 takes {here_ms:.1f} ms of one core here"
    publish("nano", title, columns, rows, data)


if __name__ == "__main__":
    main()
