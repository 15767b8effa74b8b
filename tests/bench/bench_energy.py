"""The energy room's figures, as a Markdown table: `python tests/bench/bench_energy.py`.

`--seconds 600` runs the sampler for as long as the goal says; the default is a short burst.
"""

import argparse
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from splitwatt.energy.endpoint.server import Endpoint  # noqa: E402
from splitwatt.energy.joules import simpson as integrate  # noqa: E402
from splitwatt.energy.monitor import EnergyMonitor  # noqa: E402
from splitwatt.energy.sampler.sampler import Sampler  # noqa: E402
from splitwatt.energy.trace.files import read_trace  # noqa: E402
from tests.energy import trees  # noqa: E402


def times_of(seconds, hz, rng, jitter):
    step = 1.0 / hz
    inner = [(i + rng.uniform(-jitter, jitter)) * step for i in range(1, int(seconds * hz))]
    return [0.0] + inner + [float(seconds)]


def smooth_load(runs=20):
    """The worst relative error of Simpson over 10 s at 200 Hz, uneven."""

    def primitive(t):
        return 3 * t - math.cos(2 * math.pi * t) / (2 * math.pi) + math.sin(6 * math.pi * t) / 37.7

    worst = 0.0
    for seed in range(runs):
        rng = random.Random(seed)
        phase = rng.random()
        times = times_of(10, 200, rng, 0.3)
        watts = [
            3 + math.sin(2 * math.pi * (t + phase)) + 6 * math.pi / 37.7
            * math.cos(6 * math.pi * (t + phase)) for t in times
        ]  # fmt: skip
        exact = primitive(10 + phase) - primitive(phase)
        worst = max(worst, abs(integrate.simpson(times, watts) / exact - 1))
    return worst


RULES = (integrate.simpson, integrate.trapezoid, integrate.rectangle)


def square_load(hz, limit, high, low, runs=100):
    """(runs within the limit, by each of RULES; runs whose interval covers the truth; the
    root mean square of each rule's errors)."""
    covered = 0
    errors: list[list[float]] = [[] for _ in RULES]
    for seed in range(runs):
        rng = random.Random(1000 + seed)
        at, on, steps = -rng.uniform(0, 0.05), True, []
        while at < 10:
            lasts = (0.02 if on else 0.03) * rng.uniform(0.9, 1.1)
            steps.append((at, at + lasts, high if on else low))
            at, on = at + lasts, not on
        exact = sum(max(0, min(b, 10) - max(a, 0)) * p for a, b, p in steps)
        times, watts, i = times_of(10, hz, rng, 0.1), [], 0
        for t in times:
            while t >= steps[i][1]:
                i += 1
            watts.append(steps[i][2])
        for rule, of_rule in zip(RULES, errors):
            of_rule.append(abs(rule(times, watts) / exact - 1))
        middle, half = integrate.trapezoid(times, watts), integrate.error(times, watts)
        bottom, top = middle - half, middle + half
        covered += bottom <= exact <= top
    within = [sum(error <= limit for error in of_rule) for of_rule in errors]
    return within, covered, [math.sqrt(sum(e * e for e in of_rule) / runs) for of_rule in errors]


def burn(core):
    os.sched_setaffinity(0, {core})
    os.nice(19)  # the core is full all the same, and whoever else is here is not kept waiting
    while True:
        pass


def memory_folder():
    return tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def sample(hz, seconds, loaded):
    """(part of samples within 2 ms of their time, samples, sampler's stats)."""
    folder = memory_folder()
    burner = None
    try:
        trees.build(folder, "xavier_nx", "hwmon")
        cores = sorted(os.sched_getaffinity(0))
        if loaded and len(cores) > 1:
            burner = multiprocessing.Process(target=burn, args=(cores[0],), daemon=True)
            burner.start()
        trace = os.path.join(folder, "trace.csv")
        with Sampler("xavier_nx", folder, trace=trace, hz=hz) as sampler:
            time.sleep(seconds)
        rows = read_trace(trace)
        times = [t for t, watts in zip(rows.times, rows.columns[0]) if watts is not None]
        times = times[1:-1]  # the first and the last are extra
        start = times[0]
        # If none was lost, the i-th sample is the one that was due at i / hz.
        near = sum(abs(t - start - i / hz) <= 0.002 for i, t in enumerate(times))
        return near / len(times), len(times), sampler.stats
    finally:
        if burner is not None:
            burner.terminate()
            burner.join()
        shutil.rmtree(folder)


def scrape(hz, seconds):
    folder = memory_folder()
    try:
        trees.build(folder, "xavier_nx", "hwmon")
        with Endpoint("xavier_nx", folder, host="127.0.0.1", port=0, hz=hz) as endpoint:
            url = "http://127.0.0.1:%d/metrics" % endpoint.port
            start, count = time.monotonic(), 0
            while time.monotonic() - start < seconds:
                urllib.request.urlopen(url).read()
                count += 1
                time.sleep(max(0.0, start + count * 0.1 - time.monotonic()))
        return count, endpoint.stats
    finally:
        shutil.rmtree(folder)


def window_cost():
    """Seconds a call of begin or end, the median of several bursts."""
    monitor = EnergyMonitor(driver="generated")
    bursts = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(1000):
            monitor.begin("encode")
            monitor.end("encode")
        bursts.append((time.perf_counter() - start) / 2000)
    monitor.close()
    return sorted(bursts)[4]


def main(argv=()):
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10.0, help="of each sampler run")
    options = arguments.parse_args(list(argv))
    rows = [("smooth load, uneven 200 Hz: worst error of 20", "<= 1e-6", "%.1e" % smooth_load())]
    for hz, limit, text in ((200, 0.01, "1 %"), (1000, 0.0025, "0.25 %")):
        for low, goals in ((1.5, (">= 95", ">= 93")), (1.0, ("-", "-")), (0.0, ("-", "-"))):
            within, covered, rms = square_load(hz, limit, 5.0, low)
            rows.append(("square wave 5 / %g W at %d Hz, 100 runs: within %s" % (low, hz, text), goals[0],
                         "%d (trapezoid %d, rectangle %d)" % tuple(within)))  # fmt: skip
            rows.append(("the same: root mean square error", "-",
                         "%.3f %% (trapezoid %.3f, rectangle %.3f)" % tuple(100 * r for r in rms)))  # fmt: skip
            rows.append(("the same: interval covers the truth", goals[1], "%d" % covered))
    near, count, stats = sample(1000, options.seconds, loaded=True)
    rows.append(("sampler at 1 kHz, 3 rails, core loaded, %g s: within 2 ms" % options.seconds,
                 ">= 99 %", "%.3f %% of %d" % (100 * near, count)))  # fmt: skip
    rows.append(("the same: lost", "0", "%d (%d late, by %.1f ms at most; %.1f %% of a core, %.1f MB)"
                 % (stats["lost"], stats["late"], 1e3 * stats["worst_late_s"], 100 * stats["core_fraction"],
                    (stats["peak_bytes"] or 0) / 1e6)))  # fmt: skip
    _, _, stats = sample(200, options.seconds, loaded=False)
    rows.append(("sampler's cost at 200 Hz, 3 rails", "<= 5 %",
                 "%.2f %% of a core" % (100 * stats["core_fraction"])))  # fmt: skip
    count, stats = scrape(1000, options.seconds)
    rows.append(("%d scrapes at 10 Hz, sampler at 1 kHz: lost" % count, "0",
                 "%d of %d" % (stats["lost"], stats["samples"])))  # fmt: skip
    rows.append(("begin or end of a window", "< 20 us", "%.2f us" % (1e6 * window_cost())))
    print("| what | goal | measured |\n|---|---|---|")
    for row in rows:
        print("| %s | %s | %s |" % row)
    print("\nPython %s, %s cores" % (sys.version.split()[0], os.cpu_count()))


if __name__ == "__main__":
    main(sys.argv[1:])
