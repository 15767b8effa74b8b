"""An encoder on strips gives what it gives on the whole image, within the memory of the target."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from splitwatt.device_configs.errors import ImageError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.strips import (
    StripEngine,
    alignment,
    held_bytes,
    runs_on_strips,
    strips_at,
)
from splitwatt.engines.bundle.manifest import Port, Preprocess, Resize, StripRows, Strips
from splitwatt.engines.pipeline.preprocess import max_input_pixels, preprocess
from splitwatt.export.tracing.strips import strips_of


class Divisive(nn.Module):
    """A normalisation in the manner of GDN: x / (bias + weights * |x|)."""

    def __init__(self, channels):
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x / (1 + self.mix(x.abs()).abs())


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
        )  # fmt: skip

    def forward(self, x):
        return x + self.inner(x)


ENCODERS = {
    "ladon": lambda: nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2), Divisive(16), nn.Conv2d(16, 8, 5, 2, 2), Divisive(8), nn.Conv2d(8, 4, 2)
    ),
    "residual": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Residual(8), nn.Conv2d(8, 4, 3, 2, 1)
    ),
    "patches": lambda: nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Hardswish(), nn.Conv2d(8, 6, 1)),
    "average": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AvgPool2d(2), nn.Conv2d(8, 6, 3, 2)),
}  # fmt: skip


def export(module, folder, outputs=("latent",)):
    path = str(folder / "encoder.onnx")
    torch.manual_seed(0)
    torch.onnx.export(
        module.eval(), (torch.rand(1, 3, 64, 96),), path, input_names=["image"],
        output_names=list(outputs), opset_version=13, dynamo=False,
        dynamic_axes={"image": {2: "h", 3: "w"}, **{name: {2: name + "h", 3: name + "w"} for name in outputs}},
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Name -> an encoder's engine, and the strips that its graph has."""
    import onnx

    made = {}
    for name, make in ENCODERS.items():
        torch.manual_seed(3)
        path = export(make(), tmp_path_factory.mktemp(name))
        made[name] = (load_engine("cpu", path, 1), strips_of(onnx.load(path), 1))
    return made


def halves(engine, strips, image, thin):
    """The outputs of the whole image, and those of strips of about `thin` alignments' height."""
    height, width = image.shape[2:]
    kept = held_bytes(strips, engine.outputs, height, width)
    alignment = max(rows.step for rows in strips.outputs)
    reach = max(rows.above + rows.below for rows in strips.outputs)
    pixels = (thin * alignment + reach + 3 * alignment) * width
    # The least whole number of MiB; a tiny image counts as one by larger tensors.
    scale = 1 + (1 << 21) // (2 * strips.bytes_per_pixel * pixels)
    memory = -(-(kept + 2 * strips.bytes_per_pixel * scale * pixels) >> 20)
    small = strips._replace(bytes_per_pixel=strips.bytes_per_pixel * scale, memory_mb=memory)
    plan = strips_at(small, engine.outputs, height, width)
    return engine.run({"image": image}), StripEngine(engine, small).run({"image": image}), plan


@pytest.mark.parametrize("name", sorted(ENCODERS))
@settings(max_examples=60, deadline=None)
@given(height=st.integers(40, 300), width=st.integers(17, 70), thin=st.integers(1, 12))
def test_strips_give_the_whole_images_latent_bit_for_bit(engines, name, height, width, thin):
    engine, strips = engines[name]
    image = np.random.RandomState(height).rand(1, 3, height, width).astype(np.float32)
    whole, made, plan = halves(engine, strips, image, thin)
    assert np.array_equal(whole["latent"], made["latent"])
    assert len({strip.bottom - strip.top for strip in plan}) <= 2
    if thin == 1 and height > 200:
        assert len(plan) > 2


def test_two_outputs_of_different_scales(tmp_path):
    import onnx

    class Hyper(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 6, 5, 2, 2))
            self.h = nn.Sequential(
                nn.Conv2d(6, 6, 3, 2, 1), nn.LeakyReLU(), nn.Conv2d(6, 5, 5, 2, 2)
            )

        def forward(self, x):
            y = self.g(x)
            return y, self.h(y.abs())

    path = export(Hyper(), tmp_path, ("latent", "side"))
    strips = strips_of(onnx.load(path), 1)
    assert {rows.output: rows.step for rows in strips.outputs} == {"latent": 4, "side": 16}
    engine = load_engine("cpu", path, 1)
    for height in (256, 299, 311, 400):
        image = np.random.RandomState(1).rand(1, 3, height, 64).astype(np.float32)
        whole, made, plan = halves(engine, strips, image, 2)
        assert len(plan) > 1
        for output in ("latent", "side"):
            assert np.array_equal(whole[output], made[output])


def test_outputs_whose_strides_have_no_common_multiple_but_their_product(tmp_path):
    import onnx

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 5, 3, 3)

        def forward(self, x):
            return self.a(x), self.b(x)

    path = export(Two(), tmp_path, ("latent", "side"))
    strips = strips_of(onnx.load(path), 1)
    assert alignment(strips) == 6
    engine = load_engine("cpu", path, 1)
    for height in (97, 128, 200):
        image = np.random.RandomState(height).rand(1, 3, height, 40).astype(np.float32)
        whole, made, plan = halves(engine, strips, image, 2)
        assert len(plan) > 1
        for output in ("latent", "side"):
            assert np.array_equal(whole[output], made[output])


def test_strips_that_a_manifest_states_for_another_graph_are_not_used():
    rows = Strips([StripRows("latent", 4, 6, 10)], 288, 400)
    maps = (1, 3, None, None)

    def engine(given, *made):
        return SimpleNamespace(
            inputs={name: Port(name, "float32", maps) for name in given},
            outputs={port.name: port for port in made},
        )

    latent = Port("latent", "float32", maps)
    assert runs_on_strips(engine(["image"], latent), rows)
    assert not runs_on_strips(engine(["pixels"], latent), rows)
    assert not runs_on_strips(engine(["image", "size"], latent), rows)
    assert not runs_on_strips(engine(["image"], latent, latent._replace(name="x")), rows)
    assert not runs_on_strips(engine(["image"], latent._replace(shape=(1, None))), rows)


NOT_IN_STRIPS = {
    "squeeze": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1)),
    "upsampled": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Upsample(scale_factor=2)),
    "transposed": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ConvTranspose2d(4, 4, 2, 2)),
    "normalised": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.InstanceNorm2d(4)),
    "no stride": lambda: nn.Conv2d(3, 4, 3),
}


@pytest.mark.parametrize("name", sorted(NOT_IN_STRIPS))
def test_what_needs_the_whole_image_has_no_strips(name, tmp_path):
    import onnx

    assert strips_of(onnx.load(export(NOT_IN_STRIPS[name](), tmp_path)), 64) is None


LADON = Strips([StripRows("latent", 4, 6, 10)], 288, 400)
LATENT = {"latent": Port("latent", "float32", (1, 24, None, None))}


def test_a_small_image_is_run_whole():
    assert len(strips_at(LADON, LATENT, 512, 640)) == 1


def test_a_4k_frame_fits_a_nano_and_a_larger_one_is_refused_in_one_sentence():
    assert len(strips_at(LADON, LATENT, 2160, 3840)) > 4
    with pytest.raises(
        ImageError, match="needs .* MB of memory, and the target allows 400"
    ) as error:
        strips_at(LADON, LATENT, 8640, 15360)
    assert "encoder_memory_mb" in str(error.value)


def test_preprocessing_lets_a_4k_frame_through_and_bounds_what_is_open():
    exact = Preprocess(
        resize=Resize("exact", (2160, 3840), None, "bilinear"),
        crop=None, pad_multiple=None, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    assert max_input_pixels(exact) == 2160 * 3840
    made = preprocess(np.zeros((2160, 3840, 3), np.uint8), exact)
    assert made.input_size == (2160, 3840)
    shorter = exact._replace(resize=Resize("shorter", 800, 1333, "bilinear"), pad_multiple=32)
    assert max_input_pixels(shorter) == 800 * 1344
    assert (
        max_input_pixels(exact._replace(resize=Resize("shorter", 800, None, "bilinear"))) == 1 << 22
    )
    huge = exact._replace(resize=Resize("exact", (10**6, 10**6), None, "bilinear"))
    with pytest.raises(ImageError, match="too large"):
        preprocess(np.zeros((8, 8, 3), np.uint8), huge)
