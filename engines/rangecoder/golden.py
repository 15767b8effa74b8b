"""Golden vectors: latents and tables with the strings that every machine must encode them to.

A file of `golden/` is little endian: b"SWGOLD1\\0"; int32 format (0 interleaved, 1 CompressAI's),
tables, width, N, C, H, W, indexed (0 or 1), overrides; int32 cdf [tables, width], cdf_length,
offset; float32 medians; 4 bytes of tables id; int16 latent * 128 [N, C, H, W]; overrides as pairs
of int32 position and float32 value; uint8 indexes where indexed; int32 lengths [N]; strings. Every
array is padded to a multiple of 4 bytes.
"""

import os
from typing import List, NamedTuple, Optional

import numpy as np

from splitwatt.device_configs.errors import BundleError, SplitwattError
from splitwatt.engines.rangecoder import native
from splitwatt.engines.rangecoder.coder import FORMATS, RangeCoder
from splitwatt.engines.rangecoder.tables import Tables

MAGIC = b"SWGOLD1\0"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")

Check = NamedTuple("Check", [("name", str), ("path", str), ("passed", bool), ("detail", str)])

Vector = NamedTuple(
    "Vector",
    [
        ("name", str),
        ("format", str),
        ("tables", Tables),
        ("latent", np.ndarray),
        ("indexes", Optional[np.ndarray]),
        ("strings", List[bytes]),
    ],
)


def run_golden() -> List[Check]:
    """Encode and decode every golden vector on every path of this machine.

    Raises:
        BundleError: the vectors are missing or damaged.
    """
    return [_check(vector, path) for vector in vectors() for path in native.library().paths]


def vectors() -> List[Vector]:
    """The vectors that come with this package."""
    names = sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []
    vectors = [read(os.path.join(FOLDER, name)) for name in names if name.endswith(".bin")]
    if not vectors:
        raise BundleError("%s holds no golden vectors" % FOLDER, "install splitwatt again")
    return vectors


def _check(vector: Vector, path: str) -> Check:
    detail = ""
    try:
        coder = RangeCoder(vector.tables, vector.format, path=path)
        if coder.encode(vector.latent, vector.indexes) != vector.strings:
            detail = "the bytes differ"
        height, width = vector.latent.shape[2:]
        decoded = coder.decode(vector.strings, (height, width), vector.indexes)
        if not np.array_equal(decoded, expected(vector)):
            detail = "the decoded latent differs"
    except SplitwattError as error:
        detail = str(error)
    return Check(vector.name, path, not detail, detail)


def expected(vector: Vector) -> np.ndarray:
    """The right result of decoding: rint(latent - median) + median."""
    which = vector.indexes
    if which is None:
        which = np.arange(vector.tables.count).reshape(1, -1, 1, 1)
    medians = vector.tables.medians[which]
    result: np.ndarray = np.rint(vector.latent - medians) + medians
    return result


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = len(MAGIC)

    def take(self, dtype: str, count: int) -> np.ndarray:
        array = np.frombuffer(self.data, dtype, count, self.at)
        self.at += -(-array.nbytes // 4) * 4
        return array


def read(path: str) -> Vector:
    """One vector.

    Raises:
        BundleError: it is damaged.
    """
    with open(path, "rb") as stream:
        data = stream.read()
    try:
        return _vector(path, data)
    except (ValueError, IndexError, OverflowError):  # cut off, or another number than was written
        raise BundleError("%s is damaged" % path, "install splitwatt again")


def _vector(path: str, data: bytes) -> Vector:
    if data[: len(MAGIC)] != MAGIC:
        raise BundleError("%s is no golden vector" % path, "install splitwatt again")
    cursor = _Cursor(data)
    head = cursor.take("<i4", 9).tolist()
    kind, count, width, items, rows, height, columns, indexed, overrides = head
    shape = (items, rows, height, columns)
    size = items * rows * height * columns
    cdf = cursor.take("<i4", count * width).reshape(count, width)
    length, offset = cursor.take("<i4", count), cursor.take("<i4", count)
    tables = Tables(cdf, length, offset, cursor.take("<f4", count))
    if cursor.take("u1", 4).tobytes().hex() != tables.id:
        raise BundleError("%s names other tables than it holds" % path, "install splitwatt again")
    latent = cursor.take("<i2", size).astype(np.float32) / np.float32(128)
    for _ in range(overrides):
        position = int(cursor.take("<i4", 1)[0])
        latent[position] = cursor.take("<f4", 1)[0]
    indexes = cursor.take("u1", size).astype(np.int32).reshape(shape) if indexed else None
    strings = [cursor.take("u1", n).tobytes() for n in cursor.take("<i4", items).tolist()]
    name = os.path.splitext(os.path.basename(path))[0]
    return Vector(name, FORMATS[kind], tables, latent.reshape(shape), indexes, strings)
