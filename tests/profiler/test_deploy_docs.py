"""The programs of docs/deploy.md run as they are printed there."""

import math
import re
import shutil
import statistics
import subprocess
import sys

from tests.conftest import ROOT


def test_the_program_for_a_board_runs(tmp_path, tiny, server, photographs):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.S)
    shutil.copytree(tiny / "cpu" / "tiny@1", tmp_path / "bundles" / "cpu" / "ladon_r50@5.12")
    shutil.copy(photographs[0], tmp_path / "photo.jpg")
    program = program.replace("http://127.0.0.1:8080", server.url)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"\w.* \d+ bytes sent\n", result.stdout)


def test_the_numbers_of_the_page_on_many_boards_are_those_of_the_formulas():
    """Recomputed from the example's run; the search for one queue is another one than the page's."""
    from splitwatt.profiler.analyse.carried import Service, service_of
    from splitwatt.profiler.links.link import framed_bytes
    from splitwatt.profiler.records.run import read_run

    page = " ".join((ROOT / "docs" / "scale.md").read_text().split())
    run = read_run(str(ROOT / "examples" / "table3-cpu" / "run"))
    measured = service_of(run, "Ours3")
    assert f"{1000 * measured.mean_s:.0f} ms (squared" in page
    assert f"variation {measured.squared_variation:.3f};" in page
    boards = 100_000
    for name, mean_s in (("607 ms", measured.mean_s), ("10 ms", 0.01), ("2 ms", 0.002)):
        alone = Service(1, mean_s, measured.squared_variation).expected(1.0, 1.0)
        eight = Service(8, mean_s, measured.squared_variation).expected(1.0, 1.0)
        one = math.ceil(boards * mean_s)
        while Service(one, mean_s, measured.squared_variation).late_share(boards, 1.0) > 0.01:
            one += 1
        own = f"{math.ceil(boards / alone):,}" if alone else "-"
        cells = f"| {alone} | {own} | {8 * math.ceil(boards / eight):,} | {one:,} |"
        row = next(line for line in page.split("|---|---|---|---|---|---|")[1].split(" | | ")
                   if line.strip("| ").startswith(name))  # fmt: skip
        assert cells.strip("| ") in row, (name, cells)
    samples = run.measured("Ours3")
    up = framed_bytes(samples[0].published_payload_bytes + samples[0].wire_up_bytes
                      - samples[0].payload_bytes)  # fmt: skip
    down = statistics.median(framed_bytes(sample.wire_down_bytes) for sample in samples)
    assert f"{up:,} bytes" in page and f"{8e-9 * boards * up:.1f} Gbit/s up" in page
    assert f"{down:,.0f} bytes" in page and f"{8e-9 * boards * down:.1f} Gbit/s down" in page
