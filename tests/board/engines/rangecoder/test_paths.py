"""Every path writes the bytes of the specification in NumPy and reads them back."""

import os

import numpy as np
import pytest

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.rangecoder import RangeCoder, Tables, golden, native
from splitwatt.engines.rangecoder.golden import run_golden
from splitwatt.engines.rangecoder.tables import TOTAL
from tests.board.engines.rangecoder.coder_cases import (
    entropy_bytes,
    fitting_latent,
    random_tables,
    rounded,
)
from tests.board.engines.rangecoder.reference import Reference

PATHS = native.library().paths


def agree(tables, latent, indexes=None, kind="interleaved"):
    """All paths code `latent` alike; its strings."""
    reference = Reference(tables, kind)
    strings = reference.encode(latent, indexes)
    wanted = rounded(latent, tables, indexes)
    shape = latent.shape[2:]
    if latent.size < 40000:
        assert np.array_equal(reference.decode(strings, shape, indexes), wanted)
    symbols = reference.decode_symbols(strings, shape, indexes)
    for path in PATHS:
        coder = RangeCoder(tables, kind, path=path)
        assert coder.encode(latent, indexes) == strings
        assert coder.encode_symbols(symbols, indexes) == strings
        decoded = coder.decode(strings, shape, indexes)
        assert decoded.dtype == np.float32 and np.array_equal(decoded, wanted)
        assert np.array_equal(coder.decode_symbols(strings, shape, indexes), symbols)
    return strings


def test_golden_vectors_agree_on_every_path():
    checks = run_golden()
    assert len(checks) >= 7 * len(PATHS)
    assert [check for check in checks if not check.passed] == []
    for vector in golden.vectors():
        assert Reference(vector.tables, vector.format).encode(
            vector.latent, vector.indexes
        ) == vector.strings  # fmt: skip


def test_a_damaged_golden_vector_is_told(tmp_path):
    name = sorted(name for name in os.listdir(golden.FOLDER) if name.endswith(".bin"))[0]
    with open(os.path.join(golden.FOLDER, name), "rb") as stream:
        sound = stream.read()
    path = str(tmp_path / "v.bin")
    for content in (sound[:40], sound[: len(sound) // 2], sound[:8] + b"\7\0\0\0" + sound[12:]):
        with open(path, "wb") as stream:
            stream.write(content)
        with pytest.raises(BundleError, match="v.bin"):
            golden.read(path)


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (2, 3, 1, 31), (1, 3, 5, 7), (1, 3, 53, 51), (2, 3, 57, 59), (1, 3, 64, 96)],
)
@pytest.mark.parametrize("outside", [0.0, 0.01])
def test_shapes(shape, outside):
    rng = np.random.RandomState(sum(shape))
    tables = random_tables(rng, [4, 24, 60][: shape[1]])
    agree(tables, fitting_latent(rng, tables, shape, outside))


@pytest.mark.parametrize(
    "size", [2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 600]
)
def test_table_sizes(size):
    rng = np.random.RandomState(size)
    tables = random_tables(rng, [size] * 3)
    agree(tables, fitting_latent(rng, tables, (1, 3, 54, 53), 0.002))


@pytest.mark.parametrize("rate", ["nearly nothing", "all escapes"])
def test_extreme_rates(rate):
    rng = np.random.RandomState(3)
    tables = random_tables(rng, [4, 4])
    latent = np.zeros((1, 2, 90, 91), np.float32)
    latent += tables.medians.reshape(1, 2, 1, 1)
    best = np.diff(tables.cdf[:, :5], axis=1)[:, :3].argmax(axis=1) + tables.offset
    latent += best.reshape(1, 2, 1, 1).astype(np.float32)
    if rate == "all escapes":
        latent += rng.randint(100, 1 << 20, latent.shape).astype(np.float32)
    agree(tables, latent)


@pytest.mark.parametrize("rest", [1, 2, 3, 255, 256, 257, 5000, 32768])
def test_one_symbol_that_nearly_always_comes(rest):
    rng = np.random.RandomState(rest)
    # The others share `rest` of 65536, as unevenly as they can: 1, 1, ..., and what is left.
    count = min(rest, 20)
    freqs = np.ones(count, int)
    freqs[-1] = rest - count + 1
    rows = [np.append(TOTAL - rest, freqs), np.append(freqs, TOTAL - rest)[:-1]]
    rows[1] = np.append(rows[1], TOTAL - rows[1].sum())
    cdf = np.array([np.append(0, np.cumsum(row)) for row in rows], np.int32)
    tables = Tables(cdf, [cdf.shape[1]] * 2, [-1, 0], np.zeros(2, np.float32))
    for outside in (0.0, 0.3):
        latent = fitting_latent(rng, tables, (1, 2, 150, 151), 0.0)
        pick = rng.rand(*latent.shape) < outside  # symbols that the table deems rare
        latent = np.where(pick, rng.randint(-2, count + 1, latent.shape), latent)
        agree(tables, latent.astype(np.float32))


def test_states_divide_by_frequencies_of_every_size():
    rng = np.random.RandomState(11)
    small = sorted({(1 << k) + d for k in range(16) for d in (-1, 0, 1)} - {0})
    rows = [np.cumsum([0, freq, TOTAL - 1 - freq, 1]) for freq in small]
    count = len(rows)
    tables = Tables(np.array(rows, np.int32), [4] * count, [0] * count, np.zeros(count, np.float32))
    agree(tables, rng.randint(0, 2, (1, count, 40, 50)).astype(np.float32))


def test_symbols_as_large_as_int32():
    rng = np.random.RandomState(4)
    for offset in (-5, 2147483600, -2147483648):
        tables = random_tables(rng, [9, 30], [offset, -15], np.zeros(2, np.float32))
        symbols = rng.randint(-15, 14, (1, 2, 70, 71)).astype(np.int32)
        symbols[0, 0] = np.clip(symbols[0, 0].astype(np.int64) + offset, -(1 << 31), (1 << 31) - 1)
        symbols[0, :, 5, :9] = [[-(1 << 31), (1 << 31) - 1, 0, 1, -1, 99, -99, 1 << 30, 7]] * 2
        strings = Reference(tables).encode_symbols(symbols)
        for coder in [Reference(tables)] + [RangeCoder(tables, path=path) for path in PATHS]:
            assert coder.encode_symbols(symbols) == strings
            assert np.array_equal(coder.decode_symbols(strings, (70, 71)), symbols)


@pytest.mark.parametrize("kind", ["interleaved", "compressai"])
def test_indexes_choose_the_tables(kind):
    rng = np.random.RandomState(5)
    tables = random_tables(rng, [4, 24, 60, 200])
    shape = (2, 6, 40, 41)
    indexes = rng.randint(0, 4, shape)
    latent = fitting_latent(rng, tables, shape, 0.003, indexes)
    agree(tables, latent, indexes, kind)


def test_channel_indexes_give_the_same_bytes_as_none():
    rng = np.random.RandomState(6)
    tables = random_tables(rng, [4, 24, 60])
    latent = fitting_latent(rng, tables, (1, 3, 60, 61))
    indexes = np.broadcast_to(np.arange(3).reshape(1, 3, 1, 1), latent.shape)
    for path in PATHS:
        coder = RangeCoder(tables, path=path)
        assert coder.encode(latent, indexes) == coder.encode(latent)


def test_random_latents_agree():
    rng = np.random.RandomState(7)
    for _ in range(25):
        channels = rng.randint(1, 6)
        sizes = rng.choice([2, 5, 12, 20, 40, 90, 130], channels).tolist()
        tables = random_tables(rng, sizes)
        shape = (1, channels, rng.randint(1, 70), rng.randint(1, 70))
        agree(tables, fitting_latent(rng, tables, shape, rng.choice([0, 0.001, 0.2])))


@pytest.mark.parametrize("shape", [(1, 24, 3, 4), (1, 24, 19, 18), (1, 24, 55, 55)])
def test_a_string_is_hardly_longer_than_its_entropy(shape):
    rng = np.random.RandomState(8)
    tables = random_tables(rng, [30] * 24)
    latent = fitting_latent(rng, tables, shape)
    length = len(RangeCoder(tables).encode(latent)[0])
    assert length <= 1.0002 * entropy_bytes(latent, tables) + 48


def test_ties_round_to_even_and_non_contiguous_latents_are_coded():
    rng = np.random.RandomState(9)
    tables = random_tables(rng, [40] * 2, medians=np.zeros(2, np.float32))
    latent = (rng.randint(-20, 20, (1, 2, 120, 90)) / 2).astype(np.float32)
    for path in PATHS:
        coder = RangeCoder(tables, path=path)
        view = latent[:, :, ::2, 5:60]
        assert not view.flags.c_contiguous
        strings = coder.encode(view)
        assert strings == coder.encode(view.copy())
        assert np.array_equal(coder.decode(strings, view.shape[2:]), np.rint(view))


def test_a_coder_may_be_shared_between_threads():
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.RandomState(10)
    tables = random_tables(rng, [20] * 3)
    latents = [fitting_latent(rng, tables, (1, 3, 60, 20 + 9 * i)) for i in range(8)]
    coder = RangeCoder(tables)
    alone = [coder.encode(latent) for latent in latents]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(coder.encode, latents * 5)) == alone * 5
