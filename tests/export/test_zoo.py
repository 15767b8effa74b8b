"""The zoo: its names, what it says, and that saying it needs no PyTorch."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.pipeline.preprocess import preprocess as run
from splitwatt.export import experiment, zoo
from tests.conftest import ROOT, splitwatt

LOCAL = [
    "mobilenet_v3_large", "mobilenet_v2", "mnasnet1_3", "mnasnet0_5", "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn",
    "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large",
]  # fmt: skip
STUDENT_RATES = ("0.32", "0.64", "1.28", "2.56", "5.12", "10.24")
LADON_RATES = ("0.32", "1.28", "5.12", "10.24", "20.48")


def test_every_system_of_the_paper_is_there():
    known = zoo.systems()
    assert set(LOCAL) <= set(known)
    for task in ("ic", "od", "ss"):
        assert known[f"entropic_student_{task}"].rates[:6] == STUDENT_RATES
        assert known[f"entropic_student_{task}"].assumed == {"10.24"}
    for name in ("ladon_r50", "ladon_resnest269e"):
        assert known[name].rates == LADON_RATES
        assert known[name].tasks == ("classification", "detection", "segmentation")


def test_a_bare_name_is_its_first_rate_point():
    system, rate = zoo.find("ladon_r50")
    assert zoo.full_name(system, rate) == "ladon_r50@0.32"
    system, rate = zoo.find("mobilenet_v2")
    assert zoo.full_name(system, rate) == "mobilenet_v2"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ladon_r05", "ladon_r50"),
        ("ladon_r50@0.33", "0.32, 1.28"),
        ("mobilenetv3_large", "mobilenet_v3_large"),
        ("entropic_student_id@1.28", "entropic_student_ic@1.28"),
        ("mobilenet_v2@0.32", "write mobilenet_v2"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, meant):
    with pytest.raises(UsageError) as error:
        zoo.find(name)
    assert meant in str(error.value)


@pytest.mark.parametrize("config", sorted((ROOT / "profiler" / "configs").glob("*.yaml")))
def test_every_model_of_a_packaged_config_is_found(config):
    names = experiment.models(str(config))
    assert names
    for name in names:
        system, rate = zoo.find(name)
        assert zoo.full_name(system, rate) == name


def test_ladons_published_segmentation_is_a_square():
    """As resized by its authors' configurations: torchvision's resize to (416, 416), normalised."""
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (375, 500, 3), np.uint8))
    preprocess = zoo.systems()["ladon_r50"].published_preprocess["segmentation"]
    due = functional.normalize(
        functional.to_tensor(functional.resize(photo, [416, 416])),
        [0.485, 0.456, 0.406], [0.229, 0.224, 0.225],
    )  # fmt: skip
    prepared = run(np.asarray(photo), preprocess)
    np.testing.assert_allclose(prepared.tensor[0], due.numpy(), atol=1e-5)


def test_models_prints_the_contract():
    rows = json.loads(splitwatt("models", "--json").stdout)
    assert {"name", "family", "paper", "tasks", "rates"} <= set(rows[0])
    assert [row["name"] for row in rows] == list(zoo.systems())
    for row in rows:
        assert len(row["paper"]) > 20 and row["citation"] and "\n" not in row["citation"], row
        assert row["tasks"] and isinstance(row["rates"], list)
    text = splitwatt("models").stdout
    for row in rows:
        assert row["paper"] in text
    assert "5.2 M" in text and "3.4 M" in text  # SSDLite: torchvision's and the paper's
    factorized = next(row for row in rows if row["name"] == "bmshj2018_factorized+resnet50")
    assert (
        "Scale Hyperprior, ICLR 2018" in factorized["citation"]
    )  # SC2's [18], as CompressAI's name


def test_weights_tells_file_place_and_page():
    files = json.loads(splitwatt("weights", "ladon_r50@5.12", "--json").stdout)["files"]
    assert [file["put"] for file in files] == [
        "resource/ckpt/ilsvrc2012/ladon/"
        "ilsvrc2012-splittable_resnet50-fp-beta5.12_from_resnet50.pt",
        "resource/ckpt/coco2017/ladon/coco2017-faster_rcnn_splittable_resnet50-fp-beta5.12_fpn.pt",
        "resource/ckpt/pascal_voc2012/ladon/"
        "pascal_voc2012-deeplabv3_splittable_resnet50-fp-beta5.12.pt",
    ]
    assert all("releases/tag/wacv2025" in file["url"] for file in files)
    student = splitwatt("weights", "entropic_student_od@1.28").stdout
    assert "fp-beta1.28_fpn_from_faster_rcnn_resnet50_fpn.pt" in student
    assert "no weights were published" in splitwatt("weights", "entropic_student_ic@10.24").stdout
    assert "https://download.pytorch.org" in splitwatt("weights", "ssd300_vgg16").stdout
    assert not splitwatt("weights", "mbt2018@1+resnet50").stderr  # CompressAI's import warns


def test_torchvision_agrees_with_the_local_models_files():
    from torchvision.models import get_model_weights

    for name in LOCAL:
        (checkpoint,) = zoo.systems()[name].checkpoints(None)
        urls = [weights.url for weights in get_model_weights(name)]
        assert checkpoint.url in urls


def test_listing_the_zoo_does_not_load_pytorch():
    code = (
        "import sys; from splitwatt.export import cli; cli.models([]); "
        "cli.weights(['ladon_r50@0.32']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE)
