"""The part of each room's statements that its tests run, as one table: `make coverage`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("device_configs", "engines", "energy", "profiler", "export", "reports")
DATA = ROOT / "build" / "coverage"


def rooms(files: dict) -> dict[str, tuple[int, int]]:
    """Room -> its statements and how many of them ran, of coverage.py's JSON `files`."""
    counts = {}
    for room in ROOMS:
        summaries = [file["summary"] for path, file in files.items() if Path(path).parts[0] == room]
        statements = sum(summary["num_statements"] for summary in summaries)
        counts[room] = (statements, sum(summary["covered_lines"] for summary in summaries))
    return counts


def table(counts: dict[str, tuple[int, int]]) -> str:
    """The table that is printed: a row a room, and all of them together."""
    total = tuple(map(sum, zip(*counts.values())))
    lines = ["%-16s %10s %8s %8s" % ("room", "statements", "ran", "")]
    for name, (statements, ran) in [*counts.items(), ("all", total)]:
        percent = "%.1f %%" % (100 * ran / statements) if statements else "-"
        lines.append("%-16s %10d %8d %8s" % (name, statements, ran, percent))
    return "\n".join(lines)


def coverage(*arguments: str) -> int:
    """Run coverage.py, which reads its settings from pyproject.toml."""
    return subprocess.call([sys.executable, "-m", "coverage", *arguments], cwd=ROOT)


def main(argv: list[str]) -> int:
    """Run all tests (or those that `argv` names) and print the table; pytest's exit code."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    failed = coverage("run", "-m", "pytest", "-n", "3", *argv)
    report = DATA / "coverage.json"
    made = coverage("combine", "--quiet") or coverage("json", "--quiet", "-o", str(report))
    if made:
        return made
    print(table(rooms(json.loads(report.read_text())["files"])))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
