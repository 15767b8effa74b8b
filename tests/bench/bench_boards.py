"""How many boards a server carries: embedded, on Ray with one and two replicas, on a real Triton.

Small test bundles on this machine, whose processors the boards' processes share. Each row is one
`splitwatt profile --boards`. $SPLITWATT_TRITON_PYTHON names a Python with nvidia-pytriton for
Triton's row.
"""

import json
import os
import tempfile
from contextlib import nullcontext
from pathlib import Path

from splitwatt.profiler.analyse.carried import carried
from splitwatt.profiler.records.run import read_run
from tests.bench.bench_server import Serving
from tests.bench.deploy import bundles
from tests.bench.measure import publish
from tests.conftest import splitwatt

DEADLINE_MS, FPS = 200, 5
CONFIG = """
format: 1
name: boards
warmup: 3
inferences: 60
links: [{kind: none}]
configurations: {Ours1: {split: ["tiny@1"]}}
"""
CLUSTER = "format: 1\nreplicas: {least: %d, most: %d, requests: 2}\ncores: 1\n"


def row(folder: Path, name: str, arrivals: str, server: Serving | None) -> list[str]:
    """A server's row."""
    config = folder / "boards.yaml"
    config.write_text(CONFIG)
    arguments = ["--server", server.url] if server else []
    told = splitwatt(
        "profile", "--config", config, "--bundles", folder, "--boards", 400, "--fps", FPS,
        "--deadline", f"{DEADLINE_MS}ms", "--arrivals", arrivals, "--json", "--out",
        folder / f"{name}-{arrivals}".replace(" ", "-"), *arguments,
    ).stdout  # fmt: skip
    [own] = carried(read_run(json.loads(told[told.index("{") :])["run"]))
    high = "more" if own.high is None else str(own.high)
    service = "-" if own.service is None else f"{1000 * own.service.mean_s:.1f} ms"
    workers = "-" if own.service is None else str(own.service.servers)
    expected = "-" if own.expected is None else str(own.expected)
    late = "-" if own.own_late_s is None else f"{1000 * own.own_late_s:.1f} ms"
    cells = [
        name,
        arrivals,
        str(own.boards),
        f"{own.low} to {high}",
        expected,
        service,
        workers,
        late,
    ]
    return cells  # fmt: skip


def main() -> None:
    """Every server."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = bundles(Path(temporary))
        servers = {"embedded": None}
        for count in (1, 2):
            file = folder / f"cluster-{count}.yaml"
            file.write_text(CLUSTER % (count, count))
            servers[f"Ray, {count} of one core"] = ["--engine", "ray", "--cluster", str(file)]
        triton = os.environ.get("SPLITWATT_TRITON_PYTHON")
        if triton:
            servers["Triton"] = ["--engine", "triton"]
        for name, more in servers.items():
            python = triton if name == "Triton" else None
            started = nullcontext() if more is None else Serving(folder, *more, python=python)
            with started as server:
                for arrivals in ("poisson", "fixed") if more is None else ("poisson",):
                    rows.append(row(folder, name, arrivals, server))
    title = f"Boards of {FPS} frames a second that a server carries, 99 % of them within {DEADLINE_MS} ms"
    columns = ["server", "arrivals", "boards", "95 %", "expected of a queue", "service", "at once",
               "load late by"]  # fmt: skip
    publish("boards", title, columns, rows, rows)


if __name__ == "__main__":
    main()
