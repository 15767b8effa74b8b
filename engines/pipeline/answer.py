"""An answer as bytes and back: small, and safe to read from an untrusted server.

docs/wire.md has the format. A mask is a palette image, because PNG's filters, made for smooth shades,
make class ids larger.
"""

import io
import struct
from typing import Dict

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ServerError, SplitwattError
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.engines.pipeline.preprocess import MAX_INPUT_PIXELS

MAGIC = b"SWA1"
MAX_ITEMS = 0xFFFF

_SECTION = struct.Struct("<BI")
_COUNT = struct.Struct("<H")
_LABEL = np.dtype("<u2")
_FLOAT = np.dtype("<f4")
_TAGS = {"classification": 1, "detection": 2, "segmentation": 3}
_TASKS = {tag: task for task, tag in _TAGS.items()}
Fields = Dict[str, np.ndarray]


def pack(answer: Answer) -> bytes:
    """The bytes of an answer; SplitwattError for a task or values that the format does not have."""
    sections = []
    for task, fields in answer.items():
        if task not in _TAGS:
            raise SplitwattError("an answer cannot hold the unknown task '%s'" % task)
        body = _write_mask(fields["mask"]) if task == "segmentation" else _write_items(fields)
        sections.append(_SECTION.pack(_TAGS[task], len(body)) + body)
    return MAGIC + bytes([len(sections)]) + b"".join(sections)


def unpack(data: bytes) -> Answer:
    """The answer in bytes of `pack`, every count and length checked; ServerError if wrong."""
    data = bytes(data)
    if data[:4] != MAGIC or len(data) < 5:
        raise _nonsense("it does not begin with %s" % MAGIC.decode())
    answer: Answer = {}
    at = 5
    for _ in range(data[4]):
        if at + _SECTION.size > len(data):
            raise _nonsense("it ends in the middle")
        tag, length = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        if at + length > len(data):
            raise _nonsense("it ends in the middle")
        task = _TASKS.get(tag)
        if task is None or task in answer:
            raise _nonsense("it has an unknown or a repeated section")
        body = data[at : at + length]
        answer[task] = (
            _read_mask(body) if task == "segmentation" else _read_items(body, task == "detection")
        )
        at += length
    if at != len(data):
        raise _nonsense("it has bytes after its end")
    return answer


def _write_mask(mask: np.ndarray) -> bytes:
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise SplitwattError("an answer's mask must be uint8 (h, w)")
    image = Image.frombytes("P", (mask.shape[1], mask.shape[0]), mask.tobytes())
    shades = range(int(mask.max()) + 1)
    image.putpalette([shade for shade in shades for _ in range(3)])
    stream = io.BytesIO()
    image.save(stream, "PNG")  # zlib's level 6: level 9 saves 3 % for ten times the time
    return stream.getvalue()


def _read_mask(body: bytes) -> Fields:
    try:
        with Image.open(io.BytesIO(body), formats=["PNG"]) as image:
            if image.mode not in ("P", "L") or image.width * image.height > MAX_INPUT_PIXELS:
                raise _nonsense("its mask is of another kind or too large")
            image.load()
            return {"mask": np.array(image, np.uint8)}
    except ServerError:
        raise
    except Exception as error:  # a decoder may raise anything on hostile bytes
        raise _nonsense("its mask is not a PNG (%s)" % type(error).__name__)


def _write_items(fields: Fields) -> bytes:
    """Classes, or boxes where `fields` has some."""
    labels, scores = fields["labels"], fields["scores"]
    if labels.ndim != 1 or labels.shape != scores.shape or len(labels) > MAX_ITEMS:
        raise SplitwattError("an answer's labels and scores must be (n,), n at most %d" % MAX_ITEMS)
    if labels.size and (labels.min() < 0 or labels.max() > 0xFFFF):
        raise SplitwattError("an answer's labels must be class ids from 0 to 65535")
    boxes = fields.get("boxes", np.zeros((len(labels), 0)))
    if "boxes" in fields and boxes.shape != (len(labels), 4):
        raise SplitwattError("an answer's boxes must be (n, 4), not %s" % (boxes.shape,))
    floats = scores.astype(_FLOAT).tobytes() + boxes.astype(_FLOAT).tobytes()
    return _COUNT.pack(len(labels)) + labels.astype(_LABEL).tobytes() + floats


def _read_items(body: bytes, boxes: bool) -> Fields:
    if len(body) < _COUNT.size:
        raise _nonsense("a section of it is empty")
    count = _COUNT.unpack_from(body)[0]
    floats = count * (5 if boxes else 1)
    at = _COUNT.size + count * _LABEL.itemsize
    if len(body) != at + floats * _FLOAT.itemsize:
        raise _nonsense("a section has another length than its count says")
    labels = np.frombuffer(body[_COUNT.size : at], _LABEL).astype(np.int32)
    values = np.frombuffer(body[at:], _FLOAT).astype(np.float32)
    if not np.isfinite(values).all():
        raise _nonsense("it holds a number that is not finite")
    fields = {"labels": labels, "scores": values[:count]}
    return dict({"boxes": values[count:].reshape(-1, 4)}, **fields) if boxes else fields


def _nonsense(what: str) -> ServerError:
    return ServerError("the server's answer cannot be read: %s" % what)
