"""Every system of the zoo exported with random weights: seconds, seconds of processors (what is left of
it on a machine with other work), and the largest resident memory. Then all of them in one profile, one
image each, and in one report, of which no row may be missing.

One process exports them one after the other, each at its first rate point (all of them with
SPLITWATT_BENCH_ALL=1: the rate points of a system differ in their weights, not in their size).
SPLITWATT_BENCH_ONLY=name,name exports those alone.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export import cli, zoo
from splitwatt.profiler.records.run import read_run
from tests.bench.measure import publish
from tests.conftest import splitwatt

LIMIT_S, LIMIT_GIB = 30 * 60, 12.0


def main() -> None:
    """Export all and print a table, the dearest first, with the sums and what failed."""
    names = _names()
    rows, failed, started = [], [], time.perf_counter()
    folder = tempfile.mkdtemp(prefix="splitwatt-zoo-")
    size_before = 0
    try:
        for index, name in enumerate(names, 1):
            begin, cpu_begin = time.perf_counter(), time.process_time()
            problem = _export(name, folder)
            seconds, peak = time.perf_counter() - begin, _peak_gib()
            cpu = time.process_time() - cpu_begin
            size = _size(folder) - size_before
            size_before += size
            print(f"{index}/{len(names)} {name}: {problem or f'{seconds:.1f} s'}, "
                  f"{cpu:.1f} s of processors, peak {peak:.2f} GiB", flush=True)  # fmt: skip
            if problem:
                failed.append({"model": name, "problem": problem})
            else:
                rows.append({"model": name, "seconds": seconds, "cpu_s": cpu, "bytes": size,
                             "peak_gib": peak})  # fmt: skip
        total = time.perf_counter() - started
        without = _profiled_and_reported(folder, [row["model"] for row in rows])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = [
        [
            row["model"],
            f"{row['seconds']:.1f}",
            f"{row['cpu_s']:.1f}",
            f"{row['bytes'] / 1e6:.0f}",
        ]
        for row in sorted(rows, key=lambda row: -row["seconds"])
    ]
    cpu_total = sum(row["cpu_s"] for row in rows)
    peak = f"peak {_peak_gib():.2f} GiB"
    table.append([f"all {len(rows)}", f"{total:.0f}", f"{cpu_total:.0f}", peak])
    table += [[entry["model"], "failed", "", entry["problem"]] for entry in failed]
    table += [
        [model, "profile or report failed", "", problem] for model, problem in without.items()
    ]
    publish(
        "zoo",
        f"Exporting the zoo ({len(os.sched_getaffinity(0))} cores; {LIMIT_S // 60} minutes and "
        f"{LIMIT_GIB:.0f} GiB are allowed)",
        ["model", "s", "s of processors", "MB"],
        table,
        {
            "total_s": total,
            "peak_gib": _peak_gib(),
            "rows": rows,
            "failed": failed,
            "without": without,
        },
    )


def _profiled_and_reported(folder: str, models: list[str]) -> dict[str, str]:
    """The models that one profile and one report of all have no whole row of, and why."""
    ids, configurations = {}, {}
    for number, model in enumerate(models, 1):
        ids[f"Zoo{number}"] = model
        split = Bundle.open(os.path.join(folder, "cpu", model)).manifest.split
        configurations[f"Zoo{number}"] = {"split" if split else "local": [model]}
    link = {"name": "100 kbit/s", "kind": "simulated", "rate_kbit_s": 100, "bytes": "payload"}
    config = {"format": 1, "name": "zoo", "warmup": 0, "inferences": 1, "links": [link],
              "configurations": configurations}  # fmt: skip
    place, begin = Path(folder), time.perf_counter()
    (place / "zoo.yaml").write_text(json.dumps(config))
    done = splitwatt("profile", "--config", place / "zoo.yaml", "--bundles", folder,
                     "--out", place / "run", check=False)  # fmt: skip
    print(
        f"one profile of all: exit {done.returncode}, {time.perf_counter() - begin:.0f} s",
        flush=True,
    )
    splitwatt("report", place / "run", "--out", place / "report")
    reasons = {sample.config: sample.reason for sample in read_run(str(place / "run")).samples}
    rows = json.loads((place / "report" / "report.json").read_text())["tables"]["summary"]["rows"]
    told = {
        row["config"].replace(" ", "") for row in rows if row["end_to_end_s_100_kbit_s"]["value"]
    }
    return {
        model: reasons.get(name) or "it was not run"
        for name, model in ids.items()
        if name not in told
    }


def _names() -> list[str]:
    only = os.environ.get("SPLITWATT_BENCH_ONLY")
    if only:
        return only.split(",")
    if os.environ.get("SPLITWATT_BENCH_ALL"):
        return zoo.names()
    return [
        zoo.full_name(system, zoo.rates(system)[0])
        for system in zoo.systems().values()
        if not system.unavailable
    ]


def _export(name: str, folder: str) -> str:
    """Export one; what is wrong, or nothing."""
    arguments = ["--model", name, "--target", "cpu", "--weights", "random", "--bundles", folder]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            cli.export(arguments)
        except SplitwattError as error:
            return str(error)
    return ""


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _size(folder: str) -> int:
    return sum(
        os.path.getsize(os.path.join(place, file))
        for place, _, files in os.walk(folder)
        for file in files
    )
