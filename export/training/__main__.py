"""`make trained`: photographs, crops, training, weights; continues where it was stopped."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.files import sha256_file, write_atomic
from splitwatt.device_configs.install import install_command
from splitwatt.export.training import photographs
from splitwatt.export.training.photographs import Photograph
from splitwatt.export.weights.files import locate
from splitwatt.export.zoo.trained import LITE0, RATES, Trained

if TYPE_CHECKING:
    from torch import nn

    from splitwatt.export.spec import LoadedFile
    from splitwatt.export.training.loop import Training

SEED, ITERATIONS, CROPS = 1, 2800, 4000
_MAKES = ["--out", "build/trained"]  # what `make trained` gives
# Held-out crops per photograph, and the least probability of the backbone's answer on them.
_EACH, _SURE = 7, 0.3


def main(arguments: Sequence[str]) -> int:
    """Train a split model; returns an exit code."""
    flags = argparse.ArgumentParser(
        prog="python -m splitwatt.export.training",
        description="Train a split model on a timm backbone by distillation, without labels.",
        epilog="example: python -m splitwatt.export.training --backbone resnet18 --split layer2.0 "
        "--weights resnet18.pth --images my/photographs --out mine",
    )
    add = flags.add_argument
    add("--out", default="build/trained", metavar="DIR", help="default: build/trained")
    add("--images", metavar="DIR", help="photographs of your own (default: Debian's packages)")
    add("--backbone", metavar="NAME", help="timm's name of a classifier (default: the packaged "
        f"{LITE0.backbone})")  # fmt: skip
    add("--split", metavar="MODULE", help="the last module of the encoder, such as layer2.0; "
        f"a wrong name lists the possible ones (default: {LITE0.at})")  # fmt: skip
    add("--weights", metavar="FILE",
        help="the backbone's weights (default: those that timm downloaded)")  # fmt: skip
    add("--name", help="the split model's name (default: split_ and the backbone's name)")
    add("--iterations", type=int, default=ITERATIONS, help=f"default: {ITERATIONS}")
    add("--crops", type=int, default=CROPS, help=f"crops to train with (default: {CROPS})")
    add("--seed", type=int, default=SEED, help=f"default: {SEED}")
    add("--only-held-out", action="store_true",
        help="write only the held-out crops, to compare models on")  # fmt: skip
    options = flags.parse_args(arguments)
    options.arguments = list(arguments)
    try:
        if min(options.iterations, options.crops) < 1:
            raise UsageError("--iterations and --crops must be at least 1")
        if not 0 <= options.seed < 1 << 31:
            raise UsageError("--seed must be a number from 0 to 2147483647")
        return _run(options)
    except SplitwattError as error:
        note(str(error))
        return 1


def _run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    out = Path(options.out)
    recipe, loaded = _recipe(options, out)

    import torch

    from splitwatt.export.networks.backbones import load_timm, make_timm
    from splitwatt.export.networks.gained_split import GainedSplit
    from splitwatt.export.networks.timm_cut import Cut
    from splitwatt.export.training.loop import DEVICE, Pool, Training, normalised
    from splitwatt.export.training.recipe import write

    if DEVICE == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
    # On a busy machine, more threads wait for each other; the bytes are the same.
    torch.set_num_threads(int(os.getenv("OMP_NUM_THREADS", "1")))
    torch.manual_seed(options.seed)
    backbone = make_timm(recipe.backbone, recipe.classes)
    load_timm(backbone, loaded)
    cut = Cut(backbone, recipe.at, recipe.side)
    out.mkdir(parents=True, exist_ok=True)
    stamps: list[Photograph] = []
    if options.images:
        pictures = photographs.own(Path(options.images))
    else:
        photographs.fetch(out / "packages")
        pictures, stamps = photographs.load(out / "packages")
    training = [p for p in pictures if not p.held_out]
    note(f"{len(training)} photographs and {len(stamps)} stamps to train with, "
         f"{len(pictures) - len(training)} photographs held out")  # fmt: skip
    _hold_out([p for p in pictures if p.held_out], backbone, recipe, out / "held-out")
    if options.only_held_out:
        return 0
    if recipe != LITE0:
        write(recipe, backbone, loaded.labels)
    split: Any = GainedSplit(cut, len(RATES))  # PyTorch has no type for this form of `to`
    split = split.to(DEVICE, memory_format=torch.channels_last)
    whole = cut.whole.to(DEVICE)

    def crop(number: int) -> torch.Tensor:
        random = np.random.default_rng((options.seed, number))
        pixels = photographs.random_crop(training, stamps, random, recipe.side)
        return normalised(pixels, recipe.preprocess)

    key = _key(options, recipe, loaded, pictures + stamps)
    pool = Pool.kept(out / f"pool-{key}.npz",
                     lambda: Pool.make(split, whole, crop, options.crops, note))  # fmt: skip
    run = Training(split, pool, options.iterations, options.seed, began)
    state = out / f"state-{key}.pt"
    if run.resume(state):
        note(f"continues at iteration {run.done} of {run.iterations}")
    else:
        run.start()
    run.run(state, note)
    _write(run, options, out / f"{recipe.name}.safetensors", len(training))
    return 0


def _recipe(options: argparse.Namespace, out: Path) -> tuple[Trained, LoadedFile]:
    """What to train, and the backbone's weights: the packaged model, or the user's own."""
    from splitwatt.export.training.recipe import own
    from splitwatt.export.weights.checkpoints import read

    if options.backbone or options.split or options.weights or options.name:
        backbone = options.backbone or LITE0.backbone
        return own(out, options.name, backbone, options.split, options.weights)
    files = locate((LITE0.model,), None, LITE0.local, None)
    if files is None:
        raise UsageError("the backbone's weights are not installed", install_command("export"))
    return LITE0, read(files["model"])


def _key(
    options: argparse.Namespace, recipe: Trained, loaded: LoadedFile, pictures: list[Photograph]
) -> str:
    """A digest of all that decides the crops' features, which are reused if it is the same."""
    facts = [recipe.backbone, recipe.at, recipe.preprocess, sha256_file(loaded.path)]
    text = hashlib.sha256(repr([*facts, options.seed, options.crops]).encode())
    for picture in pictures:
        text.update(picture.pixels.tobytes())
    return text.hexdigest()[:12]


def _hold_out(
    pictures: list[Photograph], backbone: nn.Module, recipe: Trained, folder: Path
) -> None:
    """Write the crops of held-out photographs on which the backbone is sure enough."""
    import torch

    from splitwatt.export.training.loop import normalised

    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    size = recipe.preprocess.resize.size
    side = size if isinstance(size, int) else size[0]
    edge = (side - recipe.side) // 2
    middle = np.s_[edge : edge + recipe.side]
    for number, picture in enumerate(pictures):
        images = photographs.fixed_crops(picture, _EACH, side)
        cropped = np.stack([np.asarray(i)[middle, middle] for i in images])
        with torch.no_grad():
            sure = backbone(normalised(cropped, recipe.preprocess)).softmax(1).amax(1)
        for index, image in enumerate(images):
            if sure[index] >= _SURE:
                image.save(folder / f"{number:03d}-{index}.png")
    note(f"{len(list(folder.iterdir()))} held-out crops in {folder}")


def _write(run: Training, options: argparse.Namespace, weights: Path, count: int) -> None:
    import torch
    from safetensors.torch import save

    from splitwatt.export.networks.gained_split import shipped

    write_atomic(str(weights), save(shipped(run.split)))
    command = " ".join(["python -m splitwatt.export.training", *options.arguments])
    stated = {
        "command": "make trained" if options.arguments == _MAKES else command,
        "seed": options.seed,
        "iterations": run.iterations,
        "crops": options.crops,
        "photographs": count,
        "torch": torch.__version__,
        "machine": f"{_processor()}, {torch.get_num_threads()} of {os.cpu_count()} threads",
        "minutes": round(run.seconds / 60, 1),
    }
    write_atomic(str(weights.with_name("training.json")), json.dumps(stated, indent=2) + "\n")
    note(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB")


def _processor() -> str:
    """The processor's name if the kernel reports it, else its architecture."""
    table = Path("/proc/cpuinfo")
    text = table.read_text(encoding="utf-8") if table.is_file() else ""
    named = re.search(r"model name\s*: (.+)", text)
    return named.group(1) if named else platform.machine()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
