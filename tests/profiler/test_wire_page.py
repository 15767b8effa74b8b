"""The page on the wire is enough to write a client, and the API page's example runs."""

import re
import subprocess
import sys

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from tests.conftest import ROOT


def example(page):
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S)
    return code


def run(code, cwd, *arguments):
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_a_client_written_after_the_page_gets_the_answer(server, tiny, photographs, tmp_path):
    with WholePipeline(Bundle.open(str(tiny / "cpu" / "tiny@1"))) as pipeline:
        due = pipeline.run(decode_image(str(photographs[0])))
    (tmp_path / "board.bin").write_bytes(due.payload)
    code = example("wire.md")
    assert "splitwatt" not in code
    host = server.url.split("//")[1]
    printed = run(code, tmp_path, host, "tiny@1", "board.bin", *due.sizes.tolist())
    scores = due.answer["classification"]["scores"]
    assert printed.split() == [
        str(due.answer["classification"]["labels"][0]), str(float(scores[0]))
    ]  # fmt: skip


def test_the_example_of_the_api_page_runs(bundles, tmp_path):
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "cpu").symlink_to(bundles)
    printed = run(example("api.md"), tmp_path)
    assert "payload: " in printed and "encoder" in printed and "mask: (" in printed
