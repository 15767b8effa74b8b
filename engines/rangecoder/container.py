"""The header of a bitstream: 13 to 17 bytes that describe the payload and detect damage.

    byte 0      0xB0 + log2(lanes): format 1 with 1 lane (0xB0) or 32 (0xB5)
    4 bytes     tables id: the first 4 bytes of the tables' SHA-256
    varint      H, height of the latent
    varint      W, width of the latent
    varint      length of the payload in bytes
    4 bytes     CRC-32 (zlib's), little endian, of every byte before it and every byte after it
    ...         payload

A varint is LEB128: seven bits a byte, low ones first, the top bit set on all bytes but the last,
and no needless last byte of zero.
"""

import zlib
from typing import Any, NamedTuple, Tuple

from splitwatt.device_configs.errors import BitstreamError, DesyncError

SINGLE, INTERLEAVED = 0xB0, 0xB5
MAX_VARINT_BYTES = 5

Header = NamedTuple("Header", [("tables_id", str), ("height", int), ("width", int), ("start", int)])


def varint(value: int) -> bytes:
    """`value` (not negative) in LEB128."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> Tuple[int, int]:
    """The varint at `data[at:]` and where it ends.

    Raises:
        BitstreamError: it is cut off, longer than 5 bytes, or has a needless last byte.
    """
    value = 0
    for i in range(MAX_VARINT_BYTES):
        if at + i >= len(data):
            raise BitstreamError("the bitstream is truncated", "send it again")
        byte = data[at + i]
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            if byte == 0 and i:
                break
            return value, at + i + 1
    raise BitstreamError("the bitstream is damaged: a number in it is malformed", "send it again")


def parse(data: bytes) -> Header:
    """The header of `data`, after every check that needs no tables.

    Raises:
        BitstreamError: not a bitstream of this format, truncated, extended or damaged.
    """
    if len(data) < 1:
        raise BitstreamError("the bitstream is empty", "send it again")
    if data[0] not in (SINGLE, INTERLEAVED):
        raise BitstreamError(
            "the bytes are not a splitwatt bitstream (first byte 0x%02X)" % data[0],
            "check that both ends run the same format and version",
        )
    if len(data) < 5:
        raise BitstreamError("the bitstream is truncated", "send it again")
    height, at = read_varint(data, 5)
    width, at = read_varint(data, at)
    length, at = read_varint(data, at)
    start = at + 4
    if len(data) != start + length:
        raise BitstreamError(
            "the bitstream has %d bytes, and its header says %d" % (len(data), start + length),
            "send it again",
        )
    view = memoryview(data)
    crc = zlib.crc32(view[start:], zlib.crc32(view[:at])) & 0xFFFFFFFF
    if crc != int.from_bytes(data[at:start], "little"):
        raise BitstreamError("the bitstream is damaged: its CRC does not match", "send it again")
    return Header(bytes(data[1:5]).hex(), height, width, start)


def check(header: Header, tables: Any, height: int, width: int) -> None:
    """Raise DesyncError unless `header` has these tables and this shape."""
    if header.tables_id != tables.id:
        raise DesyncError(
            "the bitstream was written with the tables %s, and the tables here are %s"
            % (header.tables_id, tables.id),
            "use one bundle on both ends",
        )
    if (header.height, header.width) != (height, width):
        raise DesyncError(
            "the bitstream holds a latent of %dx%d, not of %dx%d"
            % (header.height, header.width, height, width),
            "ask for the shape that was sent",
        )


def desync() -> DesyncError:
    """The error of bytes that arrived whole and do not end where a valid stream ends."""
    return DesyncError(
        "desync: the bitstream does not end where a valid one does",
        "tables or indexes differ between the two ends: use one bundle on both",
    )


def no_words(size: int) -> BitstreamError:
    """The error of a string whose length no string of CompressAI's format has."""
    return BitstreamError(
        "a CompressAI string has 8 bytes or more in words of 4, not %d bytes" % size,
        "send it again",
    )
