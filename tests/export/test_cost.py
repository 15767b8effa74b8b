"""Parameters and multiply-accumulates against the paper's Table 2 and torchvision's own figures."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model_weights

from splitwatt.device_configs.targets import load_target
from splitwatt.export import exporter, zoo
from splitwatt.export.ports import image, logits
from splitwatt.export.request import Request
from splitwatt.export.spec import Part
from splitwatt.export.tracing.cost import Uncounted
from splitwatt.export.tracing.photos import samples
from splitwatt.export.tracing.pieces import parameters

# Millions of parameters in Table 2 of the Ladon paper.
TABLE_2 = {
    "mobilenet_v3_large": 5.5, "mobilenet_v2": 3.5, "mnasnet1_3": 6.3, "mnasnet0_5": 2.2,
    "ssd300_vgg16": 35.6, "ssdlite320_mobilenet_v3_large": 3.4,  # the paper prints 5.2
    "fasterrcnn_mobilenet_v3_large_320_fpn": 19.4, "deeplabv3_mobilenet_v3_large": 11.0,
    "lraspp_mobilenet_v3_large": 3.2,
}  # fmt: skip
# What torchvision's `_ops` were counted at, where it is not the classifiers' 224x224.
SIZES = {
    "ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320,
    "fasterrcnn_mobilenet_v3_large_320_fpn": 320, "deeplabv3_mobilenet_v3_large": 520,
    "lraspp_mobilenet_v3_large": 520,
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE_2)
def test_parameters_and_gmac(name):
    system, rate = zoo.find(name)
    network = system.build(rate)
    assert parameters([network.model]) / 1e6 == pytest.approx(TABLE_2[name], abs=0.1)
    meta = get_model_weights(name).DEFAULT.meta
    size = SIZES.get(name, 224)
    image = torch.zeros(1, 3, size, size)
    with torch.no_grad(), Uncounted() as uncounted, FlopCounterMode(display=False) as counter:
        if "rcnn" in name:
            # Random noise gave torchvision no proposals: its figure leaves the box head out.
            features = network.model.backbone(image)
            network.model.rpn.head(list(features.values()))
        elif "ssd" in name:
            network.model([image[0]])
        else:
            network.model(image)
    assert not uncounted.names
    assert counter.get_total_flops() / 2e9 == pytest.approx(meta["_ops"], rel=0.01)


def test_convolutions_in_groups_or_transposed_and_products_are_counted():
    functional = torch.nn.functional
    with torch.no_grad(), Uncounted() as uncounted, FlopCounterMode(display=False) as counter:
        functional.conv_transpose2d(torch.ones(1, 2, 3, 3), torch.ones(2, 4, 2, 2))
        functional.conv2d(torch.ones(1, 4, 5, 5), torch.ones(8, 2, 3, 3), groups=2)
        torch.ones(2, 3) @ torch.ones(3, 5)
    products = 9 * 2 * 4 * 4 + 9 * 8 * 2 * 3 * 3 + 2 * 3 * 5
    assert counter.get_total_flops() // 2 == products
    assert not uncounted.names


def test_operators_without_a_formula_are_reported():
    tokens = torch.ones(1, 2, 4, 8)
    with torch.no_grad(), Uncounted() as uncounted, FlopCounterMode(display=False):
        torch.fft.fft(torch.ones(8))
        torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        torch.nn.functional.relu(tokens)
    transform, *attention = sorted(uncounted.names)
    assert "fft" in transform and all("attention" in name for name in attention)


class _Spectrum(torch.nn.Module):
    def forward(self, image):
        return torch.outer(image.mean(dim=(2, 3))[0], image.new_ones(10))[:1]


def test_the_manifest_says_what_a_part_s_gmac_leave_out(tmp_path):
    system, rate = zoo.find("mobilenet_v3_large")
    cpu = load_target("cpu")
    request = Request("mobilenet_v3_large", system, rate, cpu, cpu, None, tmp_path)

    def attended(pixels):
        torch.fft.fft(pixels)
        return _Spectrum()(pixels)

    with torch.no_grad():
        work = exporter.Work(request, tmp_path, samples(system.preprocess)[:1])
        work.add(
            Part("model", "board", _Spectrum(), (image(),), (logits(10),), attended, [_Spectrum()])
        )
        (note,) = [n for n in work.manifest().weights.notes if "leave out" in n]
    assert note.startswith("GMAC of model leave out ") and "fft" in note


@pytest.mark.parametrize(("name", "mib"), [("ladon_r50", 0.535), ("ladon_resnest269e", 0.935)])
def test_encoder_size(name, mib):
    from sc2bench.models.layer import FPBasedResNetBottleneck

    channels = {"ladon_r50": 24, "ladon_resnest269e": 32}[name]
    layer = FPBasedResNetBottleneck(num_bottleneck_channels=channels)
    count = parameters([layer.encoder, layer.entropy_bottleneck])
    assert 4 * count / 2**20 == pytest.approx(mib, abs=0.001)


def test_runtime_gmac_at_640x480(bundles):
    """The yardsticks: what the manifests say about the 640x480 photograph."""
    from splitwatt.engines.bundle.bundle import Bundle

    def board(name):
        bundle = Bundle.open(str(bundles / name))
        return sum(part.gmac for part in bundle.manifest.placed("board"))

    assert board("ladon_r50@20.48") == pytest.approx(1.56, abs=0.005)
    assert board("entropic_student_ic@5.12") == pytest.approx(0.588, abs=0.001)
