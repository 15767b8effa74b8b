"""Every kind of image file becomes uint8 RGB, or an ImageError of one sentence."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image, image_names, list_images

RNG = np.random.RandomState(3)


def photograph(size=(64, 48)):
    return Image.open(default_photos()[0]).convert("RGB").resize(size)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def refused(source, *words):
    with pytest.raises(ImageError) as error:
        decode_image(source)
    sentence = str(error.value)
    assert all(word in sentence for word in words) and "\n" not in sentence, sentence


@pytest.mark.parametrize("path", default_photos())
def test_a_photograph_is_what_pillow_decodes(path):
    rgb = decode_image(path)
    assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous and rgb.flags.writeable
    assert np.array_equal(rgb, np.asarray(Image.open(path).convert("RGB")))


def test_the_first_photograph_of_every_example_is_640_by_480():
    path = [p for p in default_photos() if p.endswith("raccoon.jpg")][0]
    assert decode_image(path).shape == (480, 640, 3)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats(kind):
    image = photograph()
    assert np.array_equal(decode_image(encoded(image, kind)), np.asarray(image))


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")
def test_webp():
    image = photograph()
    assert np.array_equal(decode_image(encoded(image, "WEBP", lossless=True)), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_other_modes_as_pillow_converts_them(mode):
    image = photograph()
    image = image.convert("L").convert("LA") if mode == "LA" else image.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    data = encoded(image, kind)
    assert np.array_equal(
        decode_image(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    )


def test_a_cmyk_jpeg():
    rgb = decode_image(encoded(photograph().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(rgb.astype(int) - np.asarray(photograph()).astype(int)).mean() < 4


def test_transparency_is_dropped_not_blended():
    image = photograph().convert("RGBA")
    image.putalpha(0)
    assert np.array_equal(decode_image(encoded(image, "PNG")), np.asarray(photograph()))
    palette = photograph().convert("P")
    data = encoded(palette, "PNG", transparency=0)
    assert np.array_equal(decode_image(data), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind):
    values = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    rgb = decode_image(encoded(Image.fromarray(values), kind))
    expected = np.round(values / 65535.0 * 255.0)
    assert np.array_equal(rgb, np.repeat(expected.astype(np.uint8)[..., None], 3, axis=2))
    assert rgb.min() == 0 and rgb.max() == 255


def test_pixels_of_unknown_range_are_refused():
    refused(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "floating-point")
    wide = Image.fromarray(np.full((4, 4), 1 << 20, np.int32))
    refused(encoded(wide, "TIFF"), "more than 16 bits")


@pytest.mark.parametrize("orientation", range(0, 11))
def test_exif_rotation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photograph(), "JPEG", quality=95, exif=exif.tobytes())
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(decode_image(data), np.asarray(expected))


def test_damaged_exif_does_not_cost_the_picture():
    image = photograph()
    data = encoded(image, "JPEG", quality=95, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x01")
    plain = encoded(image, "JPEG", quality=95)
    assert np.array_equal(decode_image(data), decode_image(plain))


def test_one_pixel():
    assert decode_image(encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG")).tolist() == [
        [[9, 8, 7]]
    ]


def test_48_megapixels():
    data = encoded(Image.new("RGB", (8000, 6000), (1, 2, 3)), "JPEG")
    assert decode_image(data).shape == (6000, 8000, 3)


@pytest.mark.parametrize("size", [(10001, 10000), (30000, 30000)])
def test_a_bomb_is_refused_before_it_is_decoded(size):
    # A header that promises what the file does not hold.
    data = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    import struct
    import zlib

    data[16:24] = struct.pack(">II", *size)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])) & 0xFFFFFFFF)
    refused(bytes(data))


def test_every_truncation_is_refused_or_decoded():
    data = encoded(photograph(), "JPEG")
    for end in range(0, len(data) - 2, 97):
        refused(data[:end])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "BMP"])
def test_damaged_bytes_raise_nothing_else(kind):
    data = encoded(photograph(), kind)
    for _ in range(150):
        damaged = bytearray(data)
        for at in RNG.randint(0, len(data), 3):
            damaged[at] = RNG.randint(256)
        try:
            assert decode_image(bytes(damaged)).shape[2] == 3
        except ImageError as error:
            assert "\n" not in str(error)


def test_not_an_image(tmp_path):
    refused(b"", "empty")
    refused(b"hello", "not an image of a known format")
    refused(str(tmp_path / "nowhere.jpg"), "nowhere.jpg", "No such file")
    refused(str(tmp_path), "Is a directory")
    (tmp_path / "empty.jpg").write_bytes(b"")
    refused(str(tmp_path / "empty.jpg"), "empty.jpg is empty")
    # PostScript would start another program.
    refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n", "known format")
    assert os.path.isdir(str(tmp_path))


def test_a_folders_images_are_the_same_for_every_command(tmp_path):
    for name in ("b.PPM", "a.jp2", "c.gif", "._a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert image_names(str(tmp_path)) == ["a.jp2", "b.PPM", "c.gif"]
    assert list_images(str(tmp_path))[0] == str(tmp_path / "a.jp2")
    with pytest.raises(UsageError, match="there is no folder of images"):
        list_images(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty holds no image"):
        list_images(str(tmp_path / "empty"))
