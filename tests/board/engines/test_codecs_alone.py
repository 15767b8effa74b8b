"""Codecs by themselves."""

import numpy as np
import pytest

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.codecs import codec_of
from splitwatt.engines.rangecoder import RangeCoder, Tables
from tests.board import tiny


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    bundle = Bundle.open(tiny.tiny_bundle(tmp_path_factory.mktemp("codecs") / "split", photos=1))
    return codec_of(bundle, bundle.part)


def in_graph(string, length=None):
    """What an engine with the coder in its graph gives."""
    words = np.frombuffer(string + bytes(-len(string) % 4), "<i4").reshape(1, -1)
    return {"words": words, "length": np.array([len(string) if length is None else length])}


def test_a_string_from_the_graph_is_taken_as_it_is(codec):
    shape = (1, len(tiny.tables().cdf_length), 5, 7)
    latent = np.rint(np.random.RandomState(0).normal(0, 2, shape)).astype(np.float32)
    string = codec.encode({"latent": latent})
    assert codec.encode(in_graph(string)) == string


def test_a_string_under_other_tables_names_the_remedy(codec):
    tables = tiny.tables()
    other = Tables(tables.cdf, tables.cdf_length, tables.offset, tables.medians + 1)
    latent = np.zeros((1, len(tables.cdf_length), 2, 2), np.float32)
    string = RangeCoder(other).encode(latent)[0]
    with pytest.raises(BitstreamError, match="splitwatt build"):
        codec.encode(in_graph(string))


def test_a_latent_that_could_not_be_coded(codec):
    with pytest.raises(BitstreamError, match="NaN"):
        codec.encode(in_graph(b"", -1))
