"""Every system of sc2bench, loaded from a checkpoint of sc2bench's own model: the same answers, and
the same bytes in CompressAI's format.
"""

import argparse
import functools

import numpy as np
import pytest
import torch
from sc2bench.models.backbone import (
    SplittableHybridViT,
    SplittableResNet,
    splittable_regnet,
    splittable_resnet,
)
from sc2bench.models.layer import SimpleBottleneck, get_layer
from sc2bench.models.wrapper import CodecFeatureCompressionClassifier, EntropicClassifier
from sc2bench.transforms.codec import PILTensorModule
from sc2bench.transforms.misc import SimpleDequantizer, SimpleQuantizer
from timm.models import vision_transformer_hybrid
from torch import nn
from torchvision.models import resnet50

from splitwatt.device_configs.errors import CheckpointError, DesyncError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.manifest import CodecSpec, TablesFile
from splitwatt.engines.codecs import open_codec
from splitwatt.engines.codecs.quantized import quantize
from splitwatt.engines.rangecoder import RangeCoder, Tables
from splitwatt.export import zoo
from splitwatt.export.networks import split
from splitwatt.export.request import prepare
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import read
from splitwatt.export.weights.random_weights import fit_hyperprior, seeded

pytestmark = pytest.mark.long

INPUT = (224, 224)


class TorchEngine(Engine):
    """A part's own module, before it is a graph; `scale` stands for another machine's arithmetic."""

    def __init__(self, part, scale=1.0):
        super().__init__(part.name, part.inputs, part.outputs)
        self.module, self.scale = part.module, scale

    def _run(self, feeds):
        with torch.no_grad():
            tensors = [torch.from_numpy(feeds[name]) * self.scale for name in self.inputs]
            made = self.module(*tensors)
        made = made if isinstance(made, tuple) else (made,)
        return dict(zip(self.outputs, [tensor.numpy() for tensor in made], strict=True))

    def _close(self):
        pass


class Deployed:
    """A network's parts and its codec, as a bundle would run them."""

    def __init__(self, network, folder):
        self.parts = {part.name: part for part in network.parts()}
        coding = network.codec.coding()
        paths, files = [], []
        for index, tables in enumerate(coding.tables):
            paths.append(str(folder / f"{index}.npz"))
            tables.save(paths[-1])
            files.append(TablesFile(f"{index}.npz", "0" * 64, tables.id))
        self.tables = coding.tables
        spec = CodecSpec(coding.kind, files, coding.quality)
        self.codecs = [
            open_codec(spec, paths, functools.partial(self._engine, scale))
            for scale in (1.0, 1.0 + 1e-4)
        ]

    def _engine(self, scale, name):
        return TorchEngine(self.parts[name], scale)

    def run(self, image):
        """(what the board made, the payload, the logits)."""
        board = {"image": image}
        self._run("board", board)
        payload = self.codecs[0].encode(board)
        server = self.codecs[0].decode(payload, INPUT)
        self._run("server", server)
        return board, payload, server["logits"]

    def _run(self, placement, tensors):
        for part in self.parts.values():
            if part.placement == placement:
                engine = TorchEngine(part)
                tensors.update(engine.run({name: tensors[name] for name in engine.inputs}))


def _mshp(**more):
    return {"key": "MSHPBasedResNetBottleneck", "kwargs": more}


def _fp(**more):
    return {"key": "FPBasedResNetBottleneck", "kwargs": more}


def _vit(config):
    whole = vision_transformer_hybrid.vit_small_r26_s32_224(num_classes=1000)
    whole.pre_logits = nn.Identity()
    layer = get_layer(config["key"], **config["kwargs"])
    return SplittableHybridViT(layer, whole, skips_head=False)


_HEADS = {"skips_avgpool": False, "skips_fc": False, "num_classes": 1000}
_REG = [64, 288, 144, 144]
_VIT = [64, 512, 256, 256]
_WIDE = [3, 64, 64, 64]
STUDENTS = {
    "entropic_student_ic_mshp@3.84": lambda: splittable_resnet(
        _mshp(num_latent_channels=16, num_bottleneck_channels=24), **_HEADS
    ),
    "entropic_student_ic_resnet101@0.08": lambda: splittable_resnet(
        _fp(num_bottleneck_channels=24, num_target_channels=256), "resnet101", **_HEADS
    ),
    "entropic_student_ic_regnety_064@7.68": lambda: splittable_regnet(
        _fp(num_bottleneck_channels=64, encoder_channel_sizes=_WIDE, decoder_channel_sizes=_REG),
        skips_head=False,
        num_classes=1000,
    ),
    "entropic_student_ic_vit_small_r26_s32_mshp@15.36": lambda: _vit(
        _mshp(num_bottleneck_channels=64, g_a_channel_sizes=_WIDE, g_s_channel_sizes=_VIT)
    ),
}


def _made(key, make):
    """sc2bench's model with random weights that leave no tensor at a constant, updated."""
    with seeded(key):
        model = make().eval()
        for parameter in model.bottleneck_layer.parameters():
            parameter.data += 0.01 * torch.randn_like(parameter)
        if hasattr(model.bottleneck_layer, "h_s"):  # scales of many tables, not the smallest alone
            fit_hyperprior(model.bottleneck_layer, torch.from_numpy(squares()[:2]), 3.0)
    model.update()
    return model


def _saved(model, path):
    state = {"model": model.state_dict(), "best_value": 1.0, "args": argparse.Namespace(seed=1)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


def _loaded(name, folder):
    """As `export --weights FOLDER` does: the file of the released layout, found and loaded."""
    request = prepare(name, "cpu", None, str(folder), str(folder / "bundles"))
    with torch.no_grad():
        network = request.system.build(request.rate)
        network.load({role: read(path) for role, path in request.files.items()})
    return network


def _kept(layer):
    """What each part of a bottleneck gives the next time that it runs: name -> float32 array."""
    made = {}

    def keep(name, part, inputs, out):
        made[name] = out.numpy()

    for name, part in layer.named_children():
        part.register_forward_hook(functools.partial(keep, name))
    return made


def _place(name, folder):
    system, rate = zoo.find(name)
    return folder / "resource" / "ckpt" / system.checkpoints(rate)[0].paths[0]


@pytest.fixture(scope="module")
def image():
    return squares()[:1]


@pytest.mark.parametrize("name", STUDENTS)
def test_a_students_answers_and_bytes_are_sc2benchs(name, tmp_path, image):
    """Both latents are the same to within rounding of float32, which may move a value that lies between two
    symbols; of one latent the strings are equal byte for byte.
    """
    model = _made(name, STUDENTS[name])
    _saved(model, _place(name, tmp_path))
    deployed = Deployed(_loaded(name, tmp_path), tmp_path)
    board, payload, logits = deployed.run(image)
    with torch.no_grad():
        np.testing.assert_allclose(
            logits, model(torch.from_numpy(image)).numpy(), rtol=1e-4, atol=1e-4
        )
        made = _kept(model.bottleneck_layer)
        due = model.bottleneck_layer.encode(torch.from_numpy(image))
    coders = [RangeCoder(tables, "compressai") for tables in deployed.tables]
    if "mshp" not in name:
        np.testing.assert_allclose(board["latent"], made["encoder"], rtol=1e-4, atol=1e-4)
        assert coders[0].encode(made["encoder"])[0] == due["strings"][0][0]
        return
    np.testing.assert_allclose(board["side"], made["h_a"], rtol=1e-4, atol=1e-4)
    assert coders[0].encode(made["h_a"])[0] == due["strings"][1][0]
    np.testing.assert_allclose(board["latent"], made["g_a"], rtol=1e-4, atol=1e-4)
    ours = deployed.codecs[0]
    side = ours._side.decode([ours._side.encode(made["h_a"])[0]], tuple(due["shape"]))
    indexes, means = ours._parameters(side)
    assert len(np.unique(indexes)) > 5
    scales, their_means = np.split(made["h_s"], 2, axis=1)
    np.testing.assert_allclose(means, their_means, rtol=1e-4, atol=1e-4)
    their_indexes = model.bottleneck_layer.gaussian_conditional.build_indexes(
        torch.from_numpy(scales)
    ).numpy()
    assert np.count_nonzero(indexes != their_indexes) <= 2
    assert coders[1].encode(made["g_a"] - their_means, their_indexes)[0] == due["strings"][0][0]
    sent = ours.decode(payload, INPUT)["latent"] - means
    assert np.count_nonzero(np.rint(sent) != np.rint(made["g_a"] - their_means)) <= 2
    # Another machine, whose floating point is a little off: told, and no latent.
    with pytest.raises(DesyncError, match="different table indexes"):
        deployed.codecs[1].decode(payload, INPUT)


def _released_cr_bq(channels):
    """The layers as sc2-benchmark v0.0.3 lists them, under its own SimpleBottleneck."""

    def conv(before, after, padding):
        return nn.Conv2d(before, after, kernel_size=2, padding=padding, bias=False)

    modules = [
        nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64),
        nn.ReLU(inplace=True), nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        conv(64, 64, 1), nn.BatchNorm2d(64), conv(64, 256, 1), nn.BatchNorm2d(256),
        nn.ReLU(inplace=True), conv(256, 64, 1), nn.BatchNorm2d(64), conv(64, channels, 1),
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv(channels, 64, 0), nn.BatchNorm2d(64),
        conv(64, 128, 0), nn.BatchNorm2d(128), nn.ReLU(inplace=True), conv(128, 256, 0),
        nn.BatchNorm2d(256), conv(256, 256, 0), nn.BatchNorm2d(256), nn.ReLU(inplace=True),
    ]  # fmt: skip
    layer = SimpleBottleneck(
        nn.Sequential(*modules[:12]),
        nn.Sequential(*modules[12:]),
        SimpleQuantizer(8),
        SimpleDequantizer(8),
    )
    return SplittableResNet(layer, resnet50(weights=None), skips_avgpool=False, skips_fc=False)


def test_channel_reductions_answers_and_bytes_are_sc2benchs(tmp_path, image):
    name = "cr_bq_ic@6"
    model = _made(name, lambda: _released_cr_bq(6))
    _saved(model, _place(name, tmp_path))
    board, payload, logits = Deployed(_loaded(name, tmp_path), tmp_path).run(image)
    with torch.no_grad():
        sent = model.bottleneck_layer.encode(torch.from_numpy(image))["z"]
        np.testing.assert_allclose(
            logits, model(torch.from_numpy(image)).numpy(), rtol=1e-4, atol=1e-4
        )
    values, scale, zero = quantize(board["latent"])
    assert (scale, zero) == (float(sent.scale), sent.zero_point)
    np.testing.assert_array_equal(values, sent.tensor.numpy())
    assert payload.endswith(sent.tensor.numpy().tobytes())
    assert len(payload) - sent.tensor.numel() == 12
    with pytest.raises(CheckpointError, match=r"channels: 6, not 3"):
        prepare("cr_bq_ic@3", "cpu", None, str(_place(name, tmp_path)), "bundles")


@pytest.mark.parametrize(
    ("name", "trunk", "head"),
    [
        ("cr_bq_od@2", lambda: _released_cr_bq(2), split.faster_rcnn),
        (
            "end_to_end_ss@2.048e-7",
            lambda: splittable_resnet(_fp(num_bottleneck_channels=24), **_HEADS),
            split.deeplab,
        ),
    ],
)
def test_a_body_and_its_head_are_loaded_whole(name, trunk, head, tmp_path):
    """Detection and segmentation files: every tensor of sc2bench's model is in ours."""
    model = head(_made(name, trunk))
    _saved(model, _place(name, tmp_path))
    network = _loaded(name, tmp_path)
    ours = (network.segmenter or network.rcnn).state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(ours[key], value), key


_LAYERS = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]


def _configs(place):
    cut = _LAYERS.index(place) + 1
    decoder = {"sequential": _LAYERS[cut:], "ignored": not _LAYERS[cut:]}
    return {
        "encoder_config": {"sequential": _LAYERS[:cut]},
        "decoder_config": decoder,
        "classifier_config": {"sequential": ["fc"]},
    }


@pytest.mark.parametrize("place", ["layer3", "avgpool"])
def test_a_placed_bottlenecks_answers_and_bytes_are_sc2benchs(place, tmp_path, image):
    name = f"resnet50_{place}_eb@1.0e-10"
    with seeded(name):
        channels = {"layer3": 1024, "avgpool": 2048}[place]
        model = EntropicClassifier(
            resnet50(weights=None),
            compression_model_kwargs={"entropy_bottleneck_channels": channels},
            **_configs(place),
        ).eval()
    model.update()
    _saved(model, _place(name, tmp_path))
    deployed = Deployed(_loaded(name, tmp_path), tmp_path)
    board, _, logits = deployed.run(image)
    with torch.no_grad():
        features = model.encoder(torch.from_numpy(image))
        due = model.entropy_bottleneck.compress(features)["strings"][0][0]
        np.testing.assert_allclose(
            logits, model(torch.from_numpy(image)).numpy(), rtol=1e-4, atol=1e-4
        )
    assert RangeCoder(deployed.tables[0], "compressai").encode(board["latent"])[0] == due
    inner = model.entropy_bottleneck.entropy_bottleneck
    assert deployed.tables[0].id == Tables.from_compressai(inner).id


@pytest.mark.parametrize(("format", "place"), [("JPEG", "layer2"), ("WEBP", "layer1")])
def test_feature_images_answers_are_sc2benchs(format, place, tmp_path, image):
    name = f"resnet50_{place}_{format.lower()}@90"
    with seeded(name):
        whole = resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "resnet50-0676ba61.pth")
    codec = PILTensorModule(format=format, quality=90, returns_file_size=True)
    model = CodecFeatureCompressionClassifier(
        whole, "cpu", codec_encoder_decoder=codec, **_configs(place)
    ).eval()
    deployed = Deployed(_loaded(name, tmp_path), tmp_path)
    board, payload, logits = deployed.run(image)
    with torch.no_grad():
        features, size = codec(model.encoder(torch.from_numpy(image))[0])
        np.testing.assert_allclose(
            logits, model(torch.from_numpy(image)).numpy(), rtol=1e-4, atol=1e-4
        )
    decoded = deployed.codecs[0].decode(payload, INPUT)["latent"]
    np.testing.assert_allclose(decoded[0], features.numpy(), rtol=1e-5, atol=1e-6)
    # sc2bench counts its files and two pickled lists of extrema; ours are 8 bytes an image.
    images = -(-board["latent"].shape[1] // 3) + (board["latent"].shape[1] % 3 == 2)
    assert 0 < len(payload) - images * 8 < size


IRREGULAR = [
    "ilsvrc2012/fine-tuning/ilsvrc2012-resnet50-eb_after_layer4-beta5.0e-4.pt",
    "ilsvrc2012/fine-tuning/ilsvrc2012-resnet50-eb_after_avgpool-beta1.0e-1.pt",
    *(
        "ilsvrc2012/supervised_compression/entropic_student/ilsvrc2012-splittable_" + name
        for name in (
            "resnet50-mshp-beta3.84_from_resnet50.pt",
            "regnety6.4gf-fp-beta7.68_from_regnety6.4gf.pt",
            "regnety6.4gf-mshp-beta4.48_from_regnety6.4gf.pt",
            "hybrid_vit_small_r26_s32_224-mshp-beta20.48_from_hybrid_vit_small_r26_s32_224.pt",
        )
    ),
    "coco2017/supervised_compression/end-to-end/"
    "coco2017-faster_rcnn_splittable_resnet50-fp-beta3.2768e-6_fpn.pt",
    "coco2017/supervised_compression/ghnd-bq/"
    "coco2017-faster_rcnn_resnet50-bq9ch_fpn_from_faster_rcnn_resnet50_fpn.pt",
    "pascal_voc2012/supervised_compression/end-to-end/"
    "pascal_voc2012-deeplabv3_splittable_resnet50-fp-beta1.024e-7.pt",
    "pascal_voc2012/supervised_compression/entropic_student/"
    "pascal_voc2012-deeplabv3_splittable_resnet50-fp-beta0.16_from_deeplabv3_resnet50.pt",
]


def test_every_checkpoint_of_the_release_has_a_rate_point():
    """144 files of v0.0.3's configurations, each for one rate point; some names follow no rule."""
    families = ("entropic_student", "channel_reduction", "end_to_end", "placement")
    paths = [
        checkpoint.paths[0]
        for system in zoo.systems().values()
        for rate in zoo.rates(system)
        for checkpoint in system.checkpoints(rate)
        if system.family in families and checkpoint.archive
    ]
    assert len(paths) == len(set(paths)) == 144
    assert set(IRREGULAR) <= set(paths)
