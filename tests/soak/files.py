"""Changed manifests, archives, graphs, targets, images and answers without end: only our errors may come.

    python -m tests.soak.files --seconds 600 [--seed 1]

A file that fails is kept, named in the error; put it into tests/board/hostile as a case.
"""

import argparse
import random
import resource
import tempfile
import time

from tests.board import tiny
from tests.board.test_hostile_files import COUNTS, Originals, attempt


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=600.0)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    source = random.Random(options.seed)
    kinds = sorted(COUNTS)
    done = dict.fromkeys(kinds, 0)
    refused = dict.fromkeys(kinds, 0)
    with tempfile.TemporaryDirectory() as folder:
        originals = Originals(tiny.tiny_bundle(folder + "/tiny", photos=1))
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            # As many of each as the short test has: some kinds are a hundred times faster.
            kind = source.choices(kinds, [COUNTS[kind] for kind in kinds])[0]
            refused[kind] += attempt(kind, originals.changed(kind, source), originals.folder)
            done[kind] += 1
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for kind in kinds:
        print(f"{kind:10} {done[kind]:8} files, {refused[kind]:8} refused, the others read")
    print(f"{sum(done.values())} files, no traceback, none over 5 s, peak memory {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
