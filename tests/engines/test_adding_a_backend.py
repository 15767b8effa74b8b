"""docs/adding-a-backend.md does what it says: one file and one row make a backend."""

import ast
import re

import pytest

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines import backends
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.verify.verify import verify
from tests.board.tiny import tiny_bundle
from tests.conftest import ROOT


@pytest.fixture
def backend(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "adding-a-backend.md").read_text()
    code, row = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ((name, module),) = ast.literal_eval(row).items()
    (tmp_path / (module.split(".")[-1] + ".py")).write_text(code)
    # As if the file lay in engines/backends/.
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(tmp_path)])
    monkeypatch.setitem(backends.BACKENDS, name, module)
    return name


def test_the_page_s_backend_runs_a_bundle(backend, tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny", photos=1))
    checks = list(verify(bundle, backend))
    answers = [check for check in checks if not check.name.startswith("range coder")]
    assert len(answers) == 4 and all(check.passed for check in checks), checks


def test_it_says_what_it_cannot_load(backend, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError):
        backends.load_engine(backend, str(tmp_path / "x.onnx"))
