"""The bitstream in NumPy: the readable specification that every path of the library must equal.

One item of a batch is `rows` (channels) of `n` symbols (positions in raster order). A row is coded
in steps of up to 32 symbols; lane j of a step codes its j-th symbol, in the row's own table. The
decoder walks forward, so the encoder walks backward, from the last step to the first.

A lane is a range asymmetric numeral system with a 32-bit state x >= 2**24 that grows and shrinks by
whole bytes. A symbol of interval [start, start + freq) of 65536:

    encode: while x >= freq << 16: emit x & 255; x >>= 8
            x = (x // freq << 16) + x % freq + start
    decode: slot = x & 65535, which names the symbol
            x = freq * (x >> 16) + slot - start
            while x < 2**24: x = x << 8 | next byte

In a step the decoder reads a first byte for every lane that needs one, lane 0 first, and then a
second byte for every lane that needs another, lane 0 first.

Short items (up to 8192 symbols) use one lane alone. In longer ones the encoder begins with one lane
alone, too: it codes the last steps of the item with it until it has written at least 92 bytes.
These and the lane's state are the "tail"; the tail's first 96 bytes become the low 24 bits of the
32 lanes' first states, which would otherwise be wasted. The payload is

    1 lane:   u32 state | stream | escapes
    32 lanes: varint tail steps | 32 x u32 state | stream | the tail's other bytes | escapes

with integers little endian. A symbol outside its table (of `last` intervals before the escape) is
coded as the table's last interval, and its distance goes to the escapes: 2 * (entry - last) above
the table, -2 * entry - 1 below it, in octal digits, low ones first, each a nibble whose top bit is
set on all digits but the last. Escapes are read backwards from the end of the payload, symbol after
symbol, of each byte the low nibble first; where their number is odd, a zero nibble fills the last.
A valid item ends with every byte read, every lane's top byte 1, and the single lane's state exactly
2**24: anything else is a desync.
"""

import bisect
import zlib
from typing import List, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.rangecoder import container
from splitwatt.engines.rangecoder.coder import quantize
from splitwatt.engines.rangecoder.compressai_decoder import StringDecoder
from splitwatt.engines.rangecoder.container import INTERLEAVED, SINGLE, desync
from splitwatt.engines.rangecoder.tables import TOTAL, Tables

LANES = 32
LOW = 1 << 24  # a lane's state is never below it
SINGLE_LANE_MAX = 8192  # symbols
TAIL_BYTES = 3 * LANES  # bytes that the lanes' first states can hold
MAX_DIGITS = 12  # of an escape: 36 bits
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


class Reference:
    """The methods of `RangeCoder`, for valid arguments."""

    def __init__(self, tables: Tables, format: str = "interleaved") -> None:
        self.tables, self.format = tables, format

    def encode(self, latent: np.ndarray, indexes: Optional[np.ndarray] = None) -> List[bytes]:
        return self.encode_symbols(quantize(latent, self._medians(indexes)), indexes)

    def decode(self, strings, shape, indexes=None) -> np.ndarray:
        symbols = self.decode_symbols(strings, shape, indexes)
        return symbols.astype(np.float32) + self._medians(indexes)

    def encode_symbols(
        self, symbols: np.ndarray, indexes: Optional[np.ndarray] = None
    ) -> List[bytes]:
        strings = []
        chosen = np.broadcast_to(self._chosen(indexes), symbols.shape)
        for item, which in zip(symbols, chosen):
            if self.format == "compressai":
                strings.append(encode_compressai(item.ravel(), which.ravel(), self.tables))
                continue
            rows = (item.shape[0], -1)
            lanes, payload = encode(item.reshape(rows), which.reshape(rows), self.tables)
            first = SINGLE if lanes == 1 else INTERLEAVED
            strings.append(wrap(first, self.tables.id, item.shape[1], item.shape[2], payload))
        return strings

    def decode_symbols(self, strings, shape, indexes=None) -> np.ndarray:
        chosen = self._chosen(indexes)
        full = (len(strings), chosen.shape[1]) + tuple(shape)
        items = []
        for data, which in zip(strings, np.broadcast_to(chosen, full)):
            if self.format == "compressai":
                stream = StringDecoder(data, self.tables)
                items.append(stream.read(which.ravel()).reshape(full[1:]))
                stream.finish()
                continue
            head = container.parse(data)
            container.check(head, self.tables, *shape)
            lanes, payload = 1 if data[0] == SINGLE else LANES, data[head.start :]
            which = which.reshape(full[1], -1)
            items.append(decode(payload, lanes, *which.shape, which, self.tables).reshape(full[1:]))
        return np.array(items, np.int32)

    def _chosen(self, indexes: Optional[np.ndarray]) -> np.ndarray:
        """The table of each symbol, which broadcasts to (N, C, H, W)."""
        return np.arange(self.tables.count).reshape(1, -1, 1, 1) if indexes is None else indexes

    def _medians(self, indexes: Optional[np.ndarray]) -> np.ndarray:
        return self.tables.medians[self._chosen(indexes)]


def wrap(first: int, tables_id: str, height: int, width: int, payload: bytes) -> bytes:
    """`payload` behind its header, whose first byte is SINGLE or INTERLEAVED."""
    sizes = (container.varint(size) for size in (height, width, len(payload)))
    head = bytes([first]) + bytes.fromhex(tables_id) + b"".join(sizes)
    crc = zlib.crc32(payload, zlib.crc32(head)) & 0xFFFFFFFF
    return head + crc.to_bytes(4, "little") + payload


def encode_compressai(symbols: np.ndarray, indexes: np.ndarray, tables: Tables) -> bytes:
    """The string that CompressAI writes for int32 symbols and their tables, both flat."""
    x = 1 << 31
    words: List[int] = []
    for symbol, t in zip(symbols[::-1].tolist(), indexes[::-1].tolist()):
        cdf = tables.cdf[t, : tables.cdf_length[t]].tolist()
        last = len(cdf) - 2
        entry = symbol - int(tables.offset[t])
        digits: List[int] = []
        if not 0 <= entry < last:
            distance = -2 * entry - 1 if entry < 0 else 2 * (entry - last)
            while distance >> (4 * len(digits)):
                digits.append(distance >> (4 * len(digits)) & 15)
            entry, digits = last, [len(digits)] + digits
        for digit in reversed(digits):
            if x >= 1 << 59:
                words.append(x & 0xFFFFFFFF)
                x >>= 32
            x = x << 4 | digit
        start = cdf[entry]
        freq = cdf[entry + 1] - start
        if x >= freq << 47:
            words.append(x & 0xFFFFFFFF)
            x >>= 32
        x = (x // freq << 16) + x % freq + start
    words += [x >> 32, x & 0xFFFFFFFF]
    return np.array(words[::-1], "<u4").tobytes()


def encode(symbols: np.ndarray, indexes: np.ndarray, tables: Tables) -> Tuple[int, bytes]:
    """Code one item.

    Args:
        symbols: int32 [rows, n].
        indexes: int32, broadcastable to [rows, n]: the table of each symbol.
        tables: the tables.

    Returns:
        The number of lanes (1 or 32) and the payload.
    """
    rows, n = symbols.shape
    start, freq, escapes = _intervals(symbols, np.broadcast_to(indexes, symbols.shape), tables)
    lane = _Lane()
    if symbols.size <= SINGLE_LANE_MAX:
        lane.encode(start.ravel(), freq.ravel())
        return 1, lane.flush() + escapes
    steps, per_row = _steps(rows, n)
    tail = 0
    while tail < steps and len(lane.out) < TAIL_BYTES - 4:
        tail += 1
        where = _place(steps - tail, per_row, n)
        lane.encode(start[where], freq[where])
    if tail == steps:
        return 1, lane.flush() + escapes
    tail_bytes = lane.flush()
    seeds = np.frombuffer(tail_bytes[:TAIL_BYTES], np.uint8).reshape(LANES, 3).astype(np.uint32)
    x = LOW | seeds[:, 0] | seeds[:, 1] << 8 | seeds[:, 2] << 16
    x, stream = _encode_steps(x, _padded(start, 0, per_row), _padded(freq, TOTAL, per_row), tail)
    states = x.astype("<u4").tobytes()
    payload = (container.varint(tail), states, stream, tail_bytes[TAIL_BYTES:], escapes)
    return LANES, b"".join(payload)


def decode(
    payload: bytes, lanes: int, rows: int, n: int, indexes: np.ndarray, tables: Tables
) -> np.ndarray:
    """Decode one item: the inverse of `encode`.

    Returns:
        int32 [rows, n].

    Raises:
        BitstreamError: the payload is malformed.
        DesyncError: it does not end where a valid item ends.
    """
    indexes = np.ascontiguousarray(np.broadcast_to(indexes, (rows, n)))
    entries = np.zeros((rows, n), np.int32)
    reader = _Reader(payload)
    steps, per_row = _steps(rows, n)
    if lanes == 1:
        entries[:] = _decode_lane(reader, indexes.ravel(), tables).reshape(rows, n)
    else:
        tail, reader.at = container.read_varint(payload, 0)
        if not 0 < tail < steps:
            raise BitstreamError("the bitstream is damaged: its tail is malformed", "send it again")
        states = np.frombuffer(reader.take(4 * LANES), "<u4").astype(np.uint32)
        if (states < LOW).any():
            raise desync()
        x = _decode_steps(states, reader, indexes, entries, tables, tail)
        if (x >> 24 != 1).any():
            raise desync()
        reader.seeds = (x[:, None] >> np.array([0, 8, 16], np.uint32)).astype(np.uint8).tobytes()
        places = [_place(step, per_row, n) for step in range(steps - tail, steps)]
        where = (np.concatenate([p[0] for p in places]), np.concatenate([p[1] for p in places]))
        entries[where] = _decode_lane(reader, indexes[where], tables)
    return _symbols(entries, indexes, tables, reader)


def _steps(rows: int, n: int) -> Tuple[int, int]:
    per_row = -(-n // LANES)
    return rows * per_row, per_row


def _place(step: int, per_row: int, n: int) -> Tuple[np.ndarray, np.ndarray]:
    """Row and column of every symbol of a step."""
    row, first = step // per_row, step % per_row * LANES
    columns = np.arange(first, min(first + LANES, n))
    return np.full(columns.shape, row), columns


def _intervals(
    symbols: np.ndarray, indexes: np.ndarray, tables: Tables
) -> Tuple[np.ndarray, np.ndarray, bytes]:
    """Start and frequency of every symbol, and the escape bytes of those outside their table."""
    last = tables.cdf_length[indexes].astype(np.int64) - 2
    entry = symbols.astype(np.int64) - tables.offset[indexes]
    outside = (entry < 0) | (entry >= last)
    nibbles: List[int] = []
    for value, top in zip(entry[outside].tolist(), last[outside].tolist()):
        nibbles += _digits(-2 * value - 1 if value < 0 else 2 * (value - top))
    nibbles += [0] * (len(nibbles) % 2)
    escapes = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2]))
    entry = np.where(outside, last, entry)
    start = tables.cdf[indexes, entry]
    freq = tables.cdf[indexes, entry + 1] - start
    return start.astype(np.uint32), freq.astype(np.uint32), escapes[::-1]


def _digits(distance: int) -> List[int]:
    """A distance as the nibbles of an escape."""
    nibbles = []
    while distance > 7:
        nibbles.append(distance & 7 | 8)
        distance >>= 3
    return nibbles + [distance]


def _padded(values: np.ndarray, fill: int, per_row: int) -> np.ndarray:
    """[rows, n] as [steps, 32]; lanes beyond a row's end get `fill` (an interval of 65536 at 0
    leaves a state as it is)."""
    rows, n = values.shape
    padded = np.full((rows, per_row * LANES), fill, values.dtype)
    padded[:, :n] = values
    return padded.reshape(-1, LANES)


def _encode_steps(
    x: np.ndarray, starts: np.ndarray, freqs: np.ndarray, tail: int
) -> Tuple[np.ndarray, bytes]:
    """The interleaved part: all steps but the last `tail`; final states and stream."""
    chunks: List[bytes] = []
    for step in range(len(starts) - tail - 1, -1, -1):
        start, freq = starts[step], freqs[step]
        one, two = x >> 16 >= freq, x >> 24 >= freq
        if one.any():
            second = x[two] & 255  # read after all first bytes, so written before them
            x = np.where(two, x >> 8, x)
            chunks.append(second.astype(np.uint8).tobytes())
            chunks.append((x[one] & 255).astype(np.uint8).tobytes())
            x = np.where(one, x >> 8, x)
        x = (x // freq << 16) + x % freq + start
    return x, b"".join(reversed(chunks))


def _decode_steps(
    x: np.ndarray,
    reader: "_Reader",
    indexes: np.ndarray,
    entries: np.ndarray,
    tables: Tables,
    tail: int,
) -> np.ndarray:
    """The interleaved part, filling `entries`; the lanes' last states."""
    rows, n = entries.shape
    steps, per_row = _steps(rows, n)
    finder = _Finder(tables)
    for step in range(steps - tail):
        row, first = step // per_row, step % per_row * LANES
        table = indexes[row, first : first + LANES]
        active = len(table)
        slot = x[:active] & 65535
        entry, start, freq = finder.find(table, slot)
        entries[row, first : first + LANES] = entry
        x[:active] = freq * (x[:active] >> 16) + slot - start
        for _ in range(2):
            short = x < LOW
            count = int(short.sum())
            if count == 0:
                break
            x[short] = x[short] << 8 | np.frombuffer(reader.take(count), np.uint8)
    return x


class _Finder:
    """Slots to intervals, by one binary search in all tables laid end to end."""

    def __init__(self, tables: Tables) -> None:
        lengths = tables.cdf_length
        within = np.arange(tables.cdf.shape[1]) < lengths[:, None]
        self.base = np.arange(tables.count, dtype=np.int64) << 17  # above any cdf
        self.keys = (tables.cdf + self.base[:, None])[within]
        self.cdf = tables.cdf[within]
        self.first = np.cumsum(lengths) - lengths

    def find(
        self, table: np.ndarray, slot: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.searchsorted(self.keys, self.base[table] + slot, "right") - 1
        start = self.cdf[at]
        freq = self.cdf[at + 1] - start
        return at - self.first[table], start.astype(np.uint32), freq.astype(np.uint32)


class _Lane:
    """The single lane's encoder."""

    def __init__(self) -> None:
        self.x = LOW
        self.out = bytearray()  # in the order of writing: the decoder's reversed

    def encode(self, starts: np.ndarray, freqs: np.ndarray) -> None:
        """Code intervals, the last one first."""
        x, out = self.x, self.out
        for start, freq in zip(starts[::-1].tolist(), freqs[::-1].tolist()):
            while x >= freq << 16:
                out.append(x & 255)
                x >>= 8
            x = (x // freq << 16) + x % freq + start
        self.x = x

    def flush(self) -> bytes:
        """The state and the bytes, as the decoder reads them."""
        return self.x.to_bytes(4, "little") + bytes(self.out[::-1])


def _decode_lane(reader: "_Reader", indexes: np.ndarray, tables: Tables) -> np.ndarray:
    """The single lane's decoder: entries of the tables `indexes`."""
    x = int.from_bytes(reader.take(4), "little")
    if x < LOW:
        raise desync()
    cdfs = [row[:length].tolist() for row, length in zip(tables.cdf, tables.cdf_length)]
    out = []
    for t in indexes.tolist():
        cdf, slot = cdfs[t], x & 65535
        entry = bisect.bisect_right(cdf, slot) - 1
        x = (cdf[entry + 1] - cdf[entry]) * (x >> 16) + slot - cdf[entry]
        while x < LOW:
            x = x << 8 | reader.take(1)[0]
        out.append(entry)
    if x != LOW:
        raise desync()
    return np.array(out, np.int32)


class _Reader:
    """Bytes from the seeds and then from the front of a payload, escapes from its back."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0
        self.seeds = b""

    def take(self, count: int) -> bytes:
        from_seeds, self.seeds = self.seeds[:count], self.seeds[count:]
        count -= len(from_seeds)
        taken = self.payload[self.at : self.at + count]
        if len(taken) < count:
            raise desync()
        self.at += count
        return from_seeds + taken


def _symbols(
    entries: np.ndarray, indexes: np.ndarray, tables: Tables, reader: _Reader
) -> np.ndarray:
    """Entries as symbols, escapes read; raises unless that uses up every byte."""
    last = tables.cdf_length[indexes].astype(np.int64) - 2
    symbols = entries.astype(np.int64)
    escaped = np.flatnonzero((entries == last).ravel())
    if reader.seeds:
        raise desync()
    escapes = _Escapes(reader.payload[reader.at :])
    for i in escaped.tolist():
        distance = escapes.read()
        value = -(distance + 1) // 2 if distance & 1 else int(last.flat[i]) + distance // 2
        symbols.flat[i] = value
    symbols += tables.offset[indexes]
    if not escapes.at_end() or symbols.min() < INT32_MIN or symbols.max() > INT32_MAX:
        raise desync()
    return symbols.astype(np.int32)


class _Escapes:
    """The nibbles of the escapes."""

    def __init__(self, data: bytes) -> None:
        self.nibbles = [nibble for byte in data[::-1] for nibble in (byte & 15, byte >> 4)]
        self.at = 0

    def read(self) -> int:
        """The next distance: at most 12 digits, no needless last one of zero."""
        distance = 0
        for shift in range(0, 3 * MAX_DIGITS, 3):
            if self.at == len(self.nibbles):
                break
            nibble = self.nibbles[self.at]
            self.at += 1
            distance |= (nibble & 7) << shift
            if nibble < 8:
                if nibble == 0 and shift:
                    break
                return distance
        raise desync()

    def at_end(self) -> bool:
        """Whether nothing is left but, after an odd number of nibbles, one of zero."""
        left = self.nibbles[self.at :]
        return not left or (self.at % 2 == 1 and left == [0])
