"""How often `splitwatt compare` flags equal runs, and real differences: `python -m tests.bench compare`.

Runs are drawn, not measured: a row has images of its own levels (spread 0.5), a block (process) is
off by 2 %, a sample by 3 %, all lognormal. A false alarm is any row of a comparison that is flagged.
"""

import sys

import numpy as np

from splitwatt.reports.compare.change import of_blocks
from tests.bench.measure import publish

IMAGES, BLOCK, SAMPLE = 10, 0.02, 0.03


def flagged(dice: np.random.Generator, blocks: int, rows: int, slower: float = 0.0) -> list[bool]:
    """The rows of one comparison: whether each is flagged; `slower`: of the first, 0.05 is 5 %."""
    shown = []
    for row in range(rows):
        images = dice.normal(0, 0.5, IMAGES)
        sides = []
        for shift in (0.0, np.log1p(slower) if row == 0 else 0.0):
            level = shift + images + dice.normal(0, BLOCK, (blocks, 1))
            sides.append(np.exp(level + dice.normal(0, SAMPLE, (blocks, IMAGES))))
        percent = 100 * float(np.median(sides[1]) / np.median(sides[0]) - 1)
        named = [[[(str(i), x) for i, x in enumerate(block)] for block in side] for side in sides]
        shown.append(bool(of_blocks(percent, named[0], named[1], rows).shown))
    return shown


def main(arguments: tuple[str, ...] = ()) -> None:
    """Simulate, print, and write the table under build/bench. `--quick`: fewer pairs."""
    pairs, powers = (200, 50) if "--quick" in arguments else (2000, 500)
    table, data = [], []
    for blocks, rows in ((4, 1), (6, 1), (8, 10), (12, 10)):
        dice = np.random.default_rng(2025)
        alarms = sum(any(flagged(dice, blocks, rows)) for _ in range(pairs)) / pairs
        power = [
            sum(flagged(dice, blocks, rows, slower)[0] for _ in range(powers)) / powers
            for slower in (0.05, 0.10)
        ]
        table.append([str(blocks), str(rows), *(f"{100 * x:.1f} %" for x in (alarms, *power))])
        data.append({"blocks": blocks, "rows": rows, "false_alarms": alarms, "power": power})
    columns = ["blocks a side", "rows", "false alarms", "5 % slower flagged", "10 % slower flagged"]
    publish("compare", f"Comparisons of {pairs} pairs of equal runs", columns, table, data)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
