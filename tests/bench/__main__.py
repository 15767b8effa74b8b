"""Run every benchmark, or those named: `python -m tests.bench [engines rangecoder ...]`.

Those of LONG run only where they are named.
"""

import importlib
import sys
from pathlib import Path

from tests.bench.measure import cpu_name

LONG = {"zoo"}  # exports some eighty systems


def main(names: list[str]) -> int:
    known = sorted(path.stem[len("bench_") :] for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = set(names) - set(known)
    if unknown:
        print(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        return 2
    print(f"on {cpu_name()}\n")
    for name in names or [name for name in known if name not in LONG]:
        importlib.import_module(f"tests.bench.bench_{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
