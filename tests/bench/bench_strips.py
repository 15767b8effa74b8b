"""Ladon's encoder on strips against the whole image at once: processor time, peak memory, equal latents."""

import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.strips import StripEngine, strips_at
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.cli import export
from tests.bench.measure import OUT, publish

SIZES = [(448, 448), (896, 896), (1792, 1792), (2160, 3840)]
THREADS = 1  # several would count their waiting for each other as processor time
ROUNDS = 9


def main() -> None:
    """Of a Nano's bundle, on this machine's processor."""
    folder = OUT / "bundles"
    if export(["--model", "ladon_r50@0.32", "--target", "nano", "--weights", "random",
               "--bundles", str(folder)]):  # fmt: skip
        sys.exit(1)
    path = folder / "nano" / "ladon_r50@0.32"
    rows, figures = [], {}
    for height, width in SIZES:
        whole, strips = engines(str(path))
        image = random_image(height, width)
        feeds = {"image": image}
        equal = np.array_equal(whole.run(feeds)["latent"], strips.run(feeds)["latent"])
        times, ratio = processor_seconds(whole, strips, feeds)
        whole.close()
        peaks = {kind: peak_mb(str(path), kind, height, width) for kind in ("whole", "strips")}
        plan = strips_at(strips._strips, strips.outputs, height, width)
        run_rows = sum(strip.bottom - strip.top for strip in plan) / height
        rows.append([
            f"{width}x{height}", str(len(plan)), f"{run_rows:.3f}x", *(f"{peaks[kind]:.0f}" for kind in peaks),
            *(f"{times[kind]:.3f}" for kind in times),
            f"{ratio:.2f}x", "yes" if equal else "NO",
        ])  # fmt: skip
        figures[f"{width}x{height}"] = {
            "peak_mb": peaks,
            "seconds": times,
            "ratio": ratio,
            "rows": run_rows,
            "equal": equal,
        }
    publish(
        "strips",
        "Ladon's encoder on strips, one thread, a Nano's memory bound",
        ["image", "strips", "rows that are run", "peak, whole [MB]", "peak, strips [MB]", "whole [s]", "strips [s]",
         "time", "equal bits"],
        rows,
        figures,
    )  # fmt: skip


def processor_seconds(
    whole: Any, strips: Any, feeds: dict[str, np.ndarray]
) -> tuple[dict[str, float], float]:
    """Median processor seconds of both, and the median of what the strips take over the whole image.

    A ratio is of two runs that follow each other, whose order changes from round to round: what else
    the machine does slows both.
    """
    times: dict[str, list[float]] = {"whole": [], "strips": []}
    contenders = [("whole", whole), ("strips", strips)]
    for _ in range(ROUNDS):
        for name, engine in contenders:
            start = time.process_time()
            engine.run(feeds)
            times[name].append(time.process_time() - start)
        contenders.reverse()
    pairs = zip(times["strips"], times["whole"], strict=True)
    ratio = statistics.median(one / other for one, other in pairs)
    return {name: statistics.median(values) for name, values in times.items()}, ratio


def engines(path: str) -> tuple[Any, StripEngine]:
    bundle = Bundle.open(path)
    engine = load_engine("cpu", bundle.part_path("encoder"), THREADS)
    strips = bundle.part("encoder").strips
    assert strips is not None
    return engine, StripEngine(engine, strips)


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, 3, height, width), np.float32)


def peak_mb(path: str, kind: str, height: int, width: int) -> float:
    """The peak memory of a process that encodes one image, image and Python included."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.bench_strips",
        path,
        kind,
        str(height),
        str(width),
    ]
    environment = dict(os.environ, MALLOC_ARENA_MAX="2")
    return float(subprocess.check_output(command, env=environment, text=True))


if __name__ == "__main__":
    whole, strips = engines(sys.argv[1])
    used = whole if sys.argv[2] == "whole" else strips
    used.run({"image": random_image(int(sys.argv[3]), int(sys.argv[4]))})
    with open("/proc/self/status") as lines:
        status = dict(line.split(":", 1) for line in lines)
    print(int(status["VmHWM"].split()[0]) / 1024)  # getrusage would count the parent's memory too
