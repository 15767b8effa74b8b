"""Training on backbones of many timm families: what is exported computes what was trained.

Weights are random, fitted so that activations stay in range; a run has three iterations.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.export import cli
from splitwatt.export.networks.backbones import make_timm, timm_config
from splitwatt.export.networks.gained_split import GainedSplit
from splitwatt.export.networks.timm_cut import Cut
from splitwatt.export.training.__main__ import main
from splitwatt.export.training.loop import Pool, Training
from splitwatt.export.training.photographs import Photograph, random_crop
from splitwatt.export.training.recipe import preprocess_of
from splitwatt.export.weights.random_weights import fit_batch_norms, level, seeded
from splitwatt.export.zoo.trained import RATES
from tests.conftest import COMMAND, ROOT
from tests.export.test_trained_bundle import check_bundle, filled

pytestmark = pytest.mark.long

CLASSES = 10
# timm's name, where it is split, and the shape of the latent: of maps, of maps with channels last,
# of tokens.
TRAINED = {
    "test_resnet": ("layer2.0", (48, 20, 20)),
    "test_efficientnet": ("blocks.2.0", (32, 20, 20)),
    "mobilenetv3_small_050": ("blocks.2.0", (24, 14, 14)),
    "regnetx_002": ("s3.b1", (64, 14, 14)),
    "test_convnext": ("stages.1.blocks.0", (32, 20, 20)),
    "test_vit": ("blocks.1", (64, 1, 101)),
    "test_mambaout": ("stages.1.downsample", (32, 20, 20)),
}
# Other families, only cut, not exported.
CUT = {
    "densenet121": "features.denseblock2",
    "ghostnet_050": "blocks.4.0",
    "levit_128s": "stages.0.blocks.0",
    "mobilenetv4_conv_small_035": "blocks.2.0",
    "pvt_v2_b0": "stages.1",
    "swin_s3_tiny_224": "layers.1.blocks.0",
    "vgg11": "features.6",
}


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def backbone_of(name):
    """With random weights whose classes differ from image to image."""
    with seeded(name):
        backbone = make_timm(name, CLASSES)
        side = backbone.default_cfg["input_size"][-1]
        images = torch.randn(4, 3, side, side)
        with torch.no_grad():
            fit_batch_norms([backbone], lambda: backbone(images))
            level(backbone.get_classifier(), backbone(images), 4.0)
    return backbone


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_backbone_exports_and_its_bundle_computes_the_same(
    name, pictures, tmp_path, capsys
):
    at, latent = TRAINED[name]
    backbone = backbone_of(name)
    torch.save({"model": backbone.state_dict(), "classes": list("abcdefghij")}, tmp_path / "w.pth")
    out = tmp_path / "mine"
    arguments = ["--backbone", name, "--split", at, "--weights", str(tmp_path / "w.pth"), "--name",
                 "mine", "--images", str(pictures), "--crops", "8", "--iterations", "2"]  # fmt: skip
    assert main([*arguments, "--out", str(out)]) == 0
    models = ["--model", "mine@4", "--model", "mine_local", "--target", "cpu"]
    export = ["--zoo", str(out / "zoo.py"), *models, "--bundles", str(tmp_path), "--json"]
    assert cli.export(export) == 0 and '"kept": true' not in capsys.readouterr().out
    assert cli.export(export) == 0 and '"kept": false' not in capsys.readouterr().out
    bundle = Bundle.open(str(tmp_path / "cpu" / "mine@4"))
    assert bundle.manifest.part("encoder").outputs[0].shape == (1, *latent)
    assert bundle.manifest.postprocess["classification"].labels == list("abcdefghij")
    split = GainedSplit(Cut(backbone, at, backbone.default_cfg["input_size"][-1]), len(RATES))
    check_bundle(bundle, filled(split, out / "mine.safetensors"), RATES.index("4"))
    assert json.loads((out / "training.json").read_text())["iterations"] == 2


@pytest.mark.parametrize("name, at", CUT.items())
def test_the_pieces_of_a_backbone_answer_as_the_whole(name, at):
    with seeded(name), torch.no_grad():
        backbone = make_timm(name, CLASSES)
        side = backbone.default_cfg["input_size"][-1]
        images = torch.randn(2, 3, side, side)
        cut = Cut(backbone, at, side)
        features = cut.before(cut.front(images))
        maps = cut.maps(features)
        assert maps.shape == (2, *cut.latent) and torch.equal(cut.own(maps), features)
        made = cut.after(features)
        assert made.shape == (2, *cut.features)
        assert torch.equal(cut.tail(made), backbone(images))


@pytest.mark.parametrize(
    "name, at, said",
    [
        ("test_resnet", "layer9", "cannot be split at 'layer9'"),
        ("test_resnet", "layer2.0.conv1", "cannot be split at 'layer2.0.conv1'"),
        ("test_resnet", "", "say at which module to split timm's test_resnet"),
    ],
)
def test_a_module_that_cannot_end_the_encoder_is_one_sentence_with_those_that_can(name, at, said):
    with pytest.raises(UsageError, match=said) as caught:
        Cut(make_timm(name), at, 160)
    assert caught.value.remedy == "--split may be layer1.0, layer2.0, layer3.0, layer4.0"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--backbone", "resnet81"], "unknown timm model 'resnet81'; did you mean"),
        (["--backbone", "resnet18.mine"], "unknown timm model 'resnet18.mine'; did you mean"),
        (
            ["--backbone", "test_resnet"],
            "give a file with --weights, or download timm's: python -c",
        ),
        (["--backbone", "test_resnet", "--weights", "no.pth"], "there is no file or folder no.pth"),
        (["--backbone", "test_resnet", "--name", "../a"], "'../a' is not a model name"),
        (["--name", "resnet50"], "the name resnet50 is taken by a packaged model"),
        (["--crops", "0"], "--iterations and --crops must be at least 1"),
    ],
)
def test_bad_input_is_one_sentence_and_makes_nothing(
    arguments, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_of_another_backbone_are_refused_by_their_tensors(tmp_path, capsys):
    torch.save(backbone_of("test_vit").state_dict(), tmp_path / "vit.pth")
    arguments = ["--backbone", "test_resnet", "--split", "layer2.0", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--weights", str(tmp_path / "vit.pth")]) == 1
    said = capsys.readouterr().err
    assert "vit.pth does not fit: it lacks conv1" in said and "has unknown cls_token" in said
    assert not (tmp_path / "out").exists()


def test_the_commands_of_the_page_lead_from_images_to_tables(pictures, tmp_path):
    """As they are written, with a smaller ResNet, fewer crops and fewer iterations."""
    page = (ROOT / "docs" / "trained.md").read_text().partition("## On another backbone\n")[2]
    page = page.replace("resnet18", "test_resnet").replace("inferences: 20", "inferences: 2")
    commands, config = re.findall(r"```(?:yaml)?\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(config)
    torch.save(backbone_of("test_resnet").state_dict(), tmp_path / "test_resnet.pth")
    shutil.copytree(pictures, tmp_path / "photos")
    for line in commands.splitlines():
        words = shlex.split(line)
        command = [sys.executable, *words[1:], "--crops", "8", "--iterations", "2"]
        command = command if words[0] == "python" else [*COMMAND, *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    report = json.loads((tmp_path / "paper" / "report.json").read_text())["tables"]
    rows = {row["config"]: row for row in report["summary"]["rows"]}
    assert set(rows) == {"Local", "JPEG 30", "Split 3"}
    assert rows["Split 3"]["payload_kib"]["sources"] == ["measured"]
    assert (tmp_path / "paper" / "latex" / "table_summary.tex").is_file()


# Crop shares of 0.875, 0.9 (248.9 pixels), 0.95 and 1, the last of a squashed image.
@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "swin_tiny_patch4_window7_224", "coat_lite_medium_384"]
)
def test_an_image_is_prepared_as_timm_does(name):
    config = timm_config(name)
    photo = Image.open(default_photos()[0]).convert("RGB").resize((311, 290))
    due = timm.data.create_transform(
        config.input_size,
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
        crop_pct=config.crop_pct,
        crop_mode=config.crop_mode,
    )(photo)
    tensor = preprocess(np.asarray(photo), preprocess_of(config, name))[0]
    np.testing.assert_allclose(tensor[0], due, atol=1e-4)


@pytest.mark.parametrize("name", ["vit_base_patch16_sapiens2", "deepseek_vit_412m"])
def test_a_backbone_for_other_images_is_refused(name):
    with pytest.raises(UsageError, match=f"timm tests {name} on images of"):
        preprocess_of(timm_config(name), name)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (300, 2, 3)])
def test_the_smallest_photographs_give_crops(shape):
    photograph = Photograph("x", np.full(shape, 7, np.uint8), False)
    for seed in range(20):
        crop = random_crop([photograph], [], np.random.default_rng(seed), 16)
        assert crop.shape == (16, 16, 3) and (crop == 7).all()


@pytest.mark.parametrize("seed", ["-1", "2147483648"])
def test_a_seed_that_no_generator_takes_is_one_sentence(capsys, seed):
    assert main(["--seed", seed]) == 1
    assert "--seed must be a number from 0" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive"])
def test_damaged_features_are_computed_again_and_a_damaged_state_is_no_state(tmp_path, damage):
    path = tmp_path / "kept"
    made = Pool(*(np.full((2, 3), i, np.float16) for i in range(3)))
    path.write_bytes(damage)
    pool = Pool.kept(path, lambda: made)
    assert pool.logits.tolist() == made.logits.tolist()
    assert Pool.kept(path, lambda: pytest.fail("kept")).logits.tolist() == made.logits.tolist()
    path.write_bytes(damage)
    run = Training.__new__(Training)
    assert run.resume(path) is False
