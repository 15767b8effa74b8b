"""Run every trial, or those named: `python -m tests.soak [kills ...]`."""

import importlib
import sys
from pathlib import Path


def main(names: list[str]) -> int:
    known = sorted(p.stem for p in Path(__file__).parent.glob("[a-z]*.py"))
    unknown = set(names) - set(known)
    if unknown:
        print(f"unknown trial {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        return 2
    failed = 0
    for name in names or known:
        failed |= importlib.import_module(f"tests.soak.{name}").main()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
