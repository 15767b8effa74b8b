"""Every system of the zoo exported with random weights: seconds, seconds of processors (what is left of
it on a machine with other work), and the largest resident memory.

One process exports them one after the other, each at its first rate point (all of them with
SPLITWATT_BENCH_ALL=1: the rate points of a system differ in their weights, not in their size).
SPLITWATT_BENCH_ONLY=name,name exports those alone.
"""

import contextlib
import io
import os
import resource
import shutil
import tempfile
import time

from device_configs.errors import SplitwattError
from export import cli, zoo
from tests.bench.measure import publish

LIMIT_S, LIMIT_GIB = 30 * 60, 12.0


def main() -> None:
    """Export all and print a table, the dearest first, with the sums and what failed."""
    names = _names()
    rows, failed, started = [], [], time.perf_counter()
    folder = tempfile.mkdtemp(prefix="splitwatt-zoo-")
    try:
        for index, name in enumerate(names, 1):
            begin, cpu_begin = time.perf_counter(), time.process_time()
            problem = _export(name, folder)
            seconds, peak = time.perf_counter() - begin, _peak_gib()
            cpu = time.process_time() - cpu_begin
            size = _size(folder)
            shutil.rmtree(os.path.join(folder, "cpu"), ignore_errors=True)
            print(f"{index}/{len(names)} {name}: {problem or f'{seconds:.1f} s'}, "
                  f"{cpu:.1f} s of processors, peak {peak:.2f} GiB", flush=True)  # fmt: skip
            if problem:
                failed.append({"model": name, "problem": problem})
            else:
                rows.append({"model": name, "seconds": seconds, "cpu_s": cpu, "bytes": size,
                             "peak_gib": peak})  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = time.perf_counter() - started
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
    publish(
        "zoo",
        f"Exporting the zoo ({len(os.sched_getaffinity(0))} cores; {LIMIT_S // 60} minutes and "
        f"{LIMIT_GIB:.0f} GiB are allowed)",
        ["model", "s", "s of processors", "MB"],
        table,
        {"total_s": total, "peak_gib": _peak_gib(), "rows": rows, "failed": failed},
    )


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
