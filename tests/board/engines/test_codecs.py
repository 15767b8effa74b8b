"""Codecs between board and server: what goes in comes out, and nothing else does."""

import numpy as np
import pytest

from splitwatt.device_configs.errors import BitstreamError, BundleError, DesyncError, EngineError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.manifest import CODECS, CodecSpec, Port, TablesFile
from splitwatt.engines.codecs import feature_images, open_codec, quantized
from splitwatt.engines.codecs.base import crc
from splitwatt.engines.codecs.feature_images import groups
from splitwatt.engines.codecs.hyperprior import crc_of, frame, unframe
from splitwatt.engines.rangecoder import Tables

SCALES = 16
SIDE, CHANNELS = 3, 4
INPUT = (320, 416)


def _laplacians(spreads):
    """A Laplacian per spread, 41 symbols wide, as quantised cumulative frequencies."""
    distance = np.abs(np.arange(-20, 21))
    rows = []
    for spread in spreads:
        share = np.append(np.exp(-distance / spread), 1e-4)
        counts = np.maximum(1, np.floor(share / share.sum() * 65000)).astype(np.int64)
        counts[20] += 65536 - counts.sum()
        rows.append(np.append(0, np.cumsum(counts)))
    cdf = np.array(rows, np.int32)
    count = len(rows)
    return Tables(
        cdf, np.full(count, cdf.shape[1]), np.full(count, -20), np.zeros(count, np.float32)
    )


class Parameters(Engine):
    """A `parameters` part in NumPy; `error` is what its floating point is off by."""

    def __init__(self, error=0.0, means=True):
        maps = (1, CHANNELS, None, None)
        outputs = [Port("indexes", "int32", maps)]
        if means:
            outputs.append(Port("means", "float32", maps))
        inputs = [Port("side", "float32", (1, SIDE, None, None))]
        super().__init__("parameters", inputs, outputs)
        self.error = error

    def _run(self, feeds):
        side = feeds["side"].repeat(4, axis=2).repeat(4, axis=3).sum(axis=1, keepdims=True)
        scales = np.abs(side) * np.arange(1, 1 + CHANNELS).reshape(1, -1, 1, 1) + self.error
        return {
            "indexes": np.floor(scales).astype(np.int32),
            "means": (0.1 * scales + 0.01 * side).astype(np.float32),
        }

    def _close(self):
        pass


class Hyper(Engine):
    """A `hyper` part in NumPy: the side latent, four times as large."""

    def __init__(self):
        maps = (1, SIDE, None, None)
        super().__init__("hyper", [Port("side", "float32", maps)], [Port("hyper", "float32", maps)])

    def _run(self, feeds):
        return {"hyper": feeds["side"].repeat(4, axis=2).repeat(4, axis=3)}

    def _close(self):
        pass


class Context(Engine):
    """A `context` part in NumPy; `mean` is added to its means."""

    def __init__(self, mean=0.0):
        window = Port("window", "float32", (1, CHANNELS, 5, 5))
        place = Port("place", "float32", (1, SIDE, 1, 1))
        ports = [
            Port(name, dtype, (1, CHANNELS, 1, 1))
            for name, dtype in (("indexes", "int32"), ("means", "float32"))
        ]
        super().__init__("context", [window, place], ports)
        self.mean = mean

    def _run(self, feeds):
        near = feeds["window"][:, :, 2:3, 1:2] + feeds["place"].sum()
        return {
            "indexes": np.clip(np.abs(near), 0, 99).astype(np.int32),
            "means": np.float32(0.1) * np.clip(near, -9, 9) + np.float32(self.mean),
        }

    def _close(self):
        pass


@pytest.fixture(scope="module")
def hyperprior(tmp_path_factory):
    """Makes a codec for an engine, or for the engines of several parts."""
    folder = tmp_path_factory.mktemp("tables")
    made = [_laplacians([1.0, 2.0, 3.0]), _laplacians(0.3 * 1.3 ** np.arange(SCALES))]
    files = []
    for name, tables in zip("ab", made):
        path = str(folder / (name + ".npz"))
        tables.save(path)
        files.append((path, TablesFile(name + ".npz", "0" * 64, tables.id)))
    spec = CodecSpec("hyperprior", [entry for _, entry in files], None)

    def make(*engines):
        parts = {engine.name: engine for engine in engines}
        kind = "autoregressive" if "context" in parts else "hyperprior"
        paths = [path for path, _ in files]
        return open_codec(spec._replace(kind=kind), paths, parts.__getitem__)

    return make


@pytest.fixture
def tensors():
    random = np.random.RandomState(3)
    return {
        "side": random.laplace(0, 1.5, (1, SIDE, 5, 6)).astype(np.float32),
        "latent": random.laplace(0, 4, (1, CHANNELS, 20, 24)).astype(np.float32),
    }


@pytest.mark.parametrize("means", [True, False])
def test_a_hyperpriors_latent_comes_back_rounded(hyperprior, tensors, means):
    engine = Parameters(means=means)
    codec = hyperprior(engine)
    payload = codec.encode(tensors)
    assert payload == codec.encode(tensors)
    made = engine.run({"side": np.rint(tensors["side"])})
    around = made.get("means", np.float32(0))
    due = np.rint(tensors["latent"] - around) + around
    np.testing.assert_array_equal(codec.decode(payload, INPUT)["latent"], due)


def test_an_autoregressive_latent_beyond_32_bits_is_refused_as_a_hyperpriors(hyperprior, tensors):
    """NumPy would round such a value to the least int32, which can be coded."""
    codecs = [hyperprior(Hyper(), Context()), hyperprior(Parameters())]
    due = codecs[0].decode(codecs[0].encode(tensors), INPUT)["latent"]
    assert np.abs(due - tensors["latent"]).max() <= 0.5
    for value, why in ((3e9, "beyond 32 bits"), (-3e9, "beyond"), (np.nan, "NaN"), (np.inf, "inf")):
        tensors["latent"][0, 2, 7, 9] = value
        for codec in codecs:
            with pytest.raises(BitstreamError, match=why):
                codec.encode(tensors)


def test_a_context_whose_means_are_not_finite_is_refused_at_both_ends(hyperprior, tensors):
    payload = hyperprior(Hyper(), Context()).encode(tensors)
    for mean in (np.nan, np.inf):
        codec = hyperprior(Hyper(), Context(mean))
        with pytest.raises(EngineError, match="one finite mean per channel"):
            codec.encode(tensors)
        with pytest.raises(EngineError, match="one finite mean per channel"):
            codec.decode(payload, INPUT)


def test_bits_add_up_to_the_payload(hyperprior, tensors):
    codec = hyperprior(Parameters())
    payload = codec.encode(tensors)
    latent, side = codec.bits(payload, INPUT)
    assert latent.shape == (20, 24) and side.shape == (5, 6)
    total = float(latent.sum() + side.sum()) / 8
    assert 0 < len(payload) - total < 60  # both headers, the lanes' states and the frame
    payload = _plain("quantized").encode(tensors)
    (even,) = _plain("quantized").bits(payload, INPUT)
    assert even.sum() == 8 * tensors["latent"].size


def test_two_machines_payloads_are_alike_but_for_rounding(hyperprior, tensors):
    near = dict(tensors, latent=tensors["latent"] + np.float32(1e-5))
    far = dict(tensors, latent=tensors["latent"] + np.float32(0.2))
    for codec in (hyperprior(Parameters()), _plain("quantized"), _plain("feature_webp", 90)):
        due = codec.decode(codec.encode(tensors), INPUT)
        for other, alike in ((near, True), (far, False)):
            decoded = codec.decode(codec.encode(other), INPUT)
            assert codec.alike(decoded, due)[0] == alike, codec
        assert not codec.alike({"latent": due["latent"][:, :, :3]}, due)[0]


def test_another_machines_indexes_are_a_desync_and_never_a_latent(hyperprior, tensors):
    payload = hyperprior(Parameters()).encode(tensors)
    for error in (1e-3, -1e-3, 1e-5):
        made = [Parameters(e).run({"side": np.rint(tensors["side"])}) for e in (0.0, error)]
        other = hyperprior(Parameters(error))
        if np.array_equal(made[0]["indexes"], made[1]["indexes"]):
            latent = other.decode(payload, INPUT)["latent"]
            np.testing.assert_allclose(latent, hyperprior(Parameters()).decode(payload, INPUT)
                                       ["latent"], atol=2e-4)  # fmt: skip
            continue
        with pytest.raises(DesyncError) as caught:
            other.decode(payload, INPUT)
        assert "different table indexes" in str(caught.value)
        assert "floating point" in str(caught.value)
    with pytest.raises(DesyncError):
        hyperprior(Parameters(-1e-3)).decode(payload, INPUT)


def test_every_byte_of_a_hyperpriors_payload_is_guarded(hyperprior, tensors):
    codec = hyperprior(Parameters())
    payload = codec.encode(tensors)
    for at in list(range(40)) + list(range(40, len(payload), 37)):
        damaged = bytearray(payload)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(BitstreamError):
            codec.decode(bytes(damaged), INPUT)
    for cut in (0, 1, 5, 9, 60, len(payload) - 1):
        with pytest.raises(BitstreamError):
            codec.decode(payload[:cut], INPUT)
    with pytest.raises(BitstreamError):
        codec.decode(payload + b"\0", INPUT)


def test_a_side_latent_of_another_latent_is_refused(hyperprior, tensors):
    codec = hyperprior(Parameters())
    wider = dict(tensors, latent=np.zeros((1, CHANNELS, 21, 24), np.float32))
    with pytest.raises(BitstreamError, match="side latent"):
        codec.encode(wider)
    check, side, latent = unframe(codec.encode(tensors))
    small = dict(tensors, side=tensors["side"][:, :, :4])
    small["latent"] = tensors["latent"][:, :, :16]
    other = unframe(codec.encode(small))
    with pytest.raises(BitstreamError, match="describes a latent"):
        codec.decode(frame(check, other[1], latent), INPUT)
    with pytest.raises(BitstreamError):
        codec.decode(frame(check, side, latent), (16, 24))
    for name in tensors:
        nan = dict(tensors)
        nan[name] = np.full_like(tensors[name], np.nan)
        with pytest.raises(BitstreamError, match="NaN"):
            codec.encode(nan)


def test_indexes_have_one_crc_whatever_their_dtype():
    indexes = np.arange(24).reshape(1, 2, 3, 4)
    assert crc_of(indexes.astype(np.int32)) == crc_of(indexes.astype(np.int64))
    assert crc_of(indexes) != crc_of(indexes[::, ::-1])


def test_a_part_that_makes_no_indexes_is_refused(hyperprior):
    engine = Parameters()
    del engine.outputs["indexes"]
    with pytest.raises(BundleError, match="indexes"):
        hyperprior(engine)


def _plain(kind, quality=None):
    return open_codec(CodecSpec(kind, [], quality), [], lambda name: None)


@pytest.mark.parametrize("shift", [0.0, -2.0, 40.0, -40.0])
def test_eight_bits_a_value(tensors, shift):
    latent = tensors["latent"] + np.float32(shift)
    codec = _plain("quantized")
    payload = codec.encode({"latent": latent})
    assert len(payload) == 12 + latent.size
    decoded = codec.decode(payload, INPUT)["latent"]
    step = (latent.max() - latent.min()) / 255
    # where zero is far outside the range, Jacob's zero point is clamped and so are values
    if shift in (0.0, -2.0):
        assert np.abs(decoded - latent).max() <= step
    assert decoded.dtype == np.float32 and decoded.shape == latent.shape


@pytest.mark.parametrize("value", [0.0, 3.5, -3.5])
def test_a_flat_latent_keeps_its_value(value):
    codec = _plain("quantized")
    latent = np.full((1, 2, 3, 4), value, np.float32)
    decoded = codec.decode(codec.encode({"latent": latent}), INPUT)["latent"]
    np.testing.assert_array_equal(decoded, latent)


@pytest.mark.parametrize("kind", ["feature_jpeg", "feature_webp"])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_features_as_images(kind, channels):
    y, x = np.mgrid[:28, :30]
    waves = [1 + np.sin(x / (3.0 + c)) * np.cos(y / (4.0 + c)) for c in range(channels)]
    latent = np.maximum(np.array(waves, np.float32)[np.newaxis], 0)
    latent[0, 0] = 0
    codec = _plain(kind, 95)
    payload = codec.encode({"latent": latent})
    decoded = codec.decode(payload, INPUT)["latent"]
    assert decoded.shape == latent.shape and np.abs(decoded - latent).mean() < 0.1
    coarse = _plain(kind, 10).encode({"latent": latent})
    assert channels < 3 or len(coarse) < len(payload)
    assert [count for _, count in groups(8)] == [3, 3, 1, 1]


@pytest.mark.parametrize("kind", ["quantized", "feature_jpeg", "feature_webp"])
def test_unsound_bytes_are_refused(kind, tensors):
    codec = _plain(kind)
    payload = codec.encode(tensors)
    for at in range(0, len(payload), 11):
        damaged = bytearray(payload)
        damaged[at] ^= 4
        with pytest.raises(BitstreamError):
            codec.decode(bytes(damaged), INPUT)
    for cut in (0, 1, 4, 9, len(payload) // 2, len(payload) - 1):
        with pytest.raises(BitstreamError):
            codec.decode(payload[:cut], INPUT)
    with pytest.raises(BitstreamError, match="does not come from|do not come from"):
        codec.decode(payload, (10, 10))
    for value in (np.nan, np.inf):
        with pytest.raises(BitstreamError):
            codec.encode({"latent": np.full((1, 3, 4, 4), value, np.float32)})


def test_every_kind_of_codec_is_known_to_the_manifest():
    from splitwatt.engines import codecs

    assert set(codecs._KINDS) == set(CODECS)


def test_scales_and_ranges_that_are_none_are_refused_although_their_crc_is_right(tensors):
    """The CRC is the sender's: it says nothing of what the bytes mean."""
    for value in (np.nan, np.inf, 3e38):
        payload = _plain("quantized").encode({"latent": tensors["latent"]})
        head, body = payload[:3] + quantized._SCALE.pack(value, 0), payload[12:]
        forged = head + crc(head, body) + body
        with pytest.raises(BitstreamError, match="scale"):
            _plain("quantized").decode(forged, INPUT)
    codec = _plain("feature_webp", 90)
    body = codec.encode({"latent": tensors["latent"]})[:-4]
    for value in (np.nan, np.inf):
        forged = body[:4] + feature_images._RANGE.pack(value, 1.0) + body[12:]
        with pytest.raises(BitstreamError, match="range"):
            codec.decode(forged + crc(forged), INPUT)


def test_drift_is_a_desync_or_moves_the_latent_by_no_more_than_a_mean(hyperprior, tensors):
    """Scales and means off by growing relative amounts, as another machine's would be.

    Smooth scales and means of the side latent, the index the number of steps below a scale.
    """
    steps = (0.3 * 1.3 ** np.arange(SCALES - 1)).astype(np.float32)

    class Drifting(Parameters):
        def _run(self, feeds):
            side = np.repeat(np.repeat(feeds["side"], 4, 2), 4, 3)
            side = np.repeat(side, CHANNELS, 1)[:, :CHANNELS]
            ripple = np.sin(np.arange(side.size, dtype=np.float32)).reshape(side.shape)
            off = np.float32(1) + np.float32(self.error)
            scales = np.exp(0.3 * side + 0.2 * ripple).astype(np.float32) * off
            means = (side + ripple).astype(np.float32) * off
            indexes = (scales[..., np.newaxis] > steps).sum(-1).astype(np.int32)
            return {"indexes": indexes, "means": means}

    codec = hyperprior(Drifting())
    payload = codec.encode(tensors)
    due = codec.decode(payload, INPUT)["latent"]
    told = []
    for off in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        try:
            latent = hyperprior(Drifting(off)).decode(payload, INPUT)["latent"]
        except DesyncError as error:
            assert "different table indexes" in str(error)
            told.append(off)
            continue
        assert np.abs(latent - due).max() < 1e-3, off
    assert 1e-2 in told and 1e-7 not in told


class Shaped(Parameters):
    """A `parameters` part whose tensors have other shapes than a latent's."""

    def __init__(self, indexes=(1, CHANNELS, 20, 24), means=(1, CHANNELS, 20, 24), rank=4):
        super().__init__()
        self.outputs["indexes"] = Port("indexes", "int32", (None,) * rank)
        self.shapes = {"indexes": indexes, "means": means}

    def _run(self, feeds):
        made = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        return dict(made, indexes=made["indexes"].astype(np.int32))


def test_a_graph_whose_tensors_fit_no_latent_is_refused(hyperprior, tensors):
    with pytest.raises(BundleError, match="'indexes' with 4 dimensions"):
        hyperprior(Shaped(rank=3))
    for means in ((1, CHANNELS, 20, 1), (4,), (1, 1, 1, 1)):
        with pytest.raises(EngineError, match="one finite mean per index"):
            hyperprior(Shaped(means=means)).encode(tensors)
    with pytest.raises(BitstreamError, match="describes a latent"):
        hyperprior(Shaped((1, CHANNELS, 20, 23), (1, CHANNELS, 20, 23))).encode(tensors)


@pytest.mark.parametrize("kind", ["quantized", "feature_jpeg"])
@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 0, 4, 4), (48,)])
def test_what_is_no_latent_is_refused(kind, shape):
    with pytest.raises(BitstreamError, match="float32 \\(1, C, H, W\\)"):
        _plain(kind).encode({"latent": np.zeros(shape, np.float32)})
    with pytest.raises(BitstreamError, match="float64"):
        _plain(kind).encode({"latent": np.zeros((1, 3, 4, 4))})


def test_a_small_payload_does_not_make_a_latent_of_gigabytes():
    """4096 flat maps of an input's size: 8 MB that would become 17 GB."""
    maps = np.zeros((1, 66, 64, 64), np.float32)
    payload = _plain("feature_jpeg").encode({"latent": maps})
    assert _plain("feature_jpeg").decode(payload, (66, 64))["latent"].shape == maps.shape
    with pytest.raises(BitstreamError, match="do not come from"):
        _plain("feature_jpeg").decode(payload, (64, 64))
