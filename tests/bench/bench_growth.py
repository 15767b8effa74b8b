"""How processor time and memory grow with what there is more of, as exponents: 1 is linear.

`python -m tests.bench growth` runs every axis but `million`; `python -m tests.bench.bench_growth AXIS...` those
that are named. Each size is a process of its own; what it takes before the work begins is left out, but
for a report, which is the whole command. Samples are synthetic: replicated from examples/table3-cpu.
"""

import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.bench.measure import publish
from tests.conftest import COMMAND

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "table3-cpu" / "run"
LEAST_S = 0.2  # of work, which is repeated until then
REQUESTS = 400  # of all clients together: what grows is how many send at once
REPORT, READ, CHECK = "samples: report", "samples: read", "samples: check"
SIZES = {
    "image side": [224, 448, 896, 1792, 2880],  # the last has as many pixels as 3840x2160
    "batch": [1, 4, 16, 64],
    "clients": [1, 4, 16, 64],
    "bundles": [1, 5, 20, 80],
    "configurations": [10, 40, 100, 200],
    READ: [100, 1000, 10_000, 100_000],
    CHECK: [100, 1000, 10_000, 100_000],
    REPORT: [480, 5000, 50_000],
}
MILLION = {READ: [1_000_000], CHECK: [1_000_000], REPORT: [1_000_000]}
# Image side: pixels are its square, so that linear in them is 2.
LINEAR = {"image side": 2.0}


def main(names: list[str] | None = None) -> None:
    """Measure the axes and print their exponents, between the two largest sizes and over all."""
    chosen = MILLION if names == ["million"] else SIZES
    rows, figures = [], {}
    for axis, sizes in chosen.items():
        if names and names != ["million"] and axis.split(":")[0] not in names:
            continue
        measured = [at_size(axis, size) for size in sizes]
        figures[axis] = dict(zip(map(str, sizes), measured, strict=True))
        row = [axis, f"{sizes[0]:,} to {sizes[-1]:,}", f"{LINEAR.get(axis, 1.0):.0f}"]
        for name in ("seconds", "peak_mb"):
            values = [one[name] for one in measured]
            row += [exponent(sizes[-2:], values[-2:]), exponent(sizes, values), f"{values[-1]:.3g}"]
        rows.append(row)
    publish(
        "growth_million" if chosen is MILLION else "growth",
        "Growth: exponents of processor time and of memory",
        ["axis", "sizes", "linear is", "time, last step", "time, all", "at the last [s]",
         "memory, last step", "memory, all", "at the last [MB]"],
        rows,
        figures,
    )  # fmt: skip


def exponent(sizes: list[int], values: list[float]) -> str:
    """The slope of a straight line through the logarithms; "-" of one size, or of nothing measured."""
    if len(sizes) < 2 or min(values) <= 0:
        return "-"
    return f"{np.polyfit(np.log(sizes), np.log(values), 1)[0]:.2f}"


def at_size(axis: str, size: int) -> dict[str, float]:
    """Processor seconds and peak megabytes of an axis at a size, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        if axis.startswith("samples") or axis == "configurations":
            run = replicated(
                Path(folder) / "run", *((480, size) if axis == "configurations" else (size, 40))
            )
            if axis in (REPORT, "configurations"):
                return command_cost("report", str(run), "--out", folder + "/out")
            if axis == CHECK:
                return command_cost("check", str(run))
        return json.loads(
            subprocess.check_output(
                [sys.executable, "-m", __spec__.name, "--at", axis, str(size), folder]
            )
        )


def command_cost(*arguments: str) -> dict[str, float]:
    """What a `splitwatt` command takes, whole."""
    child = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(child.pid, 0)
    return {"seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def replicated(folder: Path, samples: int, configurations: int) -> Path:
    """A synthetic run: the example's samples and configurations, each as often as it takes.

    Times are scattered by 10 %, so that no two samples are equal; the run's name says synthetic.
    """
    document = json.loads((EXAMPLE / "run.json").read_text())
    lines = [json.loads(line) for line in (EXAMPLE / "samples.jsonl").open()]
    rows = document["config"]["configurations"]
    old = list(rows)
    names = {
        f"{name}-{i // len(old)}" if i >= len(old) else name: name
        for i, name in ((i, old[i % len(old)]) for i in range(configurations))
    }
    of_block = {block["config"]: block for block in document["blocks"]}
    each = max(1, samples // len(names))
    document["name"] = document["config"]["name"] = "synthetic"
    document["config"].update(
        configurations={new: rows[name] for new, name in names.items()}, inferences=each, warmup=0
    )
    document["blocks"] = [
        dict(of_block[name], id=f"{new}.cpu.0", config=new) for new, name in names.items()
    ]
    document["files"] = None
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(document))
    scatter = np.random.default_rng(0)
    with (folder / "samples.jsonl").open("w") as stream:
        for new, name in names.items():
            own = [line for line in lines if line["config"] == name and not line["warmup"]]
            for inference, factor in enumerate(scatter.uniform(0.9, 1.1, each)):
                line = own[inference % len(own)]
                stages = {stage: factor * value for stage, value in line["stages"].items()}
                line = dict(line, config=new, block=f"{new}.cpu.0", inference=inference,
                            stages=stages, total_s=factor * line["total_s"])  # fmt: skip
                stream.write(json.dumps(line, separators=(",", ":")) + "\n")
    return folder


def work_of(axis: str, size: int, folder: str) -> Callable[[], Any]:
    """What is measured inside a process; what it needs is made before."""
    from splitwatt.engines.bundle.bundle import Bundle
    from tests.board.tiny import tiny_bundle

    if axis == READ:
        from splitwatt.profiler.records.run import read_run

        return lambda: read_run(folder + "/run")
    if axis == "image side":
        from PIL import Image

        from splitwatt.engines.pipeline.pipeline import open_board

        pixels = np.random.default_rng(0).integers(0, 256, (size // 8, size // 8, 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).resize((size, size)).save(stream, "JPEG")
        board = open_board(tiny_bundle(folder + "/tiny@1"))
        from splitwatt.engines.pipeline.image import decode_image

        return lambda: board.run(decode_image(stream.getvalue()))
    if axis == "batch":
        from splitwatt.engines.rangecoder import RangeCoder
        from tests.board.tiny import tables

        coder = RangeCoder(tables())
        latent = np.random.default_rng(0).normal(size=(size, coder.tables.count, 128, 128))
        latent = latent.astype(np.float32)
        return lambda: coder.decode(coder.encode(latent), (128, 128))
    if axis == "bundles":
        paths = [tiny_bundle(f"{folder}/tiny@{i}") for i in range(size)]
        return lambda: [Bundle.open(path) for path in paths]
    raise ValueError(axis)


def clients_cost(size: int, folder: str) -> dict[str, float]:
    """Processor seconds and peak memory of a server that so many clients ask REQUESTS in all."""
    from splitwatt.engines.photos import default_photos
    from splitwatt.engines.pipeline.image import decode_image
    from splitwatt.engines.pipeline.pipeline import open_board
    from splitwatt.profiler.client.client import Client
    from splitwatt.profiler.client.connection import Endpoint
    from tests.board.tiny import tiny_bundle
    from tests.profiler.conftest import RunningServer

    (Path(folder) / "cpu").mkdir()
    bundle = tiny_bundle(folder + "/cpu/tiny@1")
    with open_board(bundle) as board:
        request = board.run(decode_image(default_photos()[0]))
    server = RunningServer(folder, "--port", "0", "--threads", "1")
    try:
        process = psutil.Process(server.process.pid)

        def ask(count: int) -> None:
            client = Client(Endpoint(server.url))
            for _ in range(count):
                client.infer("tiny@1", request.payload, request.sizes.tolist())
            client.close()

        ask(5)
        before = process.cpu_times()
        threads = [threading.Thread(target=ask, args=(REQUESTS // size,)) for _ in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = process.cpu_times()
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        spent = after.user + after.system - before.user - before.system
        return {"seconds": spent * size, "peak_mb": peak}  # what as many requests each would take
    finally:
        server.stop()


def inside(axis: str, size: int, folder: str) -> dict[str, float]:
    """The figures of this process's work at one size."""
    if axis == "clients":
        return clients_cost(size, folder)
    work = work_of(axis, size, folder)
    if axis != READ:
        work()  # what is loaded once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, runs = time.process_time(), 0
    while runs == 0 or (time.process_time() - start < LEAST_S and axis != READ):
        kept = work()
        runs += 1
    seconds = (time.process_time() - start) / runs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del kept
    return {"seconds": seconds, "peak_mb": (peak - (before if axis == READ else 0)) / 1024}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--at"]:
        print(json.dumps(inside(sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    else:
        main(sys.argv[1:])
