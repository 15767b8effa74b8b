"""Image files as codecs, on boards' Pythons too: what they keep, and what they refuse."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from splitwatt.device_configs.errors import BitstreamError, BundleError, EngineError
from splitwatt.engines.bundle.manifest import CODECS, CodecSpec
from splitwatt.engines.codecs import bpg, images, open_codec
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image

SIZE, INPUT = (150, 200), (160, 224)
KINDS = [("png", None), ("jpeg", 90), ("webp", 90), ("webp", None)]


def codec(kind, quality):
    return open_codec(CodecSpec(kind, [], quality), [], None)


def have(kind):
    if kind == "bpg":
        return all(shutil.which(tool) for tool in bpg.TOOLS)
    if kind == "heic":
        try:
            import pillow_heif  # noqa: F401
        except ImportError:
            return False
    return True


@pytest.fixture(scope="module")
def board():
    """A photograph as a board's tensors, its padding filled with what must not be coded."""
    rgb = decode_image(default_photos()[0])[: SIZE[0], : SIZE[1]]
    tensor = np.full((1, 3) + INPUT, 0.5, np.float32)
    tensor[0, :, : SIZE[0], : SIZE[1]] = rgb.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return {"image": tensor, "valid_size": np.array(SIZE, np.int64)}


def psnr(image, due):
    return -10 * np.log10(np.mean((image - due) ** 2) + 1e-20)


@pytest.mark.parametrize("kind, quality", KINDS + [("heic", 90), ("bpg", 20)])
def test_an_image_comes_back_within_its_formats_loss_and_padding_as_zeros(kind, quality, board):
    if not have(kind):
        with pytest.raises(EngineError) as error:
            codec(kind, quality)
        assert kind in error.value.message
        assert "pip" in error.value.remedy or "libbpg" in error.value.remedy
        return
    coder = codec(kind, quality)
    payload = coder.encode(board)
    decoded = coder.decode(payload, INPUT)["image"]
    assert decoded.shape == (1, 3) + INPUT and decoded.dtype == np.float32
    assert not decoded[:, :, SIZE[0] :].any() and not decoded[:, :, :, SIZE[1] :].any()
    due = board["image"][:, :, : SIZE[0], : SIZE[1]]
    decoded = decoded[:, :, : SIZE[0], : SIZE[1]]
    if quality is None:
        np.testing.assert_array_equal(decoded, due)
    else:
        assert psnr(decoded, due) > 28 and len(payload) < 3 * SIZE[0] * SIZE[1] / 2
    assert payload == coder.encode(board)


def test_the_bytes_are_pillows_own(board):
    """What sc2bench's codec module does: save the cropped PIL image with the format and quality."""
    rgb = decode_image(default_photos()[0])[: SIZE[0], : SIZE[1]]
    for kind, form in (("jpeg", "JPEG"), ("webp", "WEBP")):
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(rgb)).save(stream, format=form, quality=50)
        assert codec(kind, 50).encode(board) == stream.getvalue()


def test_every_level_survives_normalisation_to_one():
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    image = np.broadcast_to(levels[None, None], (3, 1, 256))
    np.testing.assert_array_equal(images.pixels(image)[0, :, 0], np.arange(256))


@pytest.mark.parametrize("kind", [kind for kind, count in sorted(CODECS.items()) if count == 0])
def test_a_payload_of_another_format_is_refused(kind, board):
    if not have(kind):
        return
    coder = codec(kind, None if kind == "png" else 30)
    others = [codec(other, quality).encode(board) for other, quality in KINDS if other != kind]
    rgb = Image.new("RGB", (32, 32), (200, 30, 10))
    for form in ("GIF", "BMP", "TIFF", "PPM"):
        stream = io.BytesIO()
        rgb.save(stream, form)
        others.append(stream.getvalue())
    others += [b"", b"\0" * 40, b"BPG\xfb\0\0\xff\xff\xff\xff\xff\xff\xff\xff"]
    for payload in others:
        with pytest.raises(BitstreamError) as error:
            coder.decode(payload, INPUT)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind, quality", KINDS + [("heic", 90), ("bpg", 20)])
def test_larger_and_damaged_images_are_refused_and_none_crashes(kind, quality, board):
    if not have(kind):
        return
    coder = codec(kind, quality)
    payload = coder.encode(board)
    for limit in ((SIZE[0] - 1, SIZE[1]), (SIZE[0], SIZE[1] - 1)):
        with pytest.raises(BitstreamError, match="does not come from an input of"):
            coder.decode(payload, limit)
    if kind != "bpg":  # libbpg paints over what is missing
        with pytest.raises(BitstreamError, match="not a valid"):
            coder.decode(payload[: len(payload) // 2], INPUT)
    random = np.random.RandomState(7)
    for _ in range(5 if kind == "bpg" else 40):
        damaged = bytearray(payload)
        for at in random.randint(0, len(payload), 3):
            damaged[at] = random.randint(256)
        try:
            decoded = coder.decode(bytes(damaged), INPUT)["image"]
        except BitstreamError:
            continue
        assert decoded.shape == (1, 3) + INPUT


def test_a_bomb_is_not_decoded():
    stream = io.BytesIO()
    Image.new("RGB", (20000, 5000)).save(stream, "PNG", compress_level=9)
    with pytest.raises(BitstreamError, match="20000 x 5000"):
        codec("png", None).decode(stream.getvalue(), INPUT)


def test_other_pixels_than_rgb_and_animations_are_refused():
    for mode in ("L", "RGBA", "P", "I;16"):
        stream = io.BytesIO()
        Image.new(mode, (20, 10)).save(stream, "PNG")
        with pytest.raises(BitstreamError, match="not RGB"):
            codec("png", None).decode(stream.getvalue(), INPUT)
    stream = io.BytesIO()
    frames = [Image.new("RGB", (20, 10), (step * 80, 0, 0)) for step in range(3)]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(BitstreamError, match="animation"):
        codec("webp", 50).decode(stream.getvalue(), INPUT)


def test_nan_and_wrong_qualities_are_refused(board):
    broken = dict(board, image=np.full((1, 3) + INPUT, np.nan, np.float32))
    with pytest.raises(BitstreamError, match="NaN"):
        codec("png", None).encode(broken)
    for kind, quality in (("png", 50), ("jpeg", None), ("jpeg", 0), ("jpeg", 101), ("bpg", 52)):
        with pytest.raises(BundleError, match="codec.quality"):
            codec(kind, quality)


def test_another_librarys_bytes_are_alike_and_another_image_is_not(board):
    coder = codec("jpeg", 90)
    decoded = coder.decode(coder.encode(board), INPUT)
    nearly = {"image": decoded["image"] + np.float32(0.5 / 255)}
    assert coder.alike(decoded, nearly)[0]
    assert not coder.alike(decoded, {"image": decoded["image"][:, :, ::-1]})[0]


@pytest.mark.skipif(os.name != "posix", reason="the tools are found on the PATH of a shell")
def test_missing_tools_are_one_sentence_with_the_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError) as error:
        codec("bpg", 30)
    assert "bpgenc and bpgdec" in error.value.message and "heic@" in error.value.remedy
