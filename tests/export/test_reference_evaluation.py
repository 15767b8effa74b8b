"""Deployed engines against the reference evaluation of torchvision and sc2bench, same weights.

Predictions are counted image by image on real photographs, cut and turned into more of them.
"""

import io
import pickle
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv
from torchvision.transforms._presets import ImageClassification, SemanticSegmentation

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.pipeline import whole
from splitwatt.export import zoo
from splitwatt.export.tracing.photos import photos
from splitwatt.export.weights.random_weights import seeded
from splitwatt.profiler.records.legacy_size import legacy_bytes

pytestmark = pytest.mark.long

# Of the answers that may differ: a score at the edge of a threshold, a pixel between two classes.
MASK_SHARE = 1e-3


@pytest.fixture(scope="module")
def images(photographs):
    """18 photographs: each as it is, mirrored, and its middle."""
    views = []
    for path in photographs:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        width, height = image.size
        middle = image.crop((width // 5, height // 5, 4 * width // 5, 4 * height // 5))
        views += [image, tv.hflip(image), middle]
    return views


def network(name):
    """The PyTorch modules with the weights that the bundle of that name has."""
    system, rate = zoo.find(name)
    with seeded(name), torch.no_grad():
        made = system.build(rate)
        made.fit_random(photos(system.preprocess), name)
    return made


def deployed(folder, images):
    with whole(Bundle.open(str(folder))) as pipeline:
        return [pipeline.run(np.asarray(image)) for image in images]


def test_classes_are_torchvisions(bundles, images):
    name = "mobilenet_v3_large"
    model = network(name).model
    preset = ImageClassification(crop_size=224, resize_size=256)
    same_first = same_five = 0
    for image, outcome in zip(images, deployed(bundles / name, images), strict=True):
        with torch.no_grad():
            due = model(preset(image)[None])[0].topk(5).indices.tolist()
        labels = outcome.answer["classification"]["labels"].tolist()
        same_first += labels[0] == due[0]
        same_five += labels == due
    print(f"identical predictions: top-1 {same_first}, top-5 {same_five} of {len(images)}")
    assert same_first == len(images) and same_five >= len(images) - 1


def test_boxes_are_torchvisions(bundles, images):
    name = "ssdlite320_mobilenet_v3_large"
    model = network(name).model
    same = 0
    for image, outcome in zip(images, deployed(bundles / name, images), strict=True):
        with torch.no_grad():
            (due,) = model([tv.to_tensor(image)])
        answer = outcome.answer["detection"]
        if sorted(answer["labels"].tolist()) == sorted(due["labels"].tolist()):
            order, theirs = (np.lexsort((r["scores"], r["labels"])) for r in (answer, due))
            boxes = np.abs(answer["boxes"][order] - due["boxes"].numpy()[theirs]).max()
            scores = np.abs(answer["scores"][order] - due["scores"].numpy()[theirs]).max()
            same += boxes < 1e-3 * max(image.size) and scores < 1e-3
    print(f"identical predictions: {same} of {len(images)}")
    assert same >= len(images) - 1


def test_masks_are_torchvisions(bundles, images):
    name = "lraspp_mobilenet_v3_large"
    model = network(name).model
    preset = SemanticSegmentation(resize_size=416)
    same = 0
    for image, outcome in zip(images, deployed(bundles / name, images), strict=True):
        with torch.no_grad():
            due = model(preset(image)[None])["out"].argmax(1)[0].numpy()
        mask = outcome.answer["segmentation"]["mask"]
        assert mask.shape == due.shape
        same += np.count_nonzero(mask != due) <= MASK_SHARE * due.size
    print(f"masks equal in all but {MASK_SHARE:.1%} of pixels: {same} of {len(images)}")
    assert same == len(images)


def test_classes_and_bytes_are_sc2benchs(bundles, images):
    """Entropic Student, coded and decoded by sc2bench's own bottleneck on CompressAI's coder."""
    name = "entropic_student_ic@5.12"
    model = network(name).model.eval()
    preset = ImageClassification(crop_size=224, resize_size=256)
    same = 0
    for image, outcome in zip(images, deployed(bundles / name, images), strict=True):
        with torch.no_grad():
            coded = model.bottleneck_layer.encode(preset(image)[None])
            hidden = model.bottleneck_layer.decode(**coded)
            for layer in (model.layer2, model.layer3, model.layer4, model.avgpool):
                hidden = layer(hidden)
            due = model.fc(hidden.flatten(1))[0].topk(5).indices.tolist()
        same += outcome.answer["classification"]["labels"].tolist() == due
        theirs = len(coded["strings"][0][0])
        # Our header, checksum and lanes against CompressAI's bare string.
        assert -8 <= len(outcome.payload) - theirs <= 48 + 0.0002 * theirs
        pickled = sys.getsizeof(pickle.dumps(coded))
        assert pickled - theirs == legacy_bytes(outcome.payload) - len(outcome.payload)
    print(f"identical predictions: top-5 {same} of {len(images)}")
    assert same == len(images)


def test_a_jpeg_file_gives_the_same_as_its_pixels(bundles, images):
    """The reference reads files with Pillow; so do the engines."""
    from splitwatt.engines.pipeline.image import decode_image

    stream = io.BytesIO()
    images[0].save(stream, "JPEG", quality=90)
    with Image.open(stream) as opened:
        due = np.asarray(opened.convert("RGB"))
    assert np.array_equal(decode_image(stream.getvalue()), due)
