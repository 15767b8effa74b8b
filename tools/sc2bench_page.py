"""The table of docs/adding-a-model.md: which student configs of public repositories build here, and why not.

`python -m tools.sc2bench_page GIT_DIR...` reads every YAML under configs/ of the newest commit of each
repository, builds its student without weights, gives it weights of its own in sc2bench's layout, and
writes the table into the page.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.export.sc2bench.config import read, system

PAGE = Path(__file__).resolve().parent.parent / "docs" / "adding-a-model.md"
_MARKS = re.compile(r"(?s)(<!-- rows -->\n).*?(<!-- end of rows -->)")


def configs(git_dir: str) -> Iterator[tuple[str, str]]:
    """Path and text of each config of a repository's newest commit."""
    git = ["git", "--git-dir", git_dir]
    listed = subprocess.check_output([*git, "ls-tree", "-r", "HEAD", "--name-only"], text=True)
    for path in listed.splitlines():
        if "configs/" in path and path.endswith(".yaml"):
            yield path, subprocess.check_output([*git, "show", f"HEAD:{path}"], text=True)


def outcome(text: str, seen: dict[str, str]) -> str:
    """`builds`, or the sentence that says why not; equal models are built once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            models = read(str(path))["models"]
            key = re.sub(r"[^\s\"]*/[^\s\"]*|beta[\d.e-]+", "", json.dumps(models, default=str))
            if key not in seen:
                with torch.no_grad():
                    network: Any = system(str(path)).build(None)
                    if hasattr(network, "bottleneck"):
                        network.bottleneck.layer.update()
                    network.parts()
                seen[key] = "builds"
            return seen[key]
        except SplitwattError as error:
            return error.message.replace(f"{path}: ", "")


def table(repositories: list[str]) -> str:
    """A row for each folder and outcome."""
    counts: dict[tuple[str, str, str], int] = {}
    seen: dict[str, str] = {}
    for git_dir in repositories:
        name = Path(git_dir).resolve().parent.name.split("+")[-1]
        for path, text in configs(git_dir):
            row = (name, str(Path(path).parent), outcome(text, seen))
            counts[row] = counts.get(row, 0) + 1
    lines = ["| repository | folder | configs | outcome |\n", "|---|---|---|---|\n"]
    lines += [f"| {a} | {b} | {count} | {c} |\n" for (a, b, c), count in sorted(counts.items())]
    return "\n" + "".join(lines) + "\n"


def write(repositories: list[str]) -> None:
    """Put the table between the page's marks."""
    made: Any = table(repositories)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_MARKS.sub(lambda m: m.group(1) + made + m.group(2), text), encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
