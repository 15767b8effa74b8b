"""The packaged class names are those that torchvision's weights carry."""

import pytest
from torchvision.models import get_model_weights

from splitwatt.engines.labels import labels


@pytest.mark.parametrize(
    "name, model",
    [
        ("imagenet1k", "resnet50"),
        ("imagenet1k", "mobilenet_v3_large"),
        ("coco91", "fasterrcnn_resnet50_fpn"),
        ("coco91", "ssd300_vgg16"),
        ("voc21", "deeplabv3_mobilenet_v3_large"),
        ("voc21", "lraspp_mobilenet_v3_large"),
    ],
)
def test_labels(name, model):
    assert labels(name) == list(get_model_weights(model).DEFAULT.meta["categories"])
