"""Bad input of every kind gives one sentence, on every path."""

import numpy as np
import pytest

from splitwatt.device_configs.errors import (
    BitstreamError,
    BundleError,
    DesyncError,
    SplitwattError,
    UsageError,
)
from splitwatt.engines.rangecoder import RangeCoder, Tables, container, native
from tests.board.engines.rangecoder.coder_cases import fitting_latent, random_tables
from tests.board.engines.rangecoder.reference import Reference, wrap

PATHS = native.library().paths
SHAPE = (60, 61)


@pytest.fixture(scope="module")
def tables():
    return random_tables(np.random.RandomState(0), [4, 24, 60])


@pytest.fixture(scope="module")
def latent(tables):
    return fitting_latent(np.random.RandomState(1), tables, (1, 3) + SHAPE, 0.002)


@pytest.fixture(params=PATHS)
def coder(request, tables):
    return RangeCoder(tables, path=request.param)


def one_sentence(error):
    text = str(error.value)
    assert text and "\n" not in text and "Traceback" not in text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e9, -3e9])
@pytest.mark.parametrize("position", [0, 31, 5000, -1])
def test_values_without_a_symbol(coder, latent, value, position):
    bad = latent.copy()
    bad.flat[position] = value
    with pytest.raises(BitstreamError) as error:
        coder.encode(bad)
    one_sentence(error)
    small = bad[:, :, :5, :7].copy()
    small.flat[position % small.size] = value
    with pytest.raises(BitstreamError):
        coder.encode(small)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.int32),
        lambda x: x[0],
        lambda x: x[:0],
        lambda x: x[:, :, :0],
        lambda x: x[:, :2],
        lambda x: np.concatenate([x, x], axis=1),
        lambda x: x.tolist(),
        lambda x: None,
    ],
)
def test_wrong_latents(coder, latent, make):
    with pytest.raises(UsageError) as error:
        coder.encode(make(latent))
    one_sentence(error)


@pytest.mark.parametrize(
    "make",
    [
        lambda i: i[:, :2],
        lambda i: i.astype(np.float32),
        lambda i: i + 1,
        lambda i: i - 1,
        lambda i: i.tolist(),
    ],
)
def test_wrong_indexes(coder, latent, make):
    indexes = np.broadcast_to(np.arange(3).reshape(1, 3, 1, 1), latent.shape)
    with pytest.raises(UsageError) as error:
        coder.encode(latent, make(indexes))
    one_sentence(error)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (5, -1), "ab", (1 << 20, 1 << 20), (2.5, 3), None])
def test_wrong_shapes(coder, latent, shape):
    with pytest.raises(UsageError) as error:
        coder.decode(coder.encode(latent), shape)
    one_sentence(error)


@pytest.mark.parametrize("strings", [[], b"abc", "abc", [None], ["text"], None, 3])
def test_wrong_strings(coder, strings):
    with pytest.raises(UsageError) as error:
        coder.decode(strings, SHAPE)
    one_sentence(error)


def test_unknown_formats_and_paths(tables):
    with pytest.raises(UsageError, match="interleaved"):
        RangeCoder(tables, "interleave")
    with pytest.raises(SplitwattError):
        RangeCoder(tables, path="avx1024")
    with pytest.raises(UsageError):
        RangeCoder(None)


def test_every_truncation_and_extension(coder, latent):
    string = coder.encode(latent)[0]
    for length in list(range(0, 40)) + list(range(40, len(string), len(string) // 20)):
        with pytest.raises(BitstreamError) as error:
            coder.decode([string[:length]], SHAPE)
        one_sentence(error)
    for more in (b"\0", b"\0" * 500, string):
        with pytest.raises(BitstreamError):
            coder.decode([string + more], SHAPE)


def test_every_bit_flip_of_the_header_and_some_of_the_payload(coder, latent):
    string = coder.encode(latent)[0]
    header = container.parse(string).start
    for position in list(range(header)) + list(range(header, len(string), len(string) // 25)):
        for bit in range(8):
            flipped = bytearray(string)
            flipped[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                coder.decode([bytes(flipped)], SHAPE)


def forged(string, change):
    """`string` with its payload changed and a header that fits."""
    header = container.parse(string)
    payload = change(string[header.start :])
    return wrap(string[0], header.tables_id, header.height, header.width, payload)


@pytest.mark.parametrize("small", [False, True])
def test_sound_bytes_that_end_wrongly_are_a_desync(coder, tables, small):
    # Without escapes: whoever forges a CRC can change an escape's value as he can send any latent.
    latent = fitting_latent(np.random.RandomState(3), tables, (1, 3) + SHAPE)
    latent = latent[:, :, :9, :11].copy() if small else latent
    shape = latent.shape[2:]
    string = coder.encode(latent)[0]
    changes = [
        lambda p: p + b"\0",
        lambda p: p[:-1],
        lambda p: p[: len(p) // 2],
        lambda p: p[:8],
        lambda p: b"",
        lambda p: p[:200] + bytes([p[200] ^ 1]) + p[201:] if len(p) > 201 else p + p,
        lambda p: bytes(len(p)),
        lambda p: b"\xff" * len(p),
    ]
    for change in changes:
        with pytest.raises(BitstreamError):
            coder.decode([forged(string, change)], shape)


def test_a_malformed_tail_is_damage_and_no_desync(coder, latent):
    """docs/bitstream.md, "When a stream is valid": rule 3 before rule 4."""
    string = coder.encode(latent)[0]
    steps = 3 * -(-SHAPE[0] * SHAPE[1] // 32)
    for tail in (b"\0", b"\x81\0", b"\x80" * 5 + b"\1", container.varint(steps)):
        for decode in (coder.decode, Reference(coder.tables).decode):
            with pytest.raises(BitstreamError, match="the bitstream is damaged") as error:
                decode([forged(string, lambda payload, tail=tail: tail + payload[1:])], SHAPE)
            assert not isinstance(error.value, DesyncError)
    one_less = forged(string, lambda payload: container.varint(steps - 1) + payload[1:])
    with pytest.raises(DesyncError):
        coder.decode([one_less], SHAPE)


def test_other_indexes_are_a_desync(coder, latent):
    indexes = np.random.RandomState(2).randint(0, 3, latent.shape)
    strings = coder.encode(latent, indexes)
    with pytest.raises(DesyncError, match="desync"):
        coder.decode(strings, SHAPE, (indexes + 1) % 3)
    few = indexes.copy()
    few[0, 1, 7, 7] = (few[0, 1, 7, 7] + 1) % 3
    with pytest.raises(DesyncError):
        coder.decode(strings, SHAPE, few)


def test_other_tables_and_shapes_are_named(coder, latent):
    strings = coder.encode(latent)
    other = random_tables(np.random.RandomState(5), [4, 24, 60])
    with pytest.raises(DesyncError, match="tables"):
        RangeCoder(other, path=coder.path).decode(strings, SHAPE)
    with pytest.raises(DesyncError, match="shape|of 60x61"):
        coder.decode(strings, (61, 60))


def test_a_short_string_cannot_ask_for_a_large_latent(coder):
    liar = wrap(container.INTERLEAVED, coder.tables.id, 20000, 20000, b"\1" + bytes(200))
    with pytest.raises(BitstreamError) as error:
        coder.decode([liar], (20000, 20000))
    one_sentence(error)


@pytest.mark.parametrize("seed", range(3))
def test_noise_never_passes(coder, seed):
    rng = np.random.RandomState(seed)
    for _ in range(40):
        noise = rng.randint(0, 256, rng.randint(0, 400)).astype(np.uint8).tobytes()
        with pytest.raises(BitstreamError):
            coder.decode([noise], SHAPE)
        for lanes in (container.SINGLE, container.INTERLEAVED):
            liar = wrap(lanes, coder.tables.id, 9, 8, noise)
            with pytest.raises(BitstreamError):
                coder.decode([liar], (9, 8))
            liar = wrap(lanes, coder.tables.id, 60, 61, noise)
            with pytest.raises(BitstreamError):
                coder.decode([liar], SHAPE)


@pytest.mark.parametrize("path", PATHS)
def test_compressai_strings_that_are_none(tables, latent, path):
    coder = RangeCoder(tables, "compressai", path=path)
    latent = latent[:, :, :20, :21]
    string = coder.encode(latent)[0]
    bad = [b"", string[:7], string[:-1], string[:-4], string + b"\0\0\0\0", b"\xff" * len(string)]
    bad += [bytes(len(string)), string[4:], string[:4] + bytes(4) + string[8:]]
    for data in bad:
        with pytest.raises(BitstreamError) as error:
            coder.decode([data], (20, 21))
        one_sentence(error)


def test_tables_are_checked(tmp_path):
    good = {
        "cdf": np.array([[0, 9, 65536]], np.int32),
        "cdf_length": np.array([3], np.int32),
        "offset": np.array([0], np.int32),
        "medians": np.array([0], np.float32),
    }
    Tables(**good)
    bad = [
        ("cdf", np.array([[0, 9, 65535]])),
        ("cdf", np.array([[1, 9, 65536]])),
        ("cdf", np.array([[0, 0, 65536]])),
        ("cdf", np.array([[0, 65536, 65536]])),
        ("cdf", np.array([[0, 9.5, 65536]])),
        ("cdf", np.array([0, 9, 65536])),
        ("cdf", np.zeros((0, 3), int)),
        ("cdf_length", np.array([4])),
        ("cdf_length", np.array([2])),
        ("cdf_length", np.array([-3])),
        ("cdf_length", np.array([3, 3])),
        ("offset", np.array([1 << 40])),
        ("offset", np.array([(1 << 31) - 1])),
        ("medians", np.array([np.nan], np.float32)),
        ("medians", np.array([0.0, 1.0], np.float32)),
        ("medians", np.array([1])),
    ]
    for name, value in bad:
        with pytest.raises(BundleError) as error:
            Tables(**dict(good, **{name: value}))
        one_sentence(error)
    with pytest.raises(BundleError):
        Tables.load(str(tmp_path / "missing.npz"))
    path = tmp_path / "tables.npz"
    path.write_bytes(b"PK\3\4 nonsense")
    with pytest.raises(BundleError) as error:
        Tables.load(str(path))
    one_sentence(error)
    np.savez(str(path), cdf=good["cdf"])
    with pytest.raises(BundleError, match="cdf_length"):
        Tables.load(str(path))
    objects = np.array([{}], dtype=object)
    np.savez(str(path), **dict(good, cdf=objects))
    with pytest.raises(BundleError):
        Tables.load(str(path))


def test_tables_survive_a_file_and_padding_does_not_change_their_id(tmp_path, tables):
    path = str(tmp_path / "tables.npz")
    tables.save(path)
    again = Tables.load(path)
    assert again.id == tables.id and again.sha256 == tables.sha256 and len(again.id) == 8
    padded = np.pad(tables.cdf, ((0, 0), (0, 9)), "constant", constant_values=7)
    assert Tables(padded, tables.cdf_length, tables.offset, tables.medians).id == tables.id
    moved = tables.offset + 1
    assert Tables(tables.cdf, tables.cdf_length, moved, tables.medians).id != tables.id
