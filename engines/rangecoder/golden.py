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
        medians = coder.medians(vector.indexes)
        if not np.array_equal(decoded, np.rint(vector.latent - medians) + medians):
            detail = "the decoded latent differs"
    except SplitwattError as error:
        detail = str(error)
    return Check(vector.name, path, not detail, detail)


def read(path: str) -> Vector:
    """One vector.

    Raises:
        BundleError: it is damaged.
    """
    with open(path, "rb") as stream:
        data = stream.read()
    at = len(MAGIC)

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal at
        array = np.frombuffer(data, dtype, count, at)
        at += -(-array.nbytes // 4) * 4
        return array

    try:
        head = take("<i4", 9).tolist()
        kind, count, width, items, rows, height, columns, indexed, overrides = head
        shape = (items, rows, height, columns)
        size = items * rows * height * columns
        cdf = take("<i4", count * width).reshape(count, width)
        tables = Tables(cdf, take("<i4", count), take("<i4", count), take("<f4", count))
        if data[: len(MAGIC)] != MAGIC or take("u1", 4).tobytes().hex() != tables.id:
            raise ValueError("no golden vector, or other tables than it names")
        latent = take("<i2", size).astype(np.float32) / np.float32(128)
        for _ in range(overrides):
            position = int(take("<i4", 1)[0])
            latent[position] = take("<f4", 1)[0]
        indexes = take("u1", size).astype(np.int32).reshape(shape) if indexed else None
        strings = [take("u1", n).tobytes() for n in take("<i4", items).tolist()]
        name = os.path.splitext(os.path.basename(path))[0]
        return Vector(name, FORMATS[kind], tables, latent.reshape(shape), indexes, strings)
    except (ValueError, IndexError, OverflowError, BundleError):  # cut off, or another number
        raise BundleError("%s is damaged" % path, "install splitwatt again")
