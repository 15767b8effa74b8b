"""Random weights: the same every time, and enough for every stage to do real work."""

import hashlib

import numpy as np
import pytest
import torch

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.export.networks.bottlenecks import Factorized
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.random_weights import (
    bits_at,
    fit_encoder,
    level,
    pixels,
    quantised,
    seeded,
)
from tests.conftest import BUNDLES


@pytest.mark.parametrize("name", BUNDLES)
def test_every_photograph_gives_real_answers(bundles, photographs, name):
    first = set()
    with WholePipeline(Bundle.open(str(bundles / name))) as pipeline:
        for photo in photographs:
            answer = pipeline.run(decode_image(str(photo))).answer
            if "detection" in answer:
                assert 5 <= len(answer["detection"]["scores"]) <= 100, photo.name
            if "segmentation" in answer:
                assert len(np.unique(answer["segmentation"]["mask"])) >= 3, photo.name
            if "classification" in answer:
                first.add(int(answer["classification"]["labels"][0]))
                assert answer["classification"]["scores"][0] > 0.005
    assert len(first) != 1  # not one class for all


def _bottleneck(rate):
    with seeded(f"entropic_student@{rate}/encoder"), torch.no_grad():
        bottleneck = Factorized(num_bottleneck_channels=24)
        bottleneck.fit(torch.from_numpy(squares()), bits_at(rate))
    return bottleneck.layer


def test_bits_fall_with_beta_and_tables_fit():
    bits_of_rates = []
    for rate in ("0.32", "5.12", "20.48"):
        layer = _bottleneck(rate)
        bottleneck = layer.entropy_bottleneck
        with torch.no_grad():
            latent = layer.encoder(torch.from_numpy(squares()))
            likelihood = bottleneck(latent, training=False)[1]
        bits = float(-torch.log2(likelihood).mean())
        assert abs(bits - bits_at(rate)) < 0.5
        assert int(bottleneck._cdf_length.max()) <= 128  # fast tables of the coder
        symbols = quantised(bottleneck, latent) - bottleneck._get_medians().reshape(1, -1, 1, 1)
        assert len(torch.unique(symbols)) > 5
        bits_of_rates.append(bits)
    assert (
        bits_of_rates == sorted(bits_of_rates, reverse=True)
        and bits_of_rates[0] < 4.5
        and bits_of_rates[-1] > 1
    )


def test_threads_do_not_change_the_encoder():
    """The three Entropic Students of a beta are exported apart and must hold the same encoder."""
    before = torch.get_num_threads()
    digests = set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            state = _bottleneck("1.28").state_dict()
            encoder = {k: v for k, v in state.items() if not k.startswith("decoder")}
            data = b"".join(v.numpy().tobytes() for v in encoder.values())
            digests.add(hashlib.sha256(data).hexdigest())
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_level_centres_each_channel():
    layer = torch.nn.Conv2d(3, 5, 1)
    x = torch.randn(2, 3, 8, 8) * 4 + 1
    with torch.no_grad():
        level(layer, pixels(layer(x)), 2.0)
        out = pixels(layer(x))
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(0), 2, rtol=1e-4)


def test_seeding_leaves_the_callers_numbers_alone():
    torch.manual_seed(7)
    due = torch.rand(3)
    torch.manual_seed(7)
    with seeded("a"):
        a = torch.rand(3)
    with seeded("b"):
        b = torch.rand(3)
    assert torch.equal(torch.rand(3), due) and not torch.equal(a, b)


def test_an_encoders_weights_do_not_depend_on_the_last_bits_of_a_sum():
    weights = []
    for noise in (0.0, 1e-6):
        torch.manual_seed(1)
        encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))
        factor = torch.full((2,), 0.3 + noise, dtype=torch.float64)
        with torch.no_grad():
            fit_encoder(encoder, torch.ones(1, 3, 2, 2), lambda _, factor=factor: factor)
        weights.append(encoder[0].weight)
    assert torch.equal(*weights)
