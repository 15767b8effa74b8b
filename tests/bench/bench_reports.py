"""What a report costs: `python -m tests.bench reports`.

The run is synthetic (tests/reports/synthetic.py): its records are written by the profiler's own code
and nothing in it was measured; what is measured here is the making of the report. `--quick`: fewer
inferences. `--example`, with an earlier checkout's folder after it: only the report of examples/table3-cpu,
by this code and by that one in turn.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.measure import publish
from tests.conftest import COMMAND
from tests.reports.accuracy_file import accuracy, write
from tests.reports.power import add_power
from tests.reports.synthetic import make_config, write_run

GOAL_S, GOAL_BYTES, GOAL_PAGE_BYTES, GOAL_READY_MS = 30, 2e9, 5e6, 2000


EXAMPLE = Path("examples/table3-cpu/run").resolve()


def example(earlier: list[str]) -> None:
    """Processor seconds of the example's report, by this code and by earlier checkouts in turn."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import splitwatt; sys.exit(splitwatt.main())"
    spent: dict[str, list[float]] = {"this code": []} | {name: [] for name in earlier}
    with tempfile.TemporaryDirectory() as out:
        tail = ["report", str(EXAMPLE), "--out", out]
        for _ in range(3):
            for name, seconds in spent.items():
                own = name == "this code"
                command = (
                    COMMAND if own else [sys.executable, "-c", code, str(Path(name).resolve())]
                )
                seconds.append(_busy([*command, *tail], None if own else name))
    best = {name: min(seconds) for name, seconds in spent.items()}
    rows = [[n, f"{x:.1f} s", f"{x / best['this code']:.2f}"] for n, x in best.items()]
    columns = ["the report of 40 rows, 480 samples", "processor, best of 3", "ratio"]
    publish("reports_example", "The example's report", columns, rows, spent)


def _busy(command: list[str], folder: str | None) -> float:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    _, status, usage = _wait(child)
    if status:
        raise RuntimeError(f"the report exited with {status}")
    return usage.ru_utime + usage.ru_stime


def report(folder: Path, runs: list[Path]) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak bytes of `splitwatt report`, a process of its own."""
    start = time.perf_counter()
    command = [*COMMAND, "report", *map(str, runs)]
    child = subprocess.Popen([*command, "--out", str(folder)], stdout=subprocess.DEVNULL)
    _, status, usage = _wait(child)
    if status:
        raise RuntimeError(f"the report exited with {status}")
    busy = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - start, busy, 1024.0 * usage.ru_maxrss


def _wait(child: subprocess.Popen) -> tuple[int, int, resource.struct_rusage]:
    return os.wait4(child.pid, 0)


def ready_ms(page: Path) -> list[float]:
    """How long the page takes in headless Chromium until all its figures are drawn, five times."""
    from tests.reports.browser import dom

    return [float(re.search(r'data-ready-ms="(\d+)"', dom(page)).group(1)) for _ in range(5)]


def requests(page: Path) -> int:
    """What the page asks of anything but itself, as Chromium's own network log has it."""
    from tests.reports.browser import dom

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "net.json"
        dom(page, "", 1200, f"--log-net-log={log}", "--disable-background-networking")
        text = log.read_text(errors="replace")
    urls = set(re.findall(r'"url":"([a-z]+://[^"]*)"', text))
    own = {url for url in urls if url.startswith("file://")}
    return len([url for url in urls - own if not _of_the_browser(url)])


def _of_the_browser(url: str) -> bool:
    """Chromium's own calls home, which no page causes."""
    return re.search(r"//[^/]*\.?(google|gstatic|googleapis|gvt1)\.com/", url) is not None


def main(arguments: tuple[str, ...] = ()) -> None:
    """Measure, print, and write the table under build/bench."""
    if "--example" in arguments:
        example(list(arguments[arguments.index("--example") + 1 :]))
        return
    inferences = 3 if "--quick" in arguments else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = make_config(links=3, inferences=inferences)
        run = write_run(folder / "run", config)
        write(run / "accuracy.json", accuracy())
        seconds, busy, peak = report(folder / "one", [run])
        nano_config = make_config(links=3, inferences=inferences, backends=("cpu", "tensorrt"))
        nano = write_run(folder / "nano", nano_config, "nano", same_machine=False, seed=2)
        add_power(nano)
        more_seconds, more_busy, more_peak = report(folder / "two", [run, nano])
        sizes = [(folder / n / "report.html").stat().st_size for n in ("one", "two")]
        ready = [sorted(ready_ms(folder / n / "report.html")) for n in ("one", "two")]
        asked = requests(folder / "two" / "report.html")
    rows = [
        ["40 configurations, 3 links, all formats: time", f"{seconds:.1f} s ({busy:.1f} s of processor)", f"<= {GOAL_S} s"],
        ["the same: peak memory", f"{peak / 1e6:.0f} MB", f"<= {GOAL_BYTES / 1e9:.0f} GB"],
        ["its report.html", f"{sizes[0] / 1e6:.2f} MB", f"<= {GOAL_PAGE_BYTES / 1e6:.0f} MB"],
        ["interactive in headless Chromium, median of 5 (worst)",
         f"{ready[0][2]:.0f} ms ({ready[0][-1]:.0f})", f"<= {GOAL_READY_MS} ms"],
        ["two boards, three backends, power traces: time", f"{more_seconds:.1f} s ({more_busy:.1f} s of processor)", ""],
        ["the same: peak memory", f"{more_peak / 1e6:.0f} MB", ""],
        ["its report.html", f"{sizes[1] / 1e6:.2f} MB", f"<= {GOAL_PAGE_BYTES / 1e6:.0f} MB"],
        ["interactive, median of 5 (worst)", f"{ready[1][2]:.0f} ms ({ready[1][-1]:.0f})",
         f"<= {GOAL_READY_MS} ms"],
        ["requests that leave the page", str(asked), "0"],
    ]  # fmt: skip
    data = {"seconds": [seconds, more_seconds], "processor_seconds": [busy, more_busy], "peak_bytes": [peak, more_peak], "html_bytes": sizes,
            "ready_ms": ready, "requests": asked, "inferences": inferences}  # fmt: skip
    publish("reports", "Reports", ["what", "figure", "goal"], rows, data)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
