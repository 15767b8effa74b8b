"""Preprocessing against a pixel-by-pixel reading of the definitions, and its limits.

tests/engines compares it with torchvision itself, which a board does not have.
"""

import math
import time

import numpy as np
import pytest
from PIL import Image

from splitwatt.device_configs.errors import ImageError
from splitwatt.engines.bundle.manifest import Preprocess, Resize
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline import preprocess as preprocessing
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.preprocess import plan, preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LADON = Preprocess(Resize("shorter", 416, 416, "bilinear"), None, 32, MEAN, STD)
CLASSIFIER = Preprocess(
    Resize("shorter", 256, None, "pillow-bilinear"), (224, 224), None, MEAN, STD
)
RNG = np.random.RandomState(5)


def image(height, width):
    return RNG.randint(0, 256, (height, width, 3)).astype(np.uint8)


def interpolated(rgb, height, width):
    """Bilinear interpolation as it is defined, in double precision."""
    normal = (rgb / 255.0 - np.array(MEAN)) / np.array(STD)
    out = np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            at_y = max((y + 0.5) * rgb.shape[0] / height - 0.5, 0)
            at_x = max((x + 0.5) * rgb.shape[1] / width - 0.5, 0)
            top, left = int(at_y), int(at_x)
            bottom, right = min(top + 1, rgb.shape[0] - 1), min(left + 1, rgb.shape[1] - 1)
            down, over = at_y - top, at_x - left
            out[y, x] = (1 - down) * (
                (1 - over) * normal[top, left] + over * normal[top, right]
            ) + down * ((1 - over) * normal[bottom, left] + over * normal[bottom, right])
    return out.transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(7, 9), (40, 23), (1, 1), (33, 64)])
def test_bilinear_is_what_its_definition_says(size):
    rgb = image(*size)
    spec = LADON._replace(resize=Resize("exact", (24, 31), None, "bilinear"), pad_multiple=None)
    result = preprocess(rgb, spec)
    assert result.tensor.shape == (1, 3, 24, 31) and result.tensor.dtype == np.float32
    assert np.abs(result.tensor[0] - interpolated(rgb, 24, 31)).max() < 1e-4


def test_ladon_pads_640_by_480_to_416_by_320():
    result = preprocess(image(480, 640), LADON)
    assert result.image_size == (480, 640)
    assert result.valid_size == (312, 416)
    assert result.input_size == (320, 416)
    assert result.tensor.shape == (1, 3, 320, 416)
    assert result.tensor.flags.c_contiguous
    assert not result.tensor[0, :, 312:].any() and result.tensor[0, :, 311].all()


def test_a_classifier_s_input_is_pillow_s_resize_and_a_crop():
    rgb = image(300, 451)
    result = preprocess(rgb, CLASSIFIER)
    width = int(256 * 451 / 300)
    resized = np.asarray(Image.fromarray(rgb).resize((width, 256), Image.BILINEAR))
    left = int(round((width - 224) / 2.0))
    crop = resized[16:240, left : left + 224]
    expected = (crop / 255.0 - np.array(MEAN)) / np.array(STD)
    assert result.tensor.shape == (1, 3, 224, 224)
    assert np.abs(result.tensor[0] - expected.transpose(2, 0, 1)).max() < 1e-5
    assert result.valid_size == result.input_size == (224, 224)


@pytest.mark.parametrize("size", [(1, 1), (6000, 8000), (480, 640), (2, 3)])
@pytest.mark.parametrize("spec", [LADON, CLASSIFIER])
def test_every_ordinary_size_works(size, spec):
    rgb = np.full(size + (3,), 128, np.uint8)
    result = preprocess(rgb, spec)
    height, width = result.valid_size
    valid = result.tensor[0, :, :height, :width]
    expected = (128 / 255.0 - np.array(MEAN)) / np.array(STD)
    assert np.abs(valid - expected[:, None, None]).max() < 1e-5
    assert result.image_size == size


@pytest.mark.parametrize("size, word", [((1, 8000), "narrow"), ((8000, 1), "narrow")])
def test_an_image_too_narrow_for_a_longest_side(size, word):
    with pytest.raises(ImageError) as error:
        plan(size, LADON)
    assert word in str(error.value)


def test_an_image_too_long_for_memory():
    long = np.zeros((1, 80000, 3), np.uint8)
    with pytest.raises(ImageError) as error:
        preprocess(long, CLASSIFIER._replace(crop=None))
    assert "too large" in str(error.value)
    assert preprocess(long, CLASSIFIER).tensor.shape == (1, 3, 224, 224)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 520), (520, 1), (3, 2000)])
def test_the_crop_of_a_very_long_image_is_pillow_s(size, kind):
    """Only the crop is made of it; tests/engines has torchvision's own for longer ones."""
    rgb = image(*size)
    spec = CLASSIFIER._replace(resize=Resize("shorter", 256, None, "pillow-" + kind))
    sizes = plan(size, spec)
    filter_of = getattr(Image, kind.upper())
    whole = np.asarray(Image.fromarray(rgb).resize(sizes.resized[::-1], filter_of))
    top, left = sizes.crop_at
    expected = (whole[top : top + 224, left : left + 224] / 255.0 - np.array(MEAN)) / np.array(STD)
    result = preprocess(rgb, spec)
    assert np.abs(result.tensor[0] - expected.transpose(2, 0, 1)).max() < 1e-5


@pytest.mark.parametrize("size", [(3301, 301), (301, 3301)])
def test_a_reduced_image_is_made_whole(monkeypatch, size):
    """Newer versions of Pillow choose the order of the axes by the whole image's sizes."""
    monkeypatch.setattr(preprocessing, "MAX_INPUT_PIXELS", 1 << 16)
    rgb = RNG.randint(0, 256, size + (3,)).astype(np.uint8)
    spec = CLASSIFIER._replace(resize=Resize("shorter", 256, None, "pillow-bicubic"))
    sizes = plan(size, spec)
    assert sizes.resized[0] * sizes.resized[1] > preprocessing.MAX_INPUT_PIXELS
    whole = np.asarray(Image.fromarray(rgb).resize(sizes.resized[::-1], Image.BICUBIC))
    top, left = sizes.crop_at
    expected = (whole[top : top + 224, left : left + 224] / 255.0 - np.array(MEAN)) / np.array(STD)
    result = preprocess(rgb, spec)
    assert np.abs(result.tensor[0] - expected.transpose(2, 0, 1)).max() < 1e-5


def test_a_crop_that_does_not_fit():
    spec = CLASSIFIER._replace(crop=(300, 300))
    with pytest.raises(ImageError):
        plan((480, 640), spec)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_image(wrong):
    with pytest.raises(ImageError):
        preprocess(wrong, LADON)


@pytest.mark.parametrize("spec", [LADON, CLASSIFIER])
def test_an_image_that_does_not_lie_in_one_piece(spec):
    rgb = image(96, 128)
    flipped = rgb[:, ::-1]
    expected = preprocess(np.ascontiguousarray(flipped), spec).tensor
    assert np.array_equal(preprocess(flipped, spec).tensor, expected)


def test_a_photograph_takes_milliseconds():
    rgb = decode_image([p for p in default_photos() if p.endswith("raccoon.jpg")][0])
    best = math.inf
    for _ in range(10):
        start = time.perf_counter()
        preprocess(rgb, LADON)
        best = min(best, time.perf_counter() - start)
    assert best < 0.03  # 1.5 ms on a quiet machine
