"""docs/adding-a-model.md does what it says: each of its files makes models that export and verify."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
from torchvision import models

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.verify.verify import verify
from splitwatt.export import cli, experiment, exporter, zoo
from splitwatt.export.spec import LoadedFile
from splitwatt.export.weights.random_weights import seeded
from splitwatt.profiler.config.config import load_config
from tests.conftest import ROOT, splitwatt

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adding-a-model.md").read_text(), re.S)
SHORT, EXAMPLE = BLOCKS[:-1], BLOCKS[-1]
NAME = "mobilenet_v2_split"


@pytest.fixture(autouse=True)
def _forget():
    yield
    zoo._own.clear()


@pytest.fixture
def example(tmp_path):
    """The page's whole file; its path."""
    path = tmp_path / f"{NAME}.py"
    path.write_text(EXAMPLE)
    return str(path)


@pytest.mark.parametrize("rate", ["8bit", "entropic"])
def test_the_page_s_model_takes_torchvisions_weights(example, rate, tmp_path):
    with seeded("torchvision's"):
        model = models.mobilenet_v2(weights=None)
    path = tmp_path / "mobilenet_v2-b0353104.pth"
    torch.save(model.state_dict(), path)
    name = f"{NAME}@{rate}"
    arguments = ["--zoo", example, "--model", name, "--target", "cpu", "--weights", str(path)]
    assert cli.export([*arguments, "--bundles", str(tmp_path / "bundles")]) == 0
    weights = Bundle.open(str(tmp_path / "bundles" / "cpu" / name)).manifest.weights
    assert weights.trained
    fitted = [note for note in weights.notes if "entropy tables fitted" in note]
    assert len(fitted) == (rate == "entropic")


def test_the_page_s_model_is_listed(example, capsys):
    assert cli.models(["--zoo", example]) == 0
    assert NAME in capsys.readouterr().out


def test_the_short_examples_have_at_most_ten_lines():
    assert len(SHORT) == 3 and all(len(block.splitlines()) <= 10 for block in SHORT)


@pytest.mark.parametrize(
    "block, name, classes",
    [
        (0, "narrow", 1000),
        (1, "small", 1000),
        (1, "birds", 100),
        (1, "prior", 1000),
        (2, "atto", 100),
    ],
)
def test_a_short_example_builds_a_network_of_its_sizes(tmp_path, block, name, classes):
    path = tmp_path / "mine.py"
    path.write_text(SHORT[block])
    zoo.add_file(str(path))
    network = zoo.find(name)[0].build(None)
    if name == "prior":
        network.bottleneck.layer.update()
    assert network.classes("classification") == classes
    if name != "atto":
        assert network.bottleneck.channels == 12


def test_a_timm_backbone_with_a_compressor_exports_and_verifies(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SHORT[2])
    arguments = ["--zoo", str(path), "--model", "atto", "--target", "cpu", "--weights", "random"]
    assert cli.export([*arguments, "--bundles", str(tmp_path)]) == 0
    bundle = Bundle.open(str(tmp_path / "cpu" / "atto"))
    checks = list(verify(bundle))
    assert checks and all(check.passed for check in checks), checks
    assert bundle.manifest.part("tail").outputs[0].shape == (1, 100)


@pytest.mark.parametrize(
    "text, said",
    [
        ("x = 1\nimport no_such_package\n", "line 2 does not import: ModuleNotFoundError"),
        ("x = 1\n\ndef f(:\n", "line 3 does not import: SyntaxError"),
        ("x = 1\n", "SYSTEMS must be a list of System"),
        ("SYSTEMS = [1]\n", "SYSTEMS must be a list of System"),
        ("SYSTEMS = 3\n", "SYSTEMS must be a list of System"),
        ("raise SystemExit(0)\n", "line 1 does not import: SystemExit: 0"),
        (
            "import sys\nraise ValueError('why\\nnot')\n",
            "line 2 does not import: ValueError: why not",
        ),
    ],
)
def test_a_broken_file_is_one_sentence_and_hides_no_other_model(tmp_path, example, text, said):
    broken = tmp_path / "broken.py"
    broken.write_text(text)
    with pytest.raises(UsageError) as caught:
        zoo.add_file(str(broken))
    assert said in caught.value.message and str(broken) in caught.value.message
    result = splitwatt("models", "--zoo", broken, "--zoo", example, check=False)
    assert result.returncode == 1 and NAME in result.stdout and "resnet50" in result.stdout
    assert said in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "change, said",
    [
        (
            ("mobilenet_v2(weights", "mobilenet_v2(wieghts"),
            "line 17 does not build mobilenet_v2_split",
        ),
        (
            ("build=build", "build=lambda: 3"),
            "mine.py does not build mobilenet_v2_split: TypeError",
        ),
        (("codec=EightBits()", "codec=no_codec"), "NameError: name 'no_codec' is not defined"),
    ],
)
def test_a_network_that_cannot_be_built_is_one_sentence(tmp_path, change, said):
    path = tmp_path / "mine.py"
    path.write_text(EXAMPLE.replace(*change))
    zoo.add_file(str(path))
    with pytest.raises(UsageError, match=said):
        zoo.find(NAME)[0].build("8bit")
    options = ["--target", "cpu", "--weights", "random", "--bundles", str(tmp_path)]
    with pytest.raises(UsageError, match=said):
        cli.export(["--zoo", str(path), "--model", f"{NAME}@8bit", *options])


def test_class_names_come_from_the_backbones_file_too(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SHORT[2])
    zoo.add_file(str(path))
    system = zoo.find("atto")[0]
    names = tuple(f"bird {number}" for number in range(100))
    states = {
        "compressor": LoadedFile("atto.pt", {}),
        "backbone": LoadedFile("backbone.pt", {}, labels=names),
    }
    request = SimpleNamespace(system=system, labels=None)
    heads = exporter._heads(request, system.build(None), states)
    assert heads["classification"].labels == list(names)


def test_a_backbone_that_the_compressor_is_not_for_is_one_sentence(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SHORT[2].replace("convnext_atto", "test_vit"))
    zoo.add_file(str(path))
    with pytest.raises(UsageError, match="Swin, ConvNeXt or ResNet of timm, not test_vit"):
        zoo.find("atto")[0].build(None)


@pytest.mark.parametrize("name", ["x@2", "a+b", "../a", "a b", "a-fp16", ""])
def test_a_name_that_is_no_model_name_is_refused(tmp_path, name):
    path = tmp_path / "mine.py"
    path.write_text(SHORT[0].replace("narrow", name))
    with pytest.raises(UsageError, match="is not a model name"):
        zoo.add_file(str(path))


def test_a_name_that_is_taken_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SHORT[0].replace('"narrow"', '"resnet50"'))
    with pytest.raises(UsageError, match="the name resnet50 is taken"):
        zoo.add_file(str(path))


def test_a_config_names_files_beside_itself(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("zoo: mine.py\nconfigurations:\n  A: {split: [narrow]}\n")
    assert experiment.zoo_files(str(config)) == [str(tmp_path / "mine.py")]
    assert experiment.models(str(config)) == ["narrow"]


def test_a_profile_takes_a_config_with_a_line_zoo(tmp_path, example):
    """The board's profiler reads the same file: a key that it refused would stop a run."""
    path = tmp_path / "c.yaml"
    path.write_text(
        f"format: 1\nname: mine\ninferences: 1\nzoo: {example}\n"
        f"configurations:\n  A: {{split: ['{NAME}@8bit']}}\n"
    )
    assert load_config(str(path)).models() == [f"{NAME}@8bit"]
    assert experiment.zoo_files(str(path)) == [str(example)]


OWN = "from splitwatt.export.own import student\n"
ROW = "import dataclasses\n" + OWN + "row = student('mine')\n"


def _zoo(folder, text, name="z.py"):
    path = folder / name
    path.write_text(text)
    zoo.add_file(str(path))
    return zoo.find("mine")[0]


def test_a_file_may_import_its_neighbours_now_and_when_a_model_is_built(tmp_path):
    (tmp_path / "neighbour_of_a_zoo_file.py").write_text("WIDTH = 12\n")
    text = """
from splitwatt.export.own import student
from neighbour_of_a_zoo_file import WIDTH
import dataclasses
def build(rate):
    from neighbour_of_a_zoo_file import WIDTH
    return WIDTH
SYSTEMS = [dataclasses.replace(student("mine", width=WIDTH), build=build)]
"""
    assert _zoo(tmp_path, text).build(None) == 12


def test_a_file_may_declare_dataclasses(tmp_path):
    text = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\n"
    text += "class Sizes:\n    width: int = 12\n" + OWN
    assert _zoo(tmp_path, text + "SYSTEMS = [student('mine', width=Sizes().width)]").name == "mine"


def test_an_error_names_the_line_of_a_relative_path_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "z.py").write_text("a = 1\nb = 2\nraise ValueError('no such width')\n")
    with pytest.raises(UsageError, match=r"^z\.py, line 3 does not import: ValueError: no such"):
        zoo.add_file("z.py")


def test_an_error_while_a_model_is_exported_names_the_line_of_its_file(tmp_path, capsys):
    text = EXAMPLE.replace(
        "    head = nn.Sequential(",
        "    class Broken(nn.Identity):\n        def forward(self, x):\n            return x['a']\n\n"
        "    head = nn.Sequential(Broken(), ",
    )
    path = tmp_path / "broken_network.py"
    path.write_text(text)
    options = ["--target", "cpu", "--weights", "random", "--bundles", str(tmp_path)]
    with pytest.raises(UsageError) as caught:
        cli.export(["--zoo", str(path), "--model", NAME, *options])
    line = text.splitlines().index("            return x['a']") + 1
    assert f"broken_network.py, line {line} fails in the export of {NAME}" in caught.value.message
    assert not (tmp_path / "cpu" / NAME).exists()


@pytest.mark.parametrize(
    "rows, said",
    [
        ("[row, dataclasses.replace(row, notes=('other',))]", "mine is taken by another row"),
        ("row", "SYSTEMS must be a list of System"),
        ("[dataclasses.replace(row, rates=(0.5, 1))]", "rates must be strings"),
        ("[dataclasses.replace(row, tasks='classification')]", "tasks must be a tuple"),
        ("[dataclasses.replace(row, tasks=('pose',))]", "tasks must be a tuple"),
        ("[dataclasses.replace(row, tasks=('detection',))]", "with a head in postprocess"),
        ("[dataclasses.replace(row, checkpoints=())]", "must be functions of the rate"),
    ],
)
def test_a_row_that_no_command_can_use_is_one_sentence(tmp_path, rows, said):
    with pytest.raises(UsageError) as caught:
        _zoo(tmp_path, ROW + f"SYSTEMS = {rows}")
    assert said in caught.value.message and "z.py" in caught.value.message


def test_two_files_cannot_have_a_model_of_one_name_and_one_may_be_named_twice(tmp_path):
    first = _zoo(tmp_path, OWN + "SYSTEMS = [student('mine', width=12)]")
    zoo.add_file(str(tmp_path / ".." / tmp_path.name / "z.py"))
    with pytest.raises(UsageError, match=r"the name mine is taken by .*z\.py"):
        _zoo(tmp_path, OWN + "SYSTEMS = [student('mine', width=3)]", "other.py")
    assert zoo.find("mine")[0].name == first.name


def test_what_a_file_prints_stays_out_of_json(tmp_path, capsys):
    path = tmp_path / "talks.py"
    path.write_text("print('hello')\n" + SHORT[0])
    assert cli.models(["--zoo", str(path), "--json", "narrow"]) == 0
    printed = capsys.readouterr()
    assert [row["name"] for row in json.loads(printed.out)] == ["narrow"]
    assert "hello" in printed.err


@pytest.mark.parametrize("more", ["channels=0", "num_classes=-1"])
def test_a_compressor_without_channels_or_classes_is_one_sentence(tmp_path, more):
    path = tmp_path / "none.py"
    path.write_text(SHORT[-1].replace("num_classes=100", more))
    with pytest.raises(UsageError, match="must be at least 1"):
        zoo.add_file(str(path))
