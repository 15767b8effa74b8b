"""A deployed system: stages that overlap, a link whose rate steps, a server that goes, a constant link.

Small test bundles, a real server process, a video made of the packaged photographs, a link that the
kernel shapes: needs network namespaces.
BENCH_MINUTES=30 measures memory over so long instead.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from splitwatt.profiler.links.link import framed_bytes
from tests.bench.deploy import SIDES, Link, Running, RunningServer, bundles, film, frames, policy
from tests.bench.measure import publish
from tests.conftest import ROOT

DEADLINE_MS = 500.0
# Configuration -> quality, as the policy has them, best first.
QUALITY = {
    name: 10 - n for n, name in enumerate([*(f"tiny@{rate}" for rate in SIDES), "tiny_local"])
}
FPS = 5
# kbit/s, seconds.
STEPS = [(1000.0, 15.0), (100.0, 15.0), (37.5, 15.0), (0.0, 8.0), (1000.0, 12.0)]


def overlap(folder: Path, server: RunningServer) -> list[str]:
    """Throughput of a folder of frames against that of the slowest stage."""
    rate = 400.0
    with Link(server.url, "400kbit") as link:
        running = Running(folder / "overlap.jsonl", "--source", frames(folder / "overlap", 120),
                          "--bundle", folder / "cpu" / "tiny@2", "--server", link.url,
                          prefix=link.prefix)  # fmt: skip
        lines = running.wait()[10:]
    ends = sorted(line["captured_monotonic_s"] + line["latency_s"] for line in lines)
    per_s = (len(ends) - 1) / (ends[-1] - ends[0])
    stages = {
        "link": statistics.mean(
            8e-3 * framed_bytes(line["wire_up_bytes"]) / rate for line in lines
        ),
        "board": _mean(lines, lambda name: not name.startswith(("server.", "network"))),
        "server": _mean(lines, lambda name: name.startswith("server.")),
    }
    slowest = max(stages, key=lambda name: stages[name])
    shown = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in stages.items())
    share = per_s * stages[slowest]
    return ["frames a second over 1 / slowest stage", ">= 0.95", f"{share:.3f}", shown]


def _mean(lines, chosen):
    return statistics.mean(_sum(line, chosen) for line in lines)


def steps(folder: Path, server: RunningServer) -> list[list[str]]:
    """A link whose rate steps: frames in time, and quality, against who knows the trace."""
    seconds = sum(step for _, step in STEPS)
    costs = _costs(folder, server)
    with Link(server.url, "1mbit") as link:
        running = Running(folder / "steps.jsonl", "--source",
                          film(folder / "steps.mp4", seconds + 30, FPS), "--policy", policy(folder, DEADLINE_MS), "--server", link.url,
                          prefix=link.prefix)  # fmt: skip
        start_s = running.first(lambda line: line["config"] != "tiny_local")
        changes = []
        for kbit_s, step_s in STEPS:
            link.rate(kbit_s)
            changes.append((time.monotonic(), kbit_s))
            time.sleep(step_s)
        end_s = time.monotonic()
        lines = [line for line in running.stop()
                 if start_s <= line["captured_monotonic_s"] < end_s - 1]  # fmt: skip
    ideal = {kbit_s: _best(costs, kbit_s) for kbit_s, _ in STEPS}

    def rate_of(line):
        return [k for at, k in changes if at <= line["captured_monotonic_s"]][-1:] or [STEPS[0][0]]

    good = [line for line in lines if line["latency_s"] <= DEADLINE_MS / 1000 and not line["error"]]
    expected = (end_s - 1 - start_s) * FPS
    oracle = sum(QUALITY[ideal[rate_of(line)[0]]] for line in lines)
    got = sum(QUALITY[line["config"]] for line in good)
    fixed = {
        name: statistics.mean(_latency(costs, name, rate_of(line)[0]) <= DEADLINE_MS / 1000
                              for line in lines) for name in costs if name != "tiny_local"
    }  # fmt: skip
    best = max(fixed, key=lambda name: fixed[name])
    used = {name: sum(line["config"] == name for line in good) for name in QUALITY}
    return [
        ["frames in time, of all that were captured (the local model can answer each)", ">= 95 %",
         f"{100 * len(good) / expected:.1f} %", f"{used}; best fixed split configuration {best}: "
         f"{100 * fixed[best]:.1f} %"],
        ["quality lost to the oracle", "<= 10 %", f"{100 * (1 - got / oracle):.1f} %", str(ideal)],
    ]  # fmt: skip


def _costs(folder: Path, server: RunningServer) -> dict[str, tuple[float, float, float]]:
    """Configuration -> (seconds on the board, wire bytes, seconds on the server): medians of the
    photographs, each configuration alone and without a link.
    """
    costs = {}
    source = frames(folder / "costs", 24)
    for name in QUALITY:
        running = Running(folder / f"costs-{name}.jsonl", "--source", source, "--bundle",
                          folder / "cpu" / name, "--server", server.url)  # fmt: skip
        lines = running.wait()[6:]
        costs[name] = (
            statistics.median(_sum(line, lambda stage: not stage.startswith(("server.", "network")))
                              for line in lines),
            statistics.median(framed_bytes(line["wire_up_bytes"] or 0) for line in lines),
            statistics.median(_sum(line, lambda stage: stage.startswith("server.")) for line in lines),
        )  # fmt: skip
    return costs


def _sum(line, chosen):
    return sum(seconds for stage, seconds in line["stages_s"].items() if chosen(stage))


def _latency(costs, name, kbit_s):
    board_s, size, server_s = costs[name]
    if not size:
        return board_s
    return board_s + 8e-3 * size / kbit_s + server_s if kbit_s else float("inf")


def _best(costs, kbit_s):
    return next(name for name in QUALITY if _latency(costs, name, kbit_s) <= DEADLINE_MS / 1000)


def killed(folder: Path) -> list[list[str]]:
    """A server that is killed and started again."""
    running_server = RunningServer(folder, "--port", "0")
    port = running_server.url.rsplit(":", 1)[1]
    running = Running(folder / "killed.jsonl", "--source", film(folder / "killed.mp4", 120, FPS), "--policy", policy(folder, DEADLINE_MS), "--server",
                      running_server.url)  # fmt: skip
    running.first(lambda line: line["config"] != "tiny_local")
    time.sleep(3.0)
    running_server.process.kill()
    killed_s = time.monotonic()
    local_s = running.first(lambda line: line["captured_monotonic_s"] + line["latency_s"] > killed_s
                            and line["config"] == "tiny_local")  # fmt: skip
    time.sleep(3.0)
    running_server = RunningServer(folder, "--port", port)
    back_s = time.monotonic()
    split_s = running.first(lambda line: line["captured_monotonic_s"] > killed_s + 2
                            and line["config"] != "tiny_local")  # fmt: skip
    running.stop()
    running_server.stop()
    return [
        ["server killed: to the first local answer", "<= 500 ms",
         f"{1000 * (local_s - killed_s):.0f} ms", f"{FPS} frames a second"],
        ["server back: to the first split answer", "<= 2 s", f"{split_s - back_s:.2f} s", ""],
    ]  # fmt: skip


def constant(folder: Path, server: RunningServer, seconds: float = 60.0) -> list[str]:
    """Changes of the configuration over a link whose rate stays."""
    with Link(server.url, "150kbit") as link:
        running = Running(folder / "constant.jsonl", "--source",
                          film(folder / "constant.mp4", seconds + 40, FPS), "--policy", policy(folder, DEADLINE_MS), "--server", link.url,
                          prefix=link.prefix)  # fmt: skip
        running.first(lambda line: line["frame"] > 10 * FPS)
        time.sleep(seconds)
        lines = [line for line in running.stop() if line["frame"] > 10 * FPS]
    chosen = [line["config"] for line in sorted(lines, key=lambda line: line["frame"])
              if line["why"] != "hedged"]  # fmt: skip
    switches = sum(a != b for a, b in zip(chosen, chosen[1:]))
    return ["changes a minute over a constant link", "<= 1", f"{60 * switches / seconds:.1f}",
            f"150 kbit/s, {len(lines)} frames, {sum(li['why'] == 'hedged' for li in lines)} hedged"]  # fmt: skip


def memory(folder: Path, server: RunningServer, minutes: float) -> list[list[str]]:
    """Resident memory of board and server process after a minute and at the end."""
    running = Running(folder / "memory.jsonl", "--source",
                      film(folder / "memory.mp4", 60 * minutes + 30, 10), "--policy",
                      policy(folder, DEADLINE_MS), "--server", server.url)  # fmt: skip
    watched = {"board": psutil.Process(running.process.pid),
               "server": psutil.Process(server.process.pid)}  # fmt: skip
    time.sleep(60)
    before = {name: one.memory_info().rss for name, one in watched.items()}
    time.sleep(60 * minutes - 90)
    after = {name: one.memory_info().rss for name, one in watched.items()}
    running.stop()
    return [[f"memory of the {name} process over {minutes:g} minutes", "within 5 %",
             f"{100 * (after[name] / before[name] - 1):+.1f} %",
             f"{before[name] / 1e6:.0f} MB to {after[name] / 1e6:.0f} MB"] for name in watched]  # fmt: skip


def choosing() -> list[str]:
    """`choose` over the example's 40 configurations, without starting Python."""
    from splitwatt.profiler.choose.front import Bounds, candidates
    from splitwatt.profiler.choose.quality import quality_of
    from splitwatt.profiler.records.run import read_run

    start = time.perf_counter()
    run = read_run(str(ROOT / "examples" / "table3-cpu" / "run"))
    rows = candidates([run], [quality_of(run, None)], [100.0], Bounds(0.5, 0.5))
    took_s = time.perf_counter() - start
    return ["choose over 40 configurations", "<= 2 s", f"{took_s:.2f} s", f"{len(rows)} rows"]


def main() -> None:
    """Measure and publish the table: memory alone where BENCH_MINUTES is set, else the other rows."""
    minutes = os.environ.get("BENCH_MINUTES")
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        folder = bundles(Path(name) / "bundles")
        server = RunningServer(folder, "--port", "0")
        try:
            if minutes:
                rows = memory(folder, server, float(minutes))
            else:
                rows = [choosing(), overlap(folder, server), *steps(folder, server)]
                rows += [constant(folder, server), *killed(folder)]
        finally:
            server.stop()
    columns = ["what", "wanted", "measured", "details"]
    publish("deploy_memory" if minutes else "deploy", "A deployed system", columns, rows, rows)


if __name__ == "__main__":
    main()
