"""Changes to sound files that an attacker or a bad disk could make, from a seeded generator.

Each kind knows the structure of its format: a JSON value is replaced by another type, a zip entry's sizes
are forged, a protobuf field is inserted; and every kind flips, cuts and repeats bytes, too.
"""

import copy
import io
import json
import struct
import zipfile

VALUES = [
    None, True, False, 0, -1, 1.5, 2**31, 2**53, 2**53 + 1, 10**400, 1e308, float("inf"), float("nan"),
    "", "x", "\0", "\ud800", "\x1b[31m", "\u202e", "a" * 5000, "../x.onnx", "/etc/passwd", "a/" * 300,
    ".", "..", "x\n", "=1+1", [], [[]], {}, {"": {}}, [None], ["x"] * 300,
]  # fmt: skip


def _deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def holders(value):
    """Every list and mapping inside a JSON value that is not empty."""
    if isinstance(value, (dict, list)):
        if value:
            yield value
        for item in value.values() if isinstance(value, dict) else value:
            for inner in holders(item):
                yield inner


def of_json(random, document):
    """The bytes of a JSON document with one to three changes of its structure."""
    document = copy.deepcopy(document)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        every = list(holders(document))
        holder = random.choice(every)
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        change = random.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = copy.deepcopy(random.choice(every))
        elif change == 2 and isinstance(holder, dict):
            holder[random.choice([str(v) for v in VALUES])[:400]] = holder.pop(key)
        elif change == 3:
            holder[key] = _deep(random.choice([3, 60, 70, 150]))
        else:
            holder[key] = copy.deepcopy(random.choice(VALUES))
        if not document:
            break
    data = json.dumps(document).encode("utf-8")
    return of_bytes(random, data) if random.random() < 0.1 else data


def of_bytes(random, data):
    """The same bytes with one to four of them flipped, cut, repeated or put in."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed) + 1)
        change = random.randrange(5)
        if change == 0 and at < len(changed):
            changed[at] ^= 1 << random.randrange(8)
        elif change == 1 and at < len(changed):
            changed[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x0A])
        elif change == 2:
            del changed[at : at + random.choice([1, 2, 9, len(changed)])]
        elif change == 3:
            changed[at:at] = changed[at : at + random.randint(1, 64)]
        else:
            changed[at:at] = bytes(random.randrange(256) for _ in range(random.randint(1, 9)))
    return bytes(changed)


DESCRIPTIONS = [
    "<i4",
    "<f4",
    "|u1",
    ">i8",
    "|O",
    "<U3",
    "<M8[s]",
    "i4",
    "<i3",
    "|V9",
    "<f16",
    "<c8",
    "(",
]
SHAPES = [
    "()",
    "(4,)",
    "(2, 2)",
    "(0,)",
    "(-1,)",
    "(9999999999,)",
    "(1e3,)",
    "(2, (3,))",
    "(" * 900,
]


def of_arrays(random, arrays):
    """An .npz archive whose members have forged headers, sizes, flags or compressions."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            header = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (
                random.choice(DESCRIPTIONS) if random.random() < 0.3 else array.dtype.str,
                random.choice(["False", "False", "False", "True", "1", "__import__('os')"]),
                random.choice(SHAPES) if random.random() < 0.3 else array.shape,
            )
            if random.random() < 0.1:
                header = random.choice(
                    ["", "{", "{" * 5000, "'" * 3, "\n\t(", "[" * 20000 + "]" * 20000]
                )
            text = header.encode("latin-1") + b"\n"
            content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()
            if random.random() < 0.05:
                content = b"\0" * random.choice([10**5, 10**7])
            kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
            kind = random.choice(kinds[:2] if random.random() < 0.9 else kinds)
            archive.writestr(
                random.choice([name + ".npy"] * 9 + ["../" + name, "x"]), content, kind
            )
    data = bytearray(stream.getvalue())
    for signature, flags, sizes in ((b"PK\x01\x02", 8, 20), (b"PK\x03\x04", 6, 18)):
        at = data.find(signature)
        while at >= 0 and random.random() < 0.5:
            if random.random() < 0.3:
                data[at + flags] ^= 1 << random.randrange(8)  # bit 0: encrypted
            if random.random() < 0.3:
                forged = random.choice([0, 1, 2**31 - 1, 2**32 - 1, random.randrange(2**32)])
                struct.pack_into("<I", data, at + sizes + random.choice([0, 4]), forged)
            at = data.find(signature, at + 4)
    return of_bytes(random, bytes(data)) if random.random() < 0.3 else bytes(data)


def field(number, value):
    """A protobuf field: a number, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


YAML = [
    "&a ", "*a", "!!set {x}", "!!python/object/apply:os.system [x]", "? [1]\n: 2\n", "<<: ", "[" * 70, "- " * 70,
    "\t", "\0", '"\\ud800"', '"\\UFFFFFFFF"', ".nan", ".inf", "1e400", "9" * 400, "0x_", "1:" * 40 + "1",
    "2020-01-01", "=", "---\n", "%YAML 3.0\n", "|\n", "'", "{", "}", ": ", "\n", "#", "\u2028", "\ufeff",
]  # fmt: skip


def of_yaml(random, text):
    """The bytes of a YAML text with lines repeated, dropped or moved, and pieces put in."""
    lines = text.split("\n")
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(lines))
        change = random.randrange(4)
        if change == 0:
            lines[at:at] = lines[at : at + random.randint(1, 5)]
        elif change == 1:
            lines[at] = " " * random.randrange(5) + lines[at].lstrip()
        else:
            column = random.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:column] + random.choice(YAML) + lines[at][column:]
    data = "\n".join(lines).encode("utf-8")
    return of_bytes(random, data) if random.random() < 0.2 else data
