"""Preprocessing and box scaling against torchvision's own, on photographs and odd sizes."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.transforms import InterpolationMode, functional
from torchvision.transforms._presets import ImageClassification, SemanticSegmentation

from splitwatt.engines.bundle.manifest import Head, Preprocess, Resize
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.postprocess import Sizes, classification, detection
from splitwatt.engines.pipeline.preprocess import preprocess

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RNG = np.random.default_rng(9)
SIZES = [(480, 640), (640, 480), (427, 640), (37, 53), (61, 61), (1, 1), (3, 700), (333, 1000),
         (512, 513), (1200, 801), (49, 2), (416, 416), (224, 224), (300, 300)]  # fmt: skip


def picture(size):
    return RNG.integers(0, 256, (*size, 3), dtype=np.uint8)


def spec(rule, size, max_size, kind, crop=None, multiple=None):
    return Preprocess(Resize(rule, size, max_size, kind), crop, multiple, tuple(MEAN), tuple(STD))


def detection_input(rgb, **kwargs):
    """What torchvision's detection models compute of an image, with its size before padding."""
    transform = GeneralizedRCNNTransform(image_mean=MEAN, image_std=STD, **kwargs).eval()
    tensor = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    images, _ = transform([tensor])
    return images.tensors.numpy(), tuple(images.image_sizes[0])


DETECTION = [  # torchvision's arguments, ours
    ({"min_size": 416, "max_size": 416}, spec("shorter", 416, 416, "bilinear", None, 32)),
    ({"min_size": 800, "max_size": 1333}, spec("shorter", 800, 1333, "bilinear", None, 32)),
    ({"min_size": 320, "max_size": 640}, spec("shorter", 320, 640, "bilinear", None, 32)),
    (
        {"min_size": 300, "max_size": 300, "size_divisible": 1, "fixed_size": (300, 300)},
        spec("exact", (300, 300), None, "bilinear"),
    ),
    (
        {"min_size": 320, "max_size": 320, "size_divisible": 1, "fixed_size": (320, 320)},
        spec("exact", (320, 320), None, "bilinear"),
    ),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kwargs, ours", DETECTION)
def test_bilinear_is_the_detection_transform(size, kwargs, ours):
    rgb = picture(size)
    try:
        expected, valid = detection_input(rgb, **kwargs)
    except RuntimeError:
        pytest.skip("torchvision itself cannot resize this shape")
    result = preprocess(rgb, ours)
    assert result.valid_size == valid and result.tensor.shape == expected.shape
    assert np.abs(result.tensor - expected).max() <= 1e-4
    assert result.tensor.dtype == np.float32 and result.tensor.flags.c_contiguous


def test_bilinear_on_a_hundred_random_sizes():
    kwargs, ours = DETECTION[0]
    for _ in range(100):
        size = tuple(int(side) for side in RNG.integers(8, 900, 2))
        rgb = picture(size)
        expected, valid = detection_input(rgb, **kwargs)
        result = preprocess(rgb, ours)
        assert result.valid_size == valid, size
        assert np.abs(result.tensor - expected).max() <= 1e-4, size


@pytest.mark.parametrize("kind", ["pillow-bilinear", "pillow-bicubic"])
@pytest.mark.parametrize(
    "size",
    [
        (4000, 20),
        (20, 4000),
        (1, 1),
        (1, 300),
        (300, 1),
        (1, 3000),
        (3000, 1),
        (19301, 301),
        (301, 19301),
    ],
)
def test_an_extreme_shape_is_cropped_before_it_is_made(size, kind):
    """The same pixels as torchvision, which first makes an image of up to 768,000 x 256."""
    rgb = picture(size)
    mode = InterpolationMode.BICUBIC if kind == "pillow-bicubic" else InterpolationMode.BILINEAR
    preset = ImageClassification(crop_size=224, resize_size=256, interpolation=mode)
    expected = preset(Image.fromarray(rgb)).numpy()
    result = preprocess(rgb, spec("shorter", 256, None, kind, (224, 224)))
    assert result.tensor.shape == (1, 3, 224, 224)
    assert np.abs(result.tensor[0] - expected).max() <= 1e-6  # a level is 0.017


def test_a_very_long_image_takes_no_memory_of_its_length():
    rgb = picture((1, 2_000_000))
    result = preprocess(rgb, spec("shorter", 256, None, "pillow-bilinear", (224, 224)))
    assert result.tensor.shape == (1, 3, 224, 224)
    result = preprocess(rgb, spec("shorter", 448, None, "bilinear", (416, 416)))
    assert result.tensor.shape == (1, 3, 416, 416)


@pytest.mark.parametrize("size", [s for s in SIZES if s not in ((3, 700), (49, 2))])
@pytest.mark.parametrize("resize, crop", [(256, 224), (232, 224), (448, 416)])
def test_pillow_bilinear_is_the_classification_preset(size, resize, crop):
    rgb = picture(size)
    preset = ImageClassification(crop_size=crop, resize_size=resize)
    expected = preset(Image.fromarray(rgb))[None].numpy()
    result = preprocess(rgb, spec("shorter", resize, None, "pillow-bilinear", (crop, crop)))
    assert np.abs(result.tensor - expected).max() <= 1e-6


@pytest.mark.parametrize("size", [s for s in SIZES if s not in ((3, 700), (49, 2))])
def test_pillow_bicubic_is_the_classification_preset(size):
    rgb = picture(size)
    cubic = InterpolationMode.BICUBIC
    preset = ImageClassification(crop_size=224, resize_size=248, interpolation=cubic)
    expected = preset(Image.fromarray(rgb))[None].numpy()
    result = preprocess(rgb, spec("shorter", 248, None, "pillow-bicubic", (224, 224)))
    assert np.abs(result.tensor - expected).max() <= 1e-6


@pytest.mark.parametrize("size", [s for s in SIZES if s not in ((3, 700), (49, 2))])
@pytest.mark.parametrize("resize", [416, 513])
def test_pillow_bilinear_is_the_segmentation_preset(size, resize):
    rgb = picture(size)
    expected = SemanticSegmentation(resize_size=resize)(Image.fromarray(rgb))[None].numpy()
    result = preprocess(rgb, spec("shorter", resize, None, "pillow-bilinear"))
    assert result.tensor.shape == expected.shape
    assert np.abs(result.tensor - expected).max() <= 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_a_longest_side_is_torchvision_s(size):
    rgb = picture(size)
    expected = np.asarray(functional.resize(Image.fromarray(rgb), [256], max_size=300)).shape[:2]
    if 0 in expected:
        pytest.skip("torchvision itself cannot resize this shape")
    result = preprocess(rgb, spec("shorter", 256, 300, "pillow-bilinear"))
    assert result.valid_size == expected


@pytest.mark.parametrize("kwargs, ours", DETECTION)
def test_photographs(photographs, kwargs, ours):
    for path in photographs:
        rgb = decode_image(path)
        expected, valid = detection_input(rgb, **kwargs)
        result = preprocess(rgb, ours)
        assert result.valid_size == valid
        assert np.abs(result.tensor - expected).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_scaled_as_torchvision_scales_them(size):
    valid = (312, 416)
    boxes = (RNG.random((50, 4)) * 300).astype(np.float32)
    tensors = {
        "boxes": boxes,
        "labels": np.ones(50, np.int64),
        "scores": np.linspace(1, 0.1, 50, dtype=np.float32),
    }
    answer = detection(
        tensors,
        Head("detector", "coco91", score_threshold=0.05),
        Sizes(size, valid, (320, 416)),
    )
    expected = resize_boxes(torch.from_numpy(boxes), list(valid), list(size))
    assert np.array_equal(answer["boxes"], expected.numpy().clip(0, [size[1], size[0]] * 2))


def test_probabilities_are_torch_s_softmax():
    logits = (RNG.standard_normal((1, 1000)) * 8).astype(np.float32)
    answer = classification({"logits": logits}, Head("model", "imagenet1k", top_k=5))
    expected = torch.from_numpy(logits).softmax(1)[0].topk(5)
    assert answer["labels"].tolist() == expected.indices.tolist()
    assert np.allclose(answer["scores"], expected.values.numpy(), rtol=1e-5)
