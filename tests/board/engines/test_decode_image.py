"""Every kind of image file becomes uint8 RGB, or an ImageError of one sentence."""

import base64
import io
import os
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError, features

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image, decode_reduced, image_names, list_images

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


def tiff(bits, photometric, data, width, height, sample_format=1, order="<", samples=1):
    """An uncompressed TIFF, written here so that no tag is Pillow's choice."""
    tags = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * samples), (259, 3, [1]),
        (262, 3, [photometric]), (273, 4, [0]), (277, 3, [samples]), (278, 4, [height]),
        (279, 4, [len(data)]), (339, 3, [sample_format] * samples),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    extra, entries = b"", b""
    for number, kind, values in tags:
        values = [start + 64] if number == 273 else values
        packed = struct.pack(order + {3: "H", 4: "I"}[kind] * len(values), *values)
        if len(packed) > 4:
            extra, packed = extra + packed, struct.pack(order + "I", start + len(extra))
        entries += struct.pack(order + "HHI", number, kind, len(values)) + packed.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    head += struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)
    return head + extra.ljust(64, b"\0") + data


def opens(data):
    """Whether this version of Pillow knows such a TIFF."""
    try:
        Image.open(io.BytesIO(data)).load()
    except UnidentifiedImageError:
        return False
    return True


def greys(data):
    rgb = decode_image(data)
    assert (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all()
    return rgb[..., 0].ravel().tolist()


def packed(values, bits):
    """Values of so many bits one behind the other, the first bit first."""
    text = "".join(format(value, "0%db" % bits) for value in values)
    return bytes(int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_the_greys_of_a_tiff_go_from_black_to_white(bits, photometric, order):
    """Of every depth, 0 and the largest value are black and white, or white and black (tag 262)."""
    largest = (1 << bits) - 1
    values = [0, largest, largest // 2, largest // 3] * 2
    if bits == 16:
        data = struct.pack(order + "8H", *values)
    else:
        data = packed(values, bits)
    expected = [(510 * value + largest) // (2 * largest) for value in values]
    if photometric == 0:
        expected = [(510 * (largest - value) + largest) // (2 * largest) for value in values]
    made = tiff(bits, photometric, data, 8, 1, order=order)
    if opens(made):
        assert greys(made) == expected
    else:  # few versions of Pillow know all of these
        assert bits > 8
        refused(made, "not an image of a known format")


def test_the_public_reports_of_greys():
    assert greys(tiff(12, 1, b"\xff" * 3, 2, 1)) == [255, 255]
    white = tiff(16, 0, b"\0" * 4, 2, 1)
    assert not opens(white) or greys(white) == [255, 255]


def test_16_bit_colours_keep_their_high_byte_as_pillow_has_it():
    values = [0, 255, 256, 65535, 32767, 32768]
    for order in "<>":
        data = tiff(16, 2, struct.pack(order + "6H", *values), 2, 1, order=order, samples=3)
        assert decode_image(data).ravel().tolist() == [value >> 8 for value in values]


@pytest.mark.parametrize(
    "largest, values, expected",
    [(255, [0, 255], [0, 255]), (4095, [0, 4095], [0, 255]), (65535, [65535, 128], [255, 0]),
     (1023, [512, 1023], [128, 255]), (15, [15, 8], [255, 136])],
)  # fmt: skip
def test_the_largest_value_of_a_pgm_is_white(largest, values, expected):
    data = b"P5\n# a comment\n2 1\n%d\n" % largest
    data += struct.pack(">2%s" % ("H" if largest > 255 else "B"), *values)
    assert greys(data) == expected


def test_pixels_of_unknown_range_are_refused():
    refused(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "floating-point")
    refused(encoded(Image.fromarray(np.full((4, 4), 7, np.int32)), "TIFF"), "range is unknown")
    refused(tiff(32, 1, b"\0" * 32, 4, 2))
    for word, data in (
        ("signed", tiff(8, 1, b"\x80" * 8, 4, 2, sample_format=2)),
        ("signed", tiff(16, 1, b"\0" * 16, 4, 2, sample_format=2)),
        ("L*a*b*", tiff(8, 8, b"\0" * 24, 4, 2, samples=3)),
    ):
        refused(data, word if opens(data) else "not an image of a known format")


def test_the_first_picture_of_an_animation():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for kind in ("GIF", "PNG", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert (decode_image(data) == [255, 0, 0]).all(), kind


def test_an_adobe_cmyk_jpeg_is_inverted():
    """Adobe writes 255 for no ink, and says so in its marker."""
    no_ink = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert decode_image(encoded(no_ink, "JPEG")).min() > 250
    ink = Image.new("CMYK", (16, 16), (255, 255, 255, 255))
    assert decode_image(encoded(ink, "JPEG")).max() < 5


@pytest.mark.parametrize("orientation", range(0, 11))
def test_the_stored_pixels_are_what_pillow_opens(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photograph(), "JPEG", quality=95, exif=exif.tobytes())
    stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(decode_image(data, exif_rotation=False), stored)


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


# Made by OpenJPEG's opj_compress from 8 rows of the same 8 values: the least, 1, the middle, the largest but 1, and four
# times the largest of so many bits.
JPEG_2000 = {
    "9.j2k": "/0//UQApAAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABCAEB/1IADAAAAAEAAAQEAAH/XAAEQEj/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjD/kAAKAAAAAAA8AAH/k9+ZWBFqopa8BHBb8iEhH91OITaUW1H+G/lqP72j2o/vaPaj+1CCv2gWwrGNkK3/2Q==",
    "9.jp2": "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAACAAAAAgAAQgHAAAAAAAPY29scgEAAAAAABEAAACuanAyY/9P/1EAKQAAAAAACAAAAAgAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAAAQgBAf9SAAwAAAABAAAEBAAB/1wABEBI/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAAPAAB/5PfmVgRaqKWvARwW/IhIR/dTiE2lFtR/hv5aj+9o9qP72j2o/tQgr9oFsKxjZCt/9k=",
    "12.jp2": "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAACAAAAAgAAQsHAAAAAAAPY29scgEAAAAAABEAAAC7anAyY/9P/1EAKQAAAAAACAAAAAgAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAAAQsBAf9SAAwAAAABAAAEBAAB/1wABEBg/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAASQAB/5Pf4OARaqKWvARwW/IhIR/dTiE2lFtR/hv5aj+9o9qP72j2o/vaPaj+9o9qP72j2o/tQgr9oFsKxjZCt//Z",
}


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("file", sorted(JPEG_2000))
def test_a_grey_jpeg_2000_of_9_to_15_bits(file):
    data = base64.b64decode(JPEG_2000[file])
    if (
        file.startswith("9.")
        and Image.open(io.BytesIO(base64.b64decode(JPEG_2000["9.j2k"]))).mode == "L"
    ):
        refused(data, "this Pillow takes its 9 bits for 8")
        return
    rgb = decode_image(data)
    assert rgb.shape == (8, 8, 3)
    one = 255 / (2 ** int(file.split(".")[0]) - 1)
    wanted = np.round([0, one, 127, 255 - one, 255, 255, 255, 255])
    assert np.array_equal(rgb, np.broadcast_to(wanted[None, :, None], rgb.shape))


def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_large_enough():
    """Sizes are libjpeg's: a scaled side is rounded up."""
    data = encoded(photograph((641, 480)), "JPEG")
    asked = []

    def needed(height, width):
        return lambda size: asked.append(size) or (height, width)

    for least, shape in (
        ((480, 641), (480, 641)), ((241, 10), (480, 641)), ((240, 320), (240, 321)),
        ((120, 160), (120, 161)), ((3, 3), (60, 81)),
    ):  # fmt: skip
        rgb, size = decode_reduced(data, needed(*least))
        assert rgb.shape[:2] == shape and size == (480, 641) == asked[-1]
        assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous and rgb.flags.writeable


def test_a_reduced_jpeg_is_the_photograph():
    whole = photograph((640, 480))
    rgb, _ = decode_reduced(encoded(whole, "JPEG", quality=95), lambda size: (240, 320))
    half = np.asarray(whole.resize((320, 240), Image.BOX), int)
    assert np.abs(rgb - half).mean() < 2.0


def test_a_turned_jpeg_is_asked_for_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photograph((640, 480)), "JPEG", exif=exif.tobytes())
    rgb, size = decode_reduced(data, lambda size: (320, 200))
    assert size == (640, 480) == decode_image(data).shape[:2] and rgb.shape[:2] == (320, 240)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_files_have_one_size(kind):
    data = encoded(photograph((64, 48)), kind)
    rgb, size = decode_reduced(data, lambda size: (3, 3))
    assert size == (48, 64) and np.array_equal(rgb, decode_image(data))
