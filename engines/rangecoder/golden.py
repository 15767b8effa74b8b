"""Golden vectors: latents, tables and the strings they must become, on every machine.

A file of `golden/` is little endian: b"SWGOLD1\\0"; int32 format (0 interleaved, 1 CompressAI's),
tables, width, N, C, H, W, indexed (0 or 1), overrides; int32 cdf [tables, width], cdf_length,
offset; float32 medians; 4 bytes of tables id; int16 latent * 128 [N, C, H, W]; overrides as pairs
of int32 position and float32 value; uint8 indexes where indexed; int32 lengths [N]; strings. Every
array is padded to a multiple of 4 bytes.
"""

import os
from typing import Any, List, NamedTuple, Optional

import numpy as np

from device_configs.errors import BundleError, SplitwattError
from engines.rangecoder import native
from engines.rangecoder.coder import FORMATS, RangeCoder
from engines.rangecoder.tables import Tables

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
    """Code every golden vector both ways on every path of this machine.

    Raises:
        BundleError: the vectors are missing or damaged.
    """
    library = native.library()
    paths = ["reference"] + (library.paths if library is not None else [])
    return [_check(vector, path) for vector in vectors() for path in paths]


def vectors() -> List[Vector]:
    """The vectors that come with this package."""
    names = sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []
    found = [read(os.path.join(FOLDER, name)) for name in names if name.endswith(".bin")]
    if not found:
        raise BundleError("%s holds no golden vectors" % FOLDER, "install splitwatt again")
    return found


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
    """What decoding must give: rint(latent - median) + median."""
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
    """One vector."""
    with open(path, "rb") as stream:
        data = stream.read()
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


def write(path: str, vector: Vector) -> None:
    """Write what `read` reads; `latent` must be numbers of 1/128 but for few."""
    latent = vector.latent.ravel()
    fixed = np.clip(np.nan_to_num(np.rint(latent * 128)), -32768, 32767).astype("<i2")
    odd = np.flatnonzero(fixed.astype(np.float32) / np.float32(128) != latent)
    tables = vector.tables
    parts: List[Any] = []
    head = [FORMATS.index(vector.format), tables.count, tables.cdf.shape[1]]
    head += list(vector.latent.shape) + [int(vector.indexes is not None), len(odd)]
    parts += [np.array(head, "<i4"), tables.cdf.astype("<i4"), tables.cdf_length.astype("<i4")]
    parts += [tables.offset.astype("<i4"), tables.medians.astype("<f4"), bytes.fromhex(tables.id)]
    parts.append(fixed)
    for position in odd.tolist():
        parts += [np.array([position], "<i4"), latent[position : position + 1].astype("<f4")]
    if vector.indexes is not None:
        parts.append(vector.indexes.astype("u1"))
    parts.append(np.array([len(data) for data in vector.strings], "<i4"))
    parts += vector.strings
    raw = [part if isinstance(part, bytes) else part.tobytes() for part in parts]
    with open(path, "wb") as stream:
        stream.write(MAGIC + b"".join(part + bytes(-len(part) % 4) for part in raw))
