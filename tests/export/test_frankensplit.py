"""FrankenSplit against its paper's Tables 2, 5 and 6, and one encoder for every backbone."""

import copy
import functools

import pytest
import torch

from splitwatt.device_configs.errors import CheckpointError
from splitwatt.engines.rangecoder import Tables
from splitwatt.export import zoo
from splitwatt.export.graphs import frankensplit as graphs
from splitwatt.export.networks.backbones import make_timm
from splitwatt.export.networks.frankensplit import BLUEPRINTS, FrankenSplit
from splitwatt.export.tracing.pieces import parameters
from splitwatt.export.weights.checkpoints import read
from splitwatt.export.zoo.frankensplit import SYSTEMS

# Row -> timm's name, and of the paper: parameters in millions (Table 2), overhead in percent
# (Table 5).
PAPER = {
    "frankensplit_swin_t": ("swin_s3_tiny_224", 28.33, 2.51),
    "frankensplit_swin_s": ("swin_s3_small_224", 49.74, 1.41),
    "frankensplit_swin_b": ("swin_s3_base_224", 71.13, 1.00),
    "frankensplit_convnext_t": ("convnext_tiny", 28.59, 3.46),
    "frankensplit_convnext_s": ("convnext_small", 50.22, 1.97),
    "frankensplit_convnext_b": ("convnext_base", 88.59, 0.90),
    "frankensplit_resnet50": ("resnet50", 25.56, 3.50),
    "frankensplit_resnet101": ("resnet101", 44.55, 2.01),
    "frankensplit_resnet152": ("resnet152", 60.19, 1.48),
}
TABLE_5_TOLERANCE = 0.10


@functools.cache
def encoder_parameters(channels):
    with torch.device("meta"):
        return parameters([graphs.Encoder(channels)])


def test_the_rows_are_the_papers_backbones_and_sizes():
    names = [system.name for system in SYSTEMS]
    assert names == [*PAPER, "frankensplit_m_swin_b", "frankensplit_l_swin_b"]
    assert {system.name for system in SYSTEMS} <= set(zoo.systems())


def shallow(backbone):
    """What a blueprint replaces: the embedding, two stages, and the reduction after them."""
    for embedding, name in (("patch_embed", "layers"), ("stem", "stages")):
        if hasattr(backbone, embedding):
            stages = list(getattr(backbone, name))
            return [getattr(backbone, embedding), *stages[:2], stages[2].downsample]
    return [backbone.conv1, backbone.bn1, backbone.layer1, backbone.layer2]


@pytest.mark.parametrize("name", PAPER)
def test_parameters_and_overhead_are_those_of_tables_2_and_5(name):
    """Overhead: encoder and decoder less what they replace, of the backbone's parameters."""
    timm_name, millions, percent = PAPER[name]
    with torch.device("meta"):
        backbone = make_timm(timm_name)
        decoder = BLUEPRINTS[timm_name].decoder(48)
    whole = parameters([backbone])
    added = encoder_parameters(48) + parameters([decoder])
    replaced = parameters(shallow(backbone))
    overhead = 100 * (added - replaced) / whole
    assert whole / 1e6 == pytest.approx(millions, abs=0.006)
    rest = parameters(graphs.Tail(copy.copy(backbone)).counted)
    assert whole == rest + replaced
    assert overhead == pytest.approx(percent, rel=TABLE_5_TOLERANCE)


def test_encoder_and_decoder_are_those_of_table_6():
    with torch.device("meta"):
        decoder = BLUEPRINTS["swin_s3_base_224"].decoder(48)
    assert round(encoder_parameters(48) / 1e6, 2) == 0.14
    assert round(parameters([decoder]) / 1e6, 2) == 2.06
    sizes = [encoder_parameters(channels) for channels in (48, 96, 128)]
    assert sizes == sorted(sizes) and sizes[2] < 2.5 * sizes[0]


def test_the_latent_is_48_by_28_by_28():
    assert graphs.Encoder(48)(torch.zeros(1, 3, 224, 224)).shape == (1, 48, 28, 28)
    assert graphs.LATENT_SIDE == 28


@pytest.fixture(scope="module")
def two():
    """Two backbones of one rate point, their encoders fitted."""
    made = []
    for backbone in ("resnet50", "swin_s3_tiny_224"):
        torch.manual_seed(len(made))
        network = FrankenSplit(backbone, 48, "0.256", "frankensplit@0.256/encoder")
        with torch.no_grad():
            generator = torch.Generator().manual_seed(1)
            network._fit_encoder(torch.rand(2, 3, 224, 224, generator=generator))
        made.append(network)
    return made


def test_weights_are_loaded_and_unknown_ones_refused(two, tmp_path):
    """The three state_dicts and a timm file of one network make another give the same."""
    source, _ = two
    names = {"encoder": source.encoder, "entropy_bottleneck": source.bottleneck,
             "decoder": source.decoder}  # fmt: skip
    state = {f"{n}.{k}": v for n, module in names.items() for k, v in module.state_dict().items()}
    torch.manual_seed(7)
    whole = make_timm("resnet50").eval()
    torch.save(state, tmp_path / "compressor.pt")
    torch.save(whole.state_dict(), tmp_path / "backbone.pt")
    files = {role: read(str(tmp_path / f"{role}.pt")) for role in ("compressor", "backbone")}
    target = FrankenSplit("resnet50", 48, "0.256", "another")
    assert target.load(files) == []
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(target.encoder(image), source.encoder(image), rtol=0, atol=0)
        latent = source.encoder(image).round()
        torch.testing.assert_close(target.decoder(latent), source.decoder(latent), rtol=0, atol=0)
        features = whole.maxpool(whole.act1(whole.bn1(whole.conv1(image))))
        features = whole.layer2(whole.layer1(features))
        torch.testing.assert_close(target.tail(features), whole(image), rtol=0, atol=1e-5)
    ids = [Tables.from_compressai(network.bottleneck).id for network in (source, target)]
    assert ids[0] == ids[1]
    torch.save({**state, "student.weight": torch.zeros(2)}, tmp_path / "compressor.pt")
    files["compressor"] = read(str(tmp_path / "compressor.pt"))
    with pytest.raises(CheckpointError, match=r"neither .* student\.weight") as error:
        target.load(files)
    assert "\n" not in str(error.value)


def test_every_backbone_of_a_rate_has_the_same_encoder_and_tables(two):
    one, other = (network.encoder.state_dict() for network in two)
    assert all(torch.equal(one[key], other[key]) for key in one)
    ids = [Tables.from_compressai(network.bottleneck).id for network in two]
    assert ids[0] == ids[1]


def test_the_tail_is_the_rest_of_the_unmodified_backbone(two):
    """Features of the backbone's own shallow layers through our tail: timm's own logits."""
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    for network, name in zip(two, ("resnet50", "swin_s3_tiny_224"), strict=True):
        whole = make_timm(name)
        torch.nn.Module.load_state_dict(network.backbone, whole.state_dict(), strict=False)
        with torch.no_grad():
            due = whole(image)
            if name == "resnet50":
                x = whole.maxpool(whole.act1(whole.bn1(whole.conv1(image))))
                features = whole.layer2(whole.layer1(x))
            else:
                x = whole.layers[1](whole.layers[0](whole.patch_embed(image)))
                features = whole.layers[2].downsample(x)
            port = network.parts()[1].outputs[0]
            assert features.shape == port.shape
            torch.testing.assert_close(network.tail(features), due, rtol=0, atol=1e-5)
