"""docs/adding-a-model.md does what it says: one file makes a model that exports and verifies."""

import re
import sys

import pytest
import torch
from torchvision import models

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.verify.verify import verify
from splitwatt.export import cli, zoo
from splitwatt.export.weights.random_weights import seeded
from tests.conftest import ROOT


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The page's file as if it lay in export/zoo/; the name of the model that the page exports."""
    page = (ROOT / "docs" / "adding-a-model.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = re.search(r"`export/zoo/(\w+)\.py`", page).group(1)
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.setattr(zoo, "__path__", [*zoo.__path__, str(tmp_path)])
    zoo._packaged.cache_clear()
    yield re.search(r"export --model (\S+)", page).group(1)
    zoo._packaged.cache_clear()
    sys.modules.pop(f"splitwatt.export.zoo.{module}", None)


@pytest.mark.parametrize("rate", ["8bit", "entropic"])
def test_the_page_s_model_takes_torchvisions_weights(example, rate, tmp_path):
    with seeded("torchvision's"):
        model = models.mobilenet_v2(weights=None)
    path = tmp_path / "mobilenet_v2-b0353104.pth"
    torch.save(model.state_dict(), path)
    name = f"{example.split('@')[0]}@{rate}"
    arguments = ["--model", name, "--target", "cpu", "--weights", str(path)]
    assert cli.export([*arguments, "--bundles", str(tmp_path / "bundles")]) == 0
    weights = Bundle.open(str(tmp_path / "bundles" / "cpu" / name)).manifest.weights
    assert weights.trained
    fitted = [note for note in weights.notes if "entropy tables fitted" in note]
    assert len(fitted) == (rate == "entropic")


def test_the_page_s_model_exports_and_verifies(example, tmp_path, capsys):
    assert cli.models([]) == 0
    assert example.split("@")[0] in capsys.readouterr().out
    arguments = ["--model", example, "--target", "cpu", "--weights", "random"]
    assert cli.export([*arguments, "--bundles", str(tmp_path / "bundles")]) == 0
    bundle = Bundle.open(str(tmp_path / "bundles" / "cpu" / example))
    checks = list(verify(bundle))
    assert checks and all(check.passed for check in checks), checks
    assert [part.placement for part in bundle.manifest.parts] == ["board", "server", "server"]
