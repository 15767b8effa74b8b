"""Timing side by side: every contender in turn, round after round, so that drift favours nobody."""

import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any, Callable

from splitwatt.device_configs.files import write_atomic

OUT = Path(os.environ.get("SPLITWATT_BENCH_OUT", "build/bench"))


def side_by_side(
    contenders: dict[str, Callable[[], Any]],
    seconds: float = 2.0,
    at_least: int = 5,
    pause_s: float = 0.0,
) -> dict[str, float]:
    """Median seconds of one call of each contender, called in turn for about `seconds` in all.

    Each is called once before anything counts. `pause_s` comes before each call, uncounted, where
    contenders have threads of their own: those that wait for work by spinning would take the other
    contender's core.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < at_least:
        for name, call in contenders.items():
            time.sleep(pause_s)
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def cpu_name() -> str:
    """The processor as the kernel names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def publish(name: str, title: str, columns: list[str], rows: list[list[str]], data: Any) -> None:
    """Print a Markdown table and write it, with its raw figures, under `OUT`."""
    lines = [f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    document = {"format": 1, "name": name, "cpu": cpu_name(), "figures": data}
    write_atomic(str(OUT / f"{name}.md"), text)
    write_atomic(str(OUT / f"{name}.json"), json.dumps(document, indent=2))
