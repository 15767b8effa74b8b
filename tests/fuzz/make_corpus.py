"""Makes the fuzzer's first inputs, sound strings and latents: python -m tests.fuzz.make_corpus.

The tables are those of fuzz_rangecoder.cpp.
"""

import math
import os

import numpy as np

from splitwatt.engines.rangecoder import Tables
from tests.board.engines.rangecoder import reference

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def make_tables(wide, offset):
    counts = [3, 20, 60, 500 if wide else 120]
    cdf = np.zeros((4, 501), np.int32)
    for row, count in zip(cdf, counts, strict=True):
        total = 0
        for i in range(count):
            row[i] = total
            z = (i - count / 2.0) / (count / 8.0)
            total += 1 + int(30000 // count * math.exp(-z * z))
        row[count // 2 + 1 : count] += 65536 - total
        row[count] = 65536
    offsets = [-(count // 2) for count in counts]
    offsets[3] = offset
    return Tables(cdf, [count + 1 for count in counts], offsets, np.zeros(4, np.float32))


def main():
    rng = np.random.RandomState(7)
    sets = [make_tables(False, -60), make_tables(True, -250)]
    os.makedirs(FOLDER, exist_ok=True)
    for name, height, width in (("one", 5, 9), ("small", 33, 60), ("lanes", 64, 34)):
        for choice, tables in enumerate(sets):
            for indexed in (False, True):
                for spread in (0.3, 2.0, 60.0):
                    _write(rng, name, height, width, choice, tables, indexed, spread)


def _write(rng, name, height, width, choice, tables, indexed, spread):
    n = height * width
    symbols = np.rint(rng.laplace(size=(4, n)) * spread * rng.rand(4, 1)).astype(np.int32)
    indexes = np.repeat(np.arange(4), n).reshape(4, n)
    if indexed:
        flat = np.arange(4 * n)
        indexes = ((flat * 5 + flat // 11) & 3).reshape(4, n)
    lanes, payload = reference.encode(symbols, indexes, tables)
    head = bytes([1 if lanes == 1 else 2, 16 * indexed, choice, height - 1, width - 1])
    label = "%s-%d-%d-%g" % (name, choice, indexed, spread)
    inputs = {"string": head + payload}
    if name == "one":
        latent = symbols[:2].astype(np.float32).tobytes()
        inputs["latent"] = b"\4" + head[1:] + latent
        words = reference.encode_compressai(symbols.ravel(), indexes.ravel(), tables)
        inputs["compressai"] = b"\5" + head[1:] + words
    for kind, data in inputs.items():
        if len(data) <= 8192:
            with open(os.path.join(FOLDER, "%s-%s" % (kind, label)), "wb") as stream:
                stream.write(data)


if __name__ == "__main__":
    main()
