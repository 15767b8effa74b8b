"""Answers survive packing exactly; hostile bytes are a ServerError and nothing else."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from splitwatt.device_configs.errors import ServerError, SplitwattError
from splitwatt.engines.pipeline.answer import MAGIC, pack, unpack

RNG = np.random.RandomState(11)


def answer(boxes=20, shape=(312, 416)):
    coarse = RNG.randint(0, 21, (1 + shape[0] // 12, 1 + shape[1] // 12)).astype(np.uint8)
    return {
        "classification": {
            "labels": np.array([5, 999, 0, 3, 8], np.int32),
            "scores": RNG.rand(5).astype(np.float32),
        },
        "detection": {
            "boxes": (RNG.rand(boxes, 4) * 600).astype(np.float32),
            "labels": RNG.randint(1, 91, boxes).astype(np.int32),
            "scores": RNG.rand(boxes).astype(np.float32),
        },
        "segmentation": {
            "mask": np.kron(coarse, np.ones((12, 12), np.uint8))[: shape[0], : shape[1]]
        },
    }


def equal(one, other):
    assert list(one) == list(other)
    for task in one:
        assert sorted(one[task]) == sorted(other[task])
        for name, array in one[task].items():
            assert array.dtype == other[task][name].dtype
            assert np.array_equal(array, other[task][name]), (task, name)


@pytest.mark.parametrize("boxes", [0, 1, 100, 3000])
@pytest.mark.parametrize("shape", [(1, 1), (312, 416), (513, 684)])
def test_an_answer_survives(boxes, shape):
    full = answer(boxes, shape)
    equal(unpack(pack(full)), full)
    for task in full:
        equal(unpack(pack({task: full[task]})), {task: full[task]})


@pytest.mark.parametrize("classes", [1, 2, 3, 16, 17, 21, 256])
def test_every_number_of_classes_survives(classes):
    mask = RNG.randint(0, classes, (40, 50)).astype(np.uint8)
    mask[0, 0] = classes - 1
    assert np.array_equal(
        unpack(pack({"segmentation": {"mask": mask}}))["segmentation"]["mask"], mask
    )


def test_the_size_of_an_answer():
    full = answer()
    assert len(pack({"classification": full["classification"]})) == 5 + 5 + 2 + 5 * 6
    assert len(pack({"detection": full["detection"]})) == 5 + 5 + 2 + 20 * 22
    mask = full["segmentation"]["mask"]
    assert len(pack({"segmentation": {"mask": mask}})) < mask.size / 20
    any_reader = Image.open(io.BytesIO(pack({"segmentation": {"mask": mask}})[10:]))
    assert any_reader.format == "PNG" and np.array_equal(np.asarray(any_reader), mask)


def test_what_the_format_cannot_hold():
    for wrong in (
        {"depth": {}},
        {"classification": {"labels": np.array([70000]), "scores": np.zeros(1)}},
        {"classification": {"labels": np.array([-1]), "scores": np.zeros(1)}},
        {"classification": {"labels": np.zeros(2, int), "scores": np.zeros(1)}},
        {"segmentation": {"mask": np.zeros((3, 3), np.int32)}},
        {"segmentation": {"mask": np.zeros((0, 3), np.uint8)}},
    ):
        with pytest.raises(SplitwattError):
            pack(wrong)


def test_every_truncation_and_extension_is_refused():
    data = pack(answer(3, (30, 40)))
    for end in range(len(data)):
        with pytest.raises(ServerError):
            unpack(data[:end])
    with pytest.raises(ServerError):
        unpack(data + b"\x00")


def test_random_damage_is_an_answer_or_a_server_error():
    data = pack(answer(3, (30, 40)))
    for _ in range(3000):
        damaged = bytearray(data)
        for at in RNG.randint(0, len(data), RNG.randint(1, 5)):
            damaged[at] = RNG.randint(256)
        try:
            unpack(bytes(damaged))
        except ServerError as error:
            assert "\n" not in str(error)


def section(tag, body):
    return MAGIC + b"\x01" + struct.pack("<BI", tag, len(body)) + body


def png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SWA1",
        b"SWA2\x00",
        section(9, b""),
        section(1, b""),
        section(1, b"\xff\xff"),
        section(2, b"\x01\x00" + b"\x01\x00" + struct.pack("<5f", 0.5, 0, 0, 0, float("nan"))),
        section(3, b"\x89PNG\r\n\x1a\n"),
        section(3, png(Image.new("RGB", (3, 3)))),
        section(3, png(Image.new("L", (6000, 6000)))),
        MAGIC + b"\x02" + 2 * section(1, b"\x00\x00")[5:],
        MAGIC + b"\x01" + struct.pack("<BI", 1, 0xFFFFFFFF),
    ],
)
def test_hostile_bytes(data):
    with pytest.raises(ServerError):
        unpack(data)
