"""The `compressai` format against CompressAI itself, and our symbols against its."""

import numpy as np
import pytest
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.rangecoder import RangeCoder, Tables
from tests.board.engines.rangecoder.reference import Reference

CODERS = [Reference, RangeCoder]


@pytest.fixture(scope="module")
def bottleneck():
    torch.manual_seed(0)
    model = EntropyBottleneck(6)
    model.quantiles.data[:, 0, 0] = -torch.rand(6) * 12 - 1
    model.quantiles.data[:, 0, 1] = torch.randn(6) * 0.3
    model.quantiles.data[:, 0, 2] = torch.rand(6) * 12 + 1
    model.update(force=True)
    return model.eval()


@pytest.fixture(scope="module")
def gaussian():
    model = GaussianConditional([0.11, 0.5, 1.0, 2.0, 5.0, 12.0, 40.0])
    model.update()
    return model.eval()


def latent_of(seed, shape, scale):
    latent = np.random.RandomState(seed).laplace(size=shape).astype(np.float32) * np.float32(scale)
    latent.flat[:2] = [123456.0, -98765.0]
    return latent


@pytest.mark.parametrize("coder_of", CODERS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 20)])
def test_entropy_bottleneck_strings(bottleneck, coder_of, shape):
    latent = latent_of(1, (2, 6, *shape), 5)
    theirs = bottleneck.compress(torch.from_numpy(latent))
    coder = coder_of(Tables.from_compressai(bottleneck), "compressai")
    assert coder.encode(latent) == theirs
    decoded = bottleneck.decompress(theirs, torch.Size(shape)).numpy()
    assert np.array_equal(coder.decode(theirs, shape), decoded)


@pytest.mark.parametrize("coder_of", CODERS)
def test_gaussian_conditional_strings(gaussian, coder_of):
    latent = latent_of(2, (2, 5, 16, 15), 6)
    indexes = np.random.RandomState(3).randint(0, 7, latent.shape).astype(np.int32)
    theirs = gaussian.compress(torch.from_numpy(latent), torch.from_numpy(indexes))
    tables = Tables.from_compressai(gaussian)
    coder = coder_of(tables, "compressai")
    assert coder.encode(latent, indexes) == theirs
    decoded = gaussian.decompress(theirs, torch.from_numpy(indexes)).numpy()
    assert np.array_equal(coder.decode(theirs, (16, 15), indexes), decoded)
    ours = coder_of(tables)
    assert np.array_equal(ours.decode(ours.encode(latent, indexes), (16, 15), indexes), decoded)


@pytest.mark.parametrize("coder_of", CODERS)
def test_the_interleaved_format_carries_what_compressai_quantises(bottleneck, coder_of):
    latent = latent_of(4, (1, 6, 45, 40), 3)
    coder = coder_of(Tables.from_compressai(bottleneck))
    decoded = coder.decode(coder.encode(latent), (45, 40))
    tensor = torch.from_numpy(latent)
    strings = bottleneck.compress(tensor)
    assert np.array_equal(decoded, bottleneck.decompress(strings, torch.Size((45, 40))).numpy())


def test_a_model_without_tables_is_refused():
    with pytest.raises(BundleError, match="update"):
        Tables.from_compressai(EntropyBottleneck(3))
