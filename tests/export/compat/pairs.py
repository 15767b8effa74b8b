"""Every model of Table 3 on every board: exported, held against its tables, run on its Python.

    python -m tests.export.compat.pairs [--every-rate] [--targets nano,cpu] [--models a,b] [--keep FOLDER]

Prints a table as it goes. A model's rates differ in weights alone, never in their graphs, so one rate of each is
exported unless --every-rate is given. `tests/export/test_cut_bundles.py` holds a few of the pairs.
"""

import argparse
import glob
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx

from splitwatt.device_configs.targets import load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.fit import tables_of
from splitwatt.export.experiment import models
from tests.conftest import ROOT

TARGETS = ("nano", "xavier_nx", "orin_nano", "laptop", "cpu")
# What runs a target's bundles: this host, and the Python of its JetPack.
PYTHONS = {"nano": "3.6", "xavier_nx": "3.8"}


def chosen(every_rate: bool) -> list[str]:
    """The models of Table 3, all of them or the first rate of each."""
    first: dict[str, str] = {}
    for name in models("table3.yaml"):
        first.setdefault(name if every_rate else name.split("@")[0], name)
    return list(first.values())


def board_python(target: str) -> str | None:
    """The environment that tests/test_board_pythons.py makes for the target's Python."""
    version = PYTHONS.get(target)
    pythons = sorted(glob.glob(str(ROOT / "build" / f"python-{version}-*" / "bin" / "python")))
    return pythons[-1] if version and pythons else None


def run(python: str, *arguments: str) -> tuple[bool, str]:
    """Run the umbrella command on a Python."""
    result = subprocess.run(
        [python, "-m", "splitwatt", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    return result.returncode == 0, result.stdout


def findings(bundle: Bundle) -> int:
    """How many nodes of a bundle's files do not fit what is to run them."""
    count = 0
    for part in bundle.manifest.parts:
        tensorrt, runtime = tables_of(load_target(part.target))
        model = onnx.load(bundle.part_path(part.name))
        count += len(check_model(model, runtime))
        if part.runtime == "tensorrt" and tensorrt is not None:
            count += len(check_model(model, tensorrt))
    return count


def pair(model: str, target: str, folder: Path) -> tuple[bool, str]:
    """Export one model for one target and try it; whether all went well, and its row."""
    start = time.monotonic()
    exported, said = run(sys.executable, "export", "--model", model, "--target", target,
                         "--weights", "random", "--bundles", str(folder))  # fmt: skip
    seconds = time.monotonic() - start
    if not exported:
        return False, f"| {model} | {target} | **refused**: {said.strip().splitlines()[-1]} | | |"
    path = str(folder / target / model)
    bundle = Bundle.open(path)
    wrong = findings(bundle)
    cuts = [fit.part for fit in bundle.manifest.compat if fit.on_tensorrt == "cut"]
    tried = []
    fine = wrong == 0
    for python in (sys.executable, board_python(target)):
        if python is not None:
            passed, said = run(python, "verify", path)
            fine &= passed
            name = "host" if python == sys.executable else PYTHONS[target]
            tried.append(name if passed else f"**{name}: {said.strip().splitlines()[-1]}**")
    checked = f"{wrong} findings" if wrong else "passes"
    row = (model, target, f"{seconds:.0f}", checked, ", ".join(cuts) or "-", ", ".join(tried))
    return fine, "| " + " | ".join(row) + " |"


def main() -> int:
    """All pairs; 1 where one of them fails."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--every-rate", action="store_true")
    flags.add_argument("--targets", default=",".join(TARGETS))
    flags.add_argument("--models")
    flags.add_argument("--keep", help="a folder for the bundles, instead of one that is deleted")
    options = flags.parse_args()
    names = options.models.split(",") if options.models else chosen(options.every_rate)
    failed = 0
    start = time.monotonic()
    print("| model | target | export, s | check | cut | verified on |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for target in options.targets.split(","):
            for name in names:
                fine, row = pair(name, target, Path(options.keep or temporary))
                failed += not fine
                print(row, flush=True)
    count = len(names) * len(options.targets.split(","))
    print(f"\n{count - failed} of {count} pairs, {(time.monotonic() - start) / 60:.0f} minutes")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
