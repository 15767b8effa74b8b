"""Reads archives of arrays (.npz) from anywhere: plain numbers only, with a limit on the size.

numpy.load evaluates headers as Python, allocates any size that a header states, and raises a dozen
kinds of exceptions. So archives are read with `zipfile`, and headers with one regular expression.
"""

import io
import re
import zipfile
from typing import Dict, List, Tuple

import numpy as np

from splitwatt.device_configs.errors import BundleError
from splitwatt.device_configs.files import read_bounded

# The limit for all arrays of an archive together, if the manifest states no smaller size.
MAX_BYTES = 64 << 20
_MAX_ARRAYS = 256
_DIRECTORY_ENTRY = b"PK\x01\x02"
_REMEDY = "copy or export the bundle again"
_HEADER = re.compile(
    r"^\{'descr': '([<>|=]?)([biuf])([1248])', 'fortran_order': False, "
    r"'shape': \(((?:\d{1,10}, ?)*\d{0,10})\), ?\} *\n$"
)


class _UnsoundError(ValueError):
    """Describes what is wrong with an archive, as the end of a sentence."""


def load_arrays(path: str, limit_bytes: int = MAX_BYTES) -> Dict[str, np.ndarray]:
    """The arrays of an .npz file: booleans, integers or floats, C-contiguous, in native byte order.

    Args:
        limit_bytes: the limit for the size of all arrays together, and for the file's.

    Raises:
        BundleError: the file is missing, too large, or not such an archive; or an array holds Python
            objects, text or records, or is in Fortran order.
    """
    data = read_bounded(path, archive_limit(limit_bytes), BundleError, _REMEDY)
    try:
        if data.count(_DIRECTORY_ENTRY) > _MAX_ARRAYS:
            raise _UnsoundError("it holds more than %d arrays" % _MAX_ARRAYS)
        arrays = {}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), limit_bytes)
            for member in archive.infolist():
                with archive.open(member) as stream:
                    content = stream.read(member.file_size)  # read() alone would unpack any size
                arrays[member.filename[: -len(".npy")]] = _array(content, member.filename)
        return arrays
    except Exception as error:  # a damaged archive makes zipfile and zlib raise a dozen kinds
        reason = str(error) if isinstance(error, _UnsoundError) else "it is damaged"
        raise BundleError("%s is not an archive of arrays: %s" % (path, reason), _REMEDY)


def archive_limit(unpacked_bytes: int) -> int:
    """The limit for an archive's file, from the bytes of its arrays: headers are added."""
    return unpacked_bytes + (1 << 20)


def save_arrays(arrays: Dict[str, np.ndarray]) -> bytes:
    """The bytes of an .npz file with `arrays`; equal arrays give equal bytes."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def unpacked_bytes(path: str) -> int:
    """The unpacked size of an archive that was made here, headers included."""
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def _check_members(members: List[zipfile.ZipInfo], limit_bytes: int) -> None:
    names = {member.filename for member in members}
    if len(names) != len(members):
        raise _UnsoundError("it holds a name twice")
    for member in members:
        if member.flag_bits & 1:
            raise _UnsoundError("it is encrypted")
        if not member.filename.endswith(".npy") or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise _UnsoundError(
                "it holds %s, which is not an .npy file" % ascii(member.filename)[:60]
            )
    if sum(member.file_size for member in members) > limit_bytes:
        raise _UnsoundError("it unpacks to more than %d bytes" % limit_bytes)


def _array(data: bytes, name: str) -> np.ndarray:
    size_bytes = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(data[:8])
    if size_bytes is None:
        raise _UnsoundError("%s is not an .npy file" % name)
    start = 8 + size_bytes
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.match(data[start : min(end, start + 1000)].decode("latin-1"))
    if header is None:
        raise _UnsoundError("%s does not hold plain numbers in C order" % name)
    order, kind, size, sides = header.groups()
    dtype = np.dtype(order + kind + size)
    shape: Tuple[int, ...] = tuple(int(side) for side in sides.split(",") if side.strip())
    count = 1
    for side in shape:
        count *= side
    if len(shape) > 8 or count * dtype.itemsize != len(data) - end:
        raise _UnsoundError("%s has another size than its header states" % name)
    array = np.frombuffer(data, dtype, count, end).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
