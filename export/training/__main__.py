"""`make trained`: photographs, crops, training, weights; goes on where it was stopped."""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.install import install_command
from splitwatt.export.training import crops, photographs
from splitwatt.export.training.photographs import Photograph
from splitwatt.export.weights.files import locate
from splitwatt.export.zoo.trained import BACKBONE, RATES

if TYPE_CHECKING:
    from torch import nn

    from splitwatt.export.training.loop import Training

SEED, ITERATIONS, CROPS = 1, 2800, 4000
_MAKES = ["--out", "build/trained"]  # what `make trained` gives
# Of held-out crops: how many of a photograph, their side in pixels, and how sure the backbone must be.
_EACH, _SIDE, _SURE = 7, 256, 0.3


def main() -> int:
    """Train split_lite0; returns an exit code."""
    flags = argparse.ArgumentParser(
        prog="python -m splitwatt.export.training",
        description="Train split_lite0 by distillation, without labels.",
        epilog="example: python -m splitwatt.export.training --images my/photographs --out mine",
    )
    add = flags.add_argument
    add("--out", default="build/trained", metavar="DIR", help="default: build/trained")
    add("--images", metavar="DIR", help="photographs of your own (default: Debian's packages)")
    add("--iterations", type=int, default=ITERATIONS, help=f"default: {ITERATIONS}")
    add("--crops", type=int, default=CROPS, help=f"crops to train with (default: {CROPS})")
    add("--seed", type=int, default=SEED, help=f"default: {SEED}")
    add("--only-held-out", action="store_true",
        help="write the held-out crops alone, to compare models on")  # fmt: skip
    options = flags.parse_args()
    try:
        return _run(options)
    except SplitwattError as error:
        note(str(error))
        return 1


def _run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    files = locate((BACKBONE,), None, "efficientnet_lite0", None)
    if files is None:
        raise UsageError("the backbone's weights are not installed", install_command("export"))
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    stamps: list[Photograph] = []
    if options.images:
        pictures = photographs.own(Path(options.images))
    else:
        photographs.fetch(out / "packages")
        pictures, stamps = photographs.load(out / "packages")
    training = [p for p in pictures if not p.held_out]
    _say(f"{len(training)} photographs and {len(stamps)} stamps to train with, "
         f"{len(pictures) - len(training)} photographs held out")  # fmt: skip

    import torch

    from splitwatt.export.networks.backbones import make_timm
    from splitwatt.export.networks.gained_split import LITE0, in_order, split_lite0
    from splitwatt.export.training.loop import DEVICE, Pool, Training
    from splitwatt.export.weights.checkpoints import read

    # More threads wait for each other where a machine does other work too; the bytes are the same.
    torch.set_num_threads(int(os.getenv("OMP_NUM_THREADS", "1")))
    torch.manual_seed(options.seed)
    backbone = make_timm(LITE0)
    in_order(backbone, read(files["model"]))
    _hold_out([p for p in pictures if p.held_out], backbone, out / "held-out")
    if options.only_held_out:
        return 0
    whole = copy.deepcopy(backbone.blocks[3]).requires_grad_(False)
    split: Any = split_lite0(backbone, len(RATES))  # PyTorch does not type this form of `to`
    split = split.to(DEVICE, memory_format=torch.channels_last)
    whole = whole.to(DEVICE)
    torch.backends.cudnn.deterministic = True

    def crop(number: int) -> np.ndarray:
        random = np.random.default_rng((options.seed, number))
        return crops.random_crop(training, stamps, random)

    pool = Pool.kept(out / f"pool-{options.seed}-{options.crops}.npz",
                     lambda: Pool.make(split, whole, crop, options.crops, _say))  # fmt: skip
    run = Training(split, pool, options.iterations, options.seed, began)
    state = out / "state.pt"
    if run.resume(state):
        _say(f"goes on at iteration {run.done} of {run.iterations}")
    else:
        run.start()
    run.run(state, _say)
    _write(run, options, out, len(training))
    return 0


def _hold_out(pictures: list[Photograph], backbone: nn.Module, folder: Path) -> None:
    """Write the crops of held-out photographs on which the backbone is sure enough."""
    import torch

    from splitwatt.export.training.loop import normalised

    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        images = crops.fixed_crops(picture, _EACH, _SIDE)
        edge = (_SIDE - crops.SIDE) // 2
        middle = np.stack([np.asarray(i)[edge:-edge, edge:-edge] for i in images])
        with torch.no_grad():
            sure = backbone(normalised(middle)).softmax(1).amax(1)
        for index, image in enumerate(images):
            if sure[index] >= _SURE:
                image.save(folder / f"{number:03d}-{index}.png")
    _say(f"{len(list(folder.iterdir()))} held-out crops in {folder}")


def _write(run: Training, options: argparse.Namespace, out: Path, photographs: int) -> None:
    import torch
    from safetensors.torch import save

    from splitwatt.export.networks.gained_split import shipped

    weights = out / "split_lite0.safetensors"
    write_atomic(str(weights), save(shipped(run.split)))
    stated = {
        "command": _command(sys.argv[1:]),
        "seed": options.seed,
        "iterations": run.iterations,
        "crops": options.crops,
        "photographs": photographs,
        "torch": torch.__version__,
        "machine": f"{_processor()}, {torch.get_num_threads()} of {os.cpu_count()} threads",
        "minutes": round(run.seconds / 60, 1),
    }
    write_atomic(str(out / "training.json"), json.dumps(stated, indent=2) + "\n")
    _say(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB")


def _command(arguments: list[str]) -> str:
    if arguments == _MAKES:
        return "make trained"
    return " ".join(["python -m splitwatt.export.training", *arguments])


def _processor() -> str:
    """Its name where the kernel tells it, else its architecture."""
    table = Path("/proc/cpuinfo")
    text = table.read_text(encoding="utf-8") if table.is_file() else ""
    named = re.search(r"model name\s*: (.+)", text)
    return named.group(1) if named else platform.machine()


def _say(text: str) -> None:
    note(text)


if __name__ == "__main__":
    raise SystemExit(main())
